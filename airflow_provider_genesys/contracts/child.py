"""Child rows: the objects in the lists of one of a record's columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from operator import attrgetter, itemgetter
from typing import Annotated, Any, get_args

import msgspec

from airflow_provider_genesys.contracts.coerce import coerced, float_of
from airflow_provider_genesys.contracts.column import (
    EVERY,
    KEPT_BY_POSTGRESQL,
    SYSTEM_NAMES,
    UNREADABLE,
    ColumnType,
    Path,
    Steps,
    readable,
    snake_case,
)
from airflow_provider_genesys.contracts.column_rows import Row
from airflow_provider_genesys.exceptions import ContractError

_STRAIGHT: dict[str, Any] = {
    "string": str,
    "integer": Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)],
    "number": msgspec.Raw,
    "boolean": bool,
    "timestamp": datetime,
    "json": msgspec.Raw,
}
"""Types whose values mostly are what they become, so that they can be decoded as such; the others are coerced."""
_OF_RAW: dict[str, Callable[[str], Any]] = {"json": str, "number": float_of}
_TYPES = get_args(ColumnType)

_UP = re.compile(r"((?:\.\./)*)([^./]+)")


@dataclass(frozen=True)
class ChildColumn:
    """One column of a child.

    :param path: a member of the object, or, behind ``../`` once or more, of an object that it is in.
    :param may_be_empty: a load in which no record has a value for the column is as it should be.
    """

    name: str
    path: str
    type: ColumnType
    description: str = ""
    may_be_empty: bool = False

    def __post_init__(self) -> None:
        match = _UP.fullmatch(self.path)
        if match is None or self.type not in _TYPES:
            raise ContractError(
                f"Child column {self.name!r}: its path is a member, perhaps behind '../', its type one of "
                f"{', '.join(_TYPES)}; not {self.path!r} and {self.type!r}."
            )
        for setting in (self.name, self.path):
            if not readable(setting):
                raise ContractError(f"Child column {self.name!r}: {setting!r} {UNREADABLE}.")
        if snake_case(self.name) in SYSTEM_NAMES:
            raise ContractError(f"No child column can be called {self.name!r}: {KEPT_BY_POSTGRESQL}.")

    @property
    def place(self) -> tuple[int, str]:
        """How many objects further out it is, and the member's name."""
        return self.path.count("../"), self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Child:
    """The objects that lie in lists within lists of a record, each a row with the record's key and its ordinal.

    :param name: name of its table, appended to that of the records' table.
    :param path: names of the lists, outermost first, joined by dots; the first is a column of the contract, of type
        json.
    """

    name: str
    path: str
    columns: tuple[ChildColumn, ...]

    def __post_init__(self) -> None:
        if not readable(self.path):
            raise ContractError(f"Child {self.name!r}: the path {self.path!r} {UNREADABLE}.")
        for column in self.columns:
            if column.place[0] > len(self.lists):
                raise ContractError(
                    f"Child {self.name!r}: {column.path!r} of {column.name!r} leads out of the list {self.source!r}. "
                    "Rows have the record's key, and can be joined with it.",
                    about=f"children.{self.name}.{column.name}",
                )

    @property
    def source(self) -> str:
        """Path of the column that holds the outermost list."""
        return self.path.partition(".")[0]

    @property
    def lists(self) -> list[str]:
        """Names of the lists inside the outermost one, outermost first."""
        return self.path.split(".")[1:]

    def steps_to(self, column: ChildColumn) -> Steps:
        """Return where ``column`` is in a record."""
        *lists, member = self.path_to(column)
        found: list[str | int] = []
        for name in lists:
            found += (name.removesuffix("[]"), EVERY)
        return (*found, member)

    def path_to(self, column: ChildColumn) -> Path:
        """Return the same as names of fields: those of lists end in ``[]``."""
        up, member = column.place
        names = [self.source, *self.lists]
        return (*(f"{name}[]" for name in names[: len(names) - up]), member)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_decoder"}  # which cannot be pickled

    @cached_property
    def _decoder(self) -> ChildDecoder | None:
        return decoder_of(self.lists, [(*column.place, column.type) for column in self.columns])

    def rows(self, text: bytes | None) -> Iterator[tuple[Any, ...]]:
        """Yield (ordinal, values...) of each object, counted from 1 over the whole record.

        :param text: of the source column, JSON. What is no list of objects has no rows. A value is coerced as one of
            the record's own columns is; what cannot be is None, as :mod:`.child_values` has judged. ``json`` is text.
        """
        if not text:
            return
        if self._decoder and (found := self._decoder.rows(text)) is not None:
            yield from ((ordinal, *values) for ordinal, values in enumerate(found, 1))
            return
        places = [(*column.place, column.type) for column in self.columns]
        for ordinal, nested in enumerate(_walk([], text, self.lists), 1):
            yield (ordinal, *(_value(nested, *place) for place in places))


Members = dict[str, msgspec.Raw]
_list = msgspec.json.Decoder(list[msgspec.Raw])
_members = msgspec.json.Decoder(Members)


def _walk(around: list[Members], items: bytes, inner: list[str]) -> Iterator[list[Members]]:
    """Yield, for each innermost object in the list ``items``, the objects around it and itself."""
    for item in _list.decode(items) if _begins(items, b"[") else []:
        if not _begins(bytes(item), b"{"):
            continue
        nested = [*around, _members.decode(item)]
        if inner:
            yield from _walk(nested, bytes(nested[-1].get(inner[0], b"null")), inner[1:])
        else:
            yield nested


def _begins(text: bytes, bracket: bytes) -> bool:
    return text.lstrip().startswith(bracket)


def _value(nested: list[Members], up: int, member: str, kind: ColumnType) -> Any:
    text = bytes(nested[-1 - up].get(member, b"null"))
    try:
        return None if text == b"null" else _plain(kind, coerced(kind, text))
    except ValueError:
        return None


def _plain(kind: str, value: Any) -> Any:
    return value.decode() if kind == "json" else value


_ITEMS = "items"


class ChildDecoder:
    """Decodes the objects that lie in lists within lists.

    :param lists: names of the lists inside the outermost one, outermost first.
    :param columns: (objects further out, member, type) of each.
    """

    def __init__(self, lists: Sequence[str], columns: Sequence[tuple[int, str, str]]) -> None:
        depths = [len(lists) - up for up, _, _ in columns]
        places = [_level(columns, depths, depth) for depth in range(len(lists) + 1)]
        struct: Any = None
        for depth in range(len(lists), -1, -1):
            inner = (lists[depth], struct) if depth < len(lists) else None
            struct = _struct([columns[place] for place in places[depth]], inner)
        self._decoder = msgspec.json.Decoder(list[struct])
        self._getters = [_getter(len(level)) for level in places]
        order = [place for level in places for place in level]
        self._sorted: Callable[[Row], Row] | None = None
        if order != sorted(order):
            self._sorted = itemgetter(*(order.index(place) for place in range(len(columns))))
        self._raw = {place: _OF_RAW[kind] for place, (_, _, kind) in enumerate(columns) if kind in _OF_RAW}
        self._times = [place for place, (_, _, kind) in enumerate(columns) if kind == "timestamp"]

    def rows(self, text: bytes) -> list[Row] | None:
        """Return the values of each object; None where one of them is not what its column says."""
        try:
            rows = self._flat(self._decoder.decode(text), (), 0)
        except (msgspec.ValidationError, OverflowError):
            return None
        if self._sorted:
            rows = list(map(self._sorted, rows))
        for place in self._times:
            for row in rows:
                if row[place] is not None and row[place].tzinfo is not timezone.utc:
                    return None
        try:
            return list(map(self._read, rows)) if self._raw else rows
        except (ValueError, ArithmeticError):
            return None

    def _read(self, row: Row) -> Row:
        if all(row[place] is None for place in self._raw):
            return row
        values = list(row)
        for place, read in self._raw.items():
            text = bytes(row[place] or b"null")
            values[place] = None if text == b"null" else read(text.decode())
        return tuple(values)

    def _flat(self, items: Sequence[Any], around: Row, depth: int) -> list[Row]:
        get = self._getters[depth]
        if depth == len(self._getters) - 1:
            return [around + get(item) for item in items]
        found: list[Row] = []
        for item in items:
            if item.items:
                found += self._flat(item.items, around + get(item), depth + 1)
        return found


def decoder_of(lists: Sequence[str], columns: Sequence[tuple[int, str, str]]) -> ChildDecoder | None:
    """Return what decodes a child; None for one that needs what this cannot: see :class:`ChildDecoder`."""
    names = [(len(lists) - up, member) for up, member, _ in columns]
    twice = len({*names, *enumerate(lists)}) < len(names) + len(lists)
    coerces = any(kind not in _STRAIGHT for _, _, kind in columns)
    return None if twice or coerces else ChildDecoder(lists, columns)


def _level(columns: Sequence[Any], depths: Sequence[int], depth: int) -> list[int]:
    return [place for place in range(len(columns)) if depths[place] == depth]


def _struct(columns: Sequence[tuple[int, str, str]], inner: tuple[str, Any] | None) -> Any:
    types = [_STRAIGHT[kind] if kind in _OF_RAW else _STRAIGHT[kind] | None for _, _, kind in columns]
    fields: list[Any] = [(f"value_{place}", kind, None) for place, kind in enumerate(types)]
    names = {f"value_{place}": member for place, (_, member, _) in enumerate(columns)}
    if inner:
        fields.append((_ITEMS, list[inner[1]] | None, None))  # type: ignore[valid-type]  # a type made here
        names[_ITEMS] = inner[0]
    return msgspec.defstruct("Object", fields, rename=names, gc=False)


def _getter(values: int) -> Callable[[Any], Row]:
    names = [f"value_{place}" for place in range(values)]
    if len(names) > 1:
        return attrgetter(*names)
    return (lambda item: (item.value_0,)) if names else (lambda _: ())
