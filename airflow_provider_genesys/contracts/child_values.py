"""Whether the values of child rows are what their columns say: judged with their record, as the record's own are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Annotated, Any

import msgspec

from airflow_provider_genesys.contracts.child import Child, ChildColumn
from airflow_provider_genesys.contracts.coerce import coerced, is_of_kind
from airflow_provider_genesys.contracts.column import ColumnType, Path
from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.contracts.plain_text import contains

_list = msgspec.json.Decoder(list[msgspec.Raw])
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_FAILURES = (msgspec.MsgspecError, ValueError, RecursionError)
_EXACT = 2**53  # integers up to here are floats, too
_SURE: dict[ColumnType, Any] = {
    "string": str | None,
    "integer": Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None,
    "number": Annotated[int, msgspec.Meta(ge=-_EXACT, le=_EXACT)] | None,
    "boolean": bool | None,
    "timestamp": Annotated[datetime, msgspec.Meta(tz=True)] | None,
    "json": msgspec.Raw,
}
"""Types whose values surely are what the column says. Other values may be, too."""
_EDGES = (b'"0001-', b'"9999-')  # a time that begins so may have no year in UTC


@dataclass(frozen=True)
class ChildFault:
    """One value that is not what its child says.

    :param path: as the contract writes it, e.g. ``("participants[]", "sessions[]", "ani")``.
    :param rule: what a dead letter names it; None for a value that is converted without loss.
    """

    path: Path
    text: bytes
    rule: str | None = None
    message: str = ""


class ChildValues:
    """Judges what the children of a contract read.

    :param children: with the place of each one's source in a row.
    """

    def __init__(self, children: Iterable[tuple[Child, int]]) -> None:
        ordered = sorted(children, key=lambda one: one[1])
        self._by_place = {
            place: [child for child, _ in found] for place, found in groupby(ordered, key=lambda one: one[1])
        }
        self._sure = {place: _sure(found) for place, found in self._by_place.items()}

    @classmethod
    def of(cls, contract: Contract) -> ChildValues:
        """Return what judges the rows of ``contract``."""
        places = {column.path: place for place, column in enumerate(contract.columns) if not column.variant}
        return cls((child, places[child.source]) for child in contract.children)

    def are_plain(self, columns: Sequence[Sequence[Any]]) -> bool:
        """Whether no value in ``columns`` has to be looked at more closely: each is as its child says."""
        return all(
            self._is_plain(place, bytes(text))
            for place in self._by_place
            for text in columns[place]
            if text is not None
        )

    def is_plain(self, row: Sequence[Any]) -> bool:
        """See :meth:`are_plain`, of one row."""
        return all(self._is_plain(place, row[place]) for place in self._by_place if row[place])

    def faults(self, row: Sequence[Any]) -> list[ChildFault]:
        """Return the first fault of each path, those first that lose a value."""
        found = [
            fault
            for place, children in self._by_place.items()
            if row[place] is not None
            for child in children
            for fault in _faults(child, row[place])
        ]
        found.sort(key=lambda fault: fault.rule is None)
        return list({fault.path: fault for fault in reversed(found)}.values())[::-1]

    def _is_plain(self, place: int, text: bytes) -> bool:
        sure = self._sure[place]
        if sure and not any(contains(text, edge) for edge in _EDGES):
            try:
                sure.decode(text)
            except _FAILURES:
                pass
            else:
                return True
        return not any(True for child in self._by_place[place] for _ in _faults(child, text))


@dataclass
class _Level:
    """The members that all children of one source read from the objects of one list."""

    members: dict[str, ColumnType] = field(default_factory=dict)
    lists: dict[str, _Level] = field(default_factory=dict)

    def read(self, column: str, kind: ColumnType) -> bool:
        """Take in that a column is read. Return whether no other column reads it otherwise."""
        return self.members.setdefault(column, kind) == kind and kind in _SURE

    def struct(self) -> Any:
        fields: list[Any] = []
        for name, kind in self.members.items():
            fields.append((name, _SURE[kind], msgspec.Raw(b"null") if kind == "json" else None))
        for name, level in self.lists.items():
            fields.append((name, list[level.struct()] | None, None))  # type: ignore[misc]  # a type made here
        given = [(f"f{place}", kind, default) for place, (_, kind, default) in enumerate(fields)]
        names = {f"f{place}": name for place, (name, _, _) in enumerate(fields)}
        return msgspec.defstruct("Object", given, rename=names, gc=False)


def _sure(children: Sequence[Child]) -> msgspec.json.Decoder[Any] | None:
    """Return what decodes the source of ``children`` if all is as they say; None where they read a member twice."""
    top, plain = _Level(), True
    for child in children:
        levels = [top]
        for name in child.lists:
            levels.append(levels[-1].lists.setdefault(name, _Level()))
        for column in child.columns:
            up, member = column.place
            plain = levels[-1 - up].read(member, column.type) and plain
    if not plain or not _are_apart(top):
        return None
    return msgspec.json.Decoder(list[top.struct()])  # type: ignore[misc]  # a type made here


def _are_apart(level: _Level) -> bool:
    return not level.members.keys() & level.lists.keys() and all(map(_are_apart, level.lists.values()))


def _faults(child: Child, text: bytes) -> Iterator[ChildFault]:
    return _of_list(child, (), (child.source, *child.lists), text)


def _of_list(child: Child, around: Path, names: Sequence[str], text: bytes) -> Iterator[ChildFault]:
    """Yield the faults in the list ``text``, whose name is the first of ``names``."""
    if text == b"null":
        return
    items = _decoded(_list, text)
    if items is None:
        yield _fault((*around, names[0]), text, "wrong-type", "is no list, as the children of the contract have it")
        return
    place = (*around, f"{names[0]}[]")
    depth = len(names) - 1
    for item in map(bytes, items):
        if item == b"null":
            continue
        members = _decoded(_members, item)
        if members is None:
            yield _fault(place, item, "not-an-object", "is not a JSON object")
            continue
        for column in child.columns:
            if column.place[0] == depth and column.place[1] in members:
                yield from _of_value(column, place, bytes(members[column.place[1]]))
        if depth and names[1] in members:
            yield from _of_list(child, place, names[1:], bytes(members[names[1]]))


def _of_value(column: ChildColumn, place: Path, text: bytes) -> Iterator[ChildFault]:
    path = (*place, column.place[1])
    if text == b"null":
        return
    try:
        coerced(column.type, text)
    except ValueError:
        yield _fault(path, text, "wrong-type", f"is not of type {column.type}")
        return
    if not is_of_kind(column.type, text):
        yield ChildFault(path, text)


def _fault(path: Path, text: bytes, rule: str, what: str) -> ChildFault:
    return ChildFault(path, text, rule, f"{'.'.join(path)} {what}.")


def _decoded(decoder: Any, text: bytes) -> Any:
    try:
        return decoder.decode(text)
    except _FAILURES:
        return None
