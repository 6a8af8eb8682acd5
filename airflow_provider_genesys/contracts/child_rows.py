"""The rows of a child, column by column, out of the objects of many records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timezone
from functools import cached_property
from itertools import chain, repeat
from operator import attrgetter
from typing import Any

from airflow_provider_genesys.contracts.child import Child
from airflow_provider_genesys.contracts.child_objects import (
    Listed,
    ObjectReader,
    Objects,
    name_of_list,
    name_of_member,
)
from airflow_provider_genesys.contracts.column_rows import Row
from airflow_provider_genesys.times import in_utc

_Finish = Callable[[Iterable[Any]], list[Any]]
_Read = tuple[Callable[[Any], Any], _Finish]


class ChildRows:
    """Makes the rows of one child."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self._lists = list(map(name_of_list, child.lists))
        read = [(column.place, column.type) for column in child.columns]
        found = [(len(self._lists) - up, name_of_member(kind, member), kind) for (up, member), kind in read]
        order = sorted(range(len(found)), key=lambda place: found[place][0])
        self._places = [order.index(place) for place in range(len(found))]
        self._by_depth: list[list[_Read]] = [[] for _ in range(len(self._lists) + 1)]
        for depth, name, kind in found:
            self._by_depth[depth].append((attrgetter(name), _FINISHED.get(kind, list)))

    def columns(self, texts: Iterable[bytes | None]) -> tuple[list[int], list[list[Any]]]:
        """Return, for each row, the place of its record; and the columns: the ordinal, then those of the child.

        :param texts: the JSON of the source column, of each record. What is no list of objects has no rows.
        """
        found = list(map(self._objects, texts))
        level = list(chain.from_iterable(found))
        owners = _repeated(range(len(found)), list(map(len, found)))
        own = self._values(0, level)
        for depth, name in enumerate(self._lists, 1):
            inner = [getattr(one, name) or () for one in level]
            sizes = list(map(len, inner))
            level = list(chain.from_iterable(inner))
            owners = _repeated(owners, sizes)
            own = [*(_repeated(values, sizes) for values in own), *self._values(depth, level)]
        counts = Counter(owners).values()
        ordinals = list(chain.from_iterable(range(1, count + 1) for count in counts))
        return owners, [ordinals, *(own[place] for place in self._places)]

    def _values(self, depth: int, level: Objects) -> list[list[Any]]:
        return [finished(map(get, level)) for get, finished in self._by_depth[depth]]

    def rows(self, text: bytes | None) -> Iterator[Row]:
        """Yield (ordinal, values...) of each object of one record, counted from 1.

        A value is coerced as one of the record's own columns is; what cannot be is None, as :mod:`.child_values` has
        judged. ``json`` is text.
        """
        return zip(*self.columns([text])[1], strict=True)

    @cached_property
    def _reader(self) -> ObjectReader:
        return ObjectReader([self.child])

    def _objects(self, text: bytes | None) -> Objects:
        found = text.objects.get(self.child.name) if isinstance(text, Listed) else None
        if found is not None:
            return found
        return self._reader.read(text) if text else []


def _repeated(values: Sequence[Any], times: Sequence[int]) -> list[Any]:
    return list(chain.from_iterable(map(repeat, values, times)))


def _texts(values: Iterable[Any]) -> list[str | None]:
    return [None if not value or (text := bytes(value)) == b"null" else text.decode() for value in values]


def _times(values: Iterable[Any]) -> list[datetime | None]:
    utc = timezone.utc
    return [value if value is None or value.tzinfo is utc else _in_utc(value) for value in values]


def _in_utc(value: datetime) -> datetime | None:
    try:
        return in_utc(value)
    except OverflowError:
        return None


_FINISHED: dict[str, _Finish] = {"json": _texts, "timestamp": _times}
"""What is left to do where rows are wanted: to judge these values, their types are enough."""
