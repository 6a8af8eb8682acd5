"""Rows that a record has many of: the objects in the lists of one of its columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from typing import Any

import msgspec

from airflow_provider_genesys.exceptions import ContractError
from airflow_provider_genesys.pipeline.child_decode import TYPES, ChildDecoder, decoder_of
from airflow_provider_genesys.pipeline.column import ColumnType

_UP = re.compile(r"((?:\.\./)*)([^./]+)")


@dataclass(frozen=True)
class ChildColumn:
    """One column of a child.

    :param path: a member of the object, or, behind ``../`` once or more, of an object that it lies in.
    """

    name: str
    path: str
    type: ColumnType
    description: str = ""

    def __post_init__(self) -> None:
        match = _UP.fullmatch(self.path)
        if match is None or self.type not in _CONVERSIONS:
            raise ContractError(
                f"Child column {self.name!r}: its path is a member, perhaps behind '../', its type one of "
                f"{', '.join(_CONVERSIONS)}; not {self.path!r} and {self.type!r}."
            )

    @property
    def place(self) -> tuple[int, str]:
        """How many objects further out it is, and the member's name."""
        return self.path.count("../"), self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Child:
    """The objects that lie in lists within lists of a record, each a row with the record's key and its ordinal.

    :param name: what its table is called, behind the name of the record's own.
    :param path: names of the lists, outermost first, joined by dots; the first is a column of the contract, of type
        json.
    """

    name: str
    path: str
    columns: tuple[ChildColumn, ...]

    @property
    def source(self) -> str:
        """Path of the column that holds the outermost list."""
        return self.path.partition(".")[0]

    @cached_property
    def _decoder(self) -> ChildDecoder | None:
        return decoder_of(self.path.split(".")[1:], [(*column.place, column.type) for column in self.columns])

    def rows(self, text: bytes | None) -> Iterator[tuple[Any, ...]]:
        """Yield (ordinal, values...) of each object, counted from 1 over the whole record.

        :param text: of the source column, JSON. What is no list of objects has no rows; a value of another type
            is None.
        """
        if not text:
            return
        if self._decoder and (found := self._decoder.rows(text)) is not None:
            yield from ((ordinal, *values) for ordinal, values in enumerate(found, 1))
            return
        places = [(*column.place, _CONVERSIONS[column.type]) for column in self.columns]
        top = msgspec.json.decode(text)
        for ordinal, chain in enumerate(_walk([top], self.path.split(".")[1:]), 1):
            yield (ordinal, *(_value(chain, up, member, convert) for up, member, convert in places))


def _walk(chain: list[Any], inner: list[str]) -> Iterator[list[dict[str, Any]]]:
    """Yield, for each innermost object, the objects around it and itself; ``chain`` ends with the next list."""
    *around, items = chain
    for item in items if isinstance(items, list) else []:
        if not isinstance(item, dict):
            continue
        if inner:
            yield from _walk([*around, item, item.get(inner[0])], inner[1:])
        else:
            yield [*around, item]


def _value(chain: list[dict[str, Any]], up: int, member: str, convert: Callable[[Any], Any]) -> Any:
    value = chain[-1 - up].get(member) if up < len(chain) else None
    try:
        return None if value is None else convert(value)
    except (msgspec.ValidationError, ValueError, TypeError, OverflowError):
        return None


def _timestamp(value: Any) -> datetime:
    moment = msgspec.convert(value, datetime)
    return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)


def _of(kind: Any) -> Callable[[Any], Any]:
    return lambda value: msgspec.convert(value, kind)


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    **{name: _of(kind) for name, kind in TYPES.items() if kind is not Any},
    "timestamp": _timestamp,
    "json": lambda value: msgspec.json.encode(value).decode(),
}
