"""The rows of a child, decoded straight into their columns: what has the types of the contract, as nearly all has.

Of a record's JSON no more is made into objects than a child has columns for. What differs from the contract's types in
any way is left to whoever asks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from operator import attrgetter, itemgetter
from typing import Annotated, Any

import msgspec

TYPES: dict[str, Any] = {
    "string": str,
    "integer": Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)],
    "number": float,
    "boolean": bool,
    "timestamp": datetime,
    "json": Any,
}
"""What a value becomes, by the type of its column."""

Row = tuple[Any, ...]
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
        self._json = [place for place, (_, _, kind) in enumerate(columns) if kind == "json"]
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
        return list(map(self._with_json, rows)) if self._json else rows

    def _with_json(self, row: Row) -> Row:
        if all(row[place] is None for place in self._json):
            return row
        values = list(row)
        for place in self._json:
            values[place] = None if row[place] is None else msgspec.json.encode(row[place]).decode()
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
    outside = any(up > len(lists) for up, _, _ in columns)
    names = [(len(lists) - up, member) for up, member, _ in columns]
    twice = len({*names, *enumerate(lists)}) < len(names) + len(lists)
    return None if outside or twice else ChildDecoder(lists, columns)


def _level(columns: Sequence[Any], depths: Sequence[int], depth: int) -> list[int]:
    return [place for place in range(len(columns)) if depths[place] == depth]


def _struct(columns: Sequence[tuple[int, str, str]], inner: tuple[str, Any] | None) -> Any:
    fields: list[Any] = [(f"value_{place}", TYPES[kind] | None, None) for place, (_, _, kind) in enumerate(columns)]
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
