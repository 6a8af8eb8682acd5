"""Whether the values of child rows are what their columns say: judged with their record, as the record's own are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any

import msgspec

from airflow_provider_genesys.contracts.child import Child, ChildColumn
from airflow_provider_genesys.contracts.child_objects import Listed, Objects, readers
from airflow_provider_genesys.contracts.coerce import coerced, is_of_kind
from airflow_provider_genesys.contracts.column import Path
from airflow_provider_genesys.contracts.column_rows import Row
from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.contracts.plain_text import contains

_list = msgspec.json.Decoder(list[msgspec.Raw])
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_FAILURES = (msgspec.MsgspecError, ValueError, RecursionError)
_EDGES = (b'"0001-01-01', b'"9999-12-31')  # a time that begins so may have no year in UTC


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
    :param keep: hand on what was decoded, for the rows of children.
    """

    def __init__(self, children: Iterable[tuple[Child, int]], *, keep: bool = False) -> None:
        ordered = sorted(children, key=itemgetter(1))
        self._by_place = {
            place: readers(child for child, _ in found) for place, found in groupby(ordered, key=itemgetter(1))
        }
        self.kept = frozenset(self._by_place) if keep else frozenset[int]()
        """Places of the columns whose values are :class:`.child_objects.Listed`."""
        self._has_times = any(column.type == "timestamp" for child, _ in ordered for column in child.columns)

    @classmethod
    def of(cls, contract: Contract, *, keep: bool = False) -> ChildValues:
        """Return what judges the rows of ``contract``."""
        places = {column.path: place for place, column in enumerate(contract.columns) if not column.variant}
        return cls(((child, places[child.source]) for child in contract.children), keep=keep)

    def judged(self, columns: Sequence[Sequence[Any]], data: bytes) -> list[Sequence[Any]]:
        """Return ``columns``. With those that children read come the objects that were decoded, if they are kept.

        :param data: the records.
        :raises ValueError: a value has to be looked at more closely: something in it is not as its child says.
        """
        found = list(columns)
        near_edge = self._has_times and any(contains(data, edge) for edge in _EDGES)
        for place in self._by_place:
            judged = partial(self._judged, place, near_edge=near_edge)
            found[place] = [None if text is None else judged(text) for text in columns[place]]
        return found

    def judged_row(self, row: Row, record: bytes) -> Row:
        """See :meth:`judged`."""
        return tuple(value for [value] in self.judged([(value,) for value in row], record)) if self._by_place else row

    def faults(self, row: Sequence[Any]) -> list[ChildFault]:
        """Return the first fault of each path, those first that lose a value."""
        found = [
            fault
            for place, all_of in self._by_place.items()
            if row[place] is not None
            for reader in all_of
            for child in reader.children
            for fault in _faults(child, row[place])
        ]
        found.sort(key=lambda fault: fault.rule is None)
        return list({fault.path: fault for fault in reversed(found)}.values())[::-1]

    def _judged(self, place: int, text: Any, *, near_edge: bool) -> Any:
        objects = dict[str, Objects]()
        for reader in self._by_place[place]:
            found = None if near_edge else reader.exact(text)
            if found is not None:
                objects.update(dict.fromkeys(reader.names, found))
            elif any(True for child in reader.children for _ in _faults(child, bytes(text))):
                raise ValueError
        return Listed.of(text, objects) if self.kept else text


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
