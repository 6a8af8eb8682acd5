"""What an account needs of rows, so that it can be kept where the rows themselves are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from isal.isal_zlib import crc32  # half the time of zlib's for a key of 36 bytes

from airflow_provider_genesys.contracts.column_rows import Row, by_column
from airflow_provider_genesys.contracts.contract import Contract


@dataclass(frozen=True)
class RowFacts:
    """The sums over the rows of one slice.

    ``digest`` is the sum of CRC-32 over (offset, id) of each; the lowest 32 bits of the offset are the CRC's start
    value. ``empty`` are the places of the columns that have no value in any row.
    """

    digest: int
    last_key: str | None
    span: tuple[datetime, datetime] | None
    empty: frozenset[int]


def joined(facts: Sequence[RowFacts]) -> RowFacts:
    """Return the facts of several pieces of a slice, in their order."""
    spans = [one.span for one in facts if one.span]
    span = (min(first for first, _ in spans), max(last for _, last in spans)) if spans else None
    empty = frozenset.intersection(*(one.empty for one in facts))
    return RowFacts(sum(one.digest for one in facts), facts[-1].last_key, span, empty)


class Summing:
    """Makes the facts of the rows of one contract."""

    def __init__(self, contract: Contract) -> None:
        self._width = len(contract.columns)
        self._key = contract.index(contract.key)
        self._timestamp = contract.index(contract.timestamp)

    def facts(self, rows: Sequence[Row], offsets: Sequence[int]) -> RowFacts:
        """Return the facts of ``rows``, whose records begin at ``offsets``."""
        if not rows:
            return RowFacts(0, None, None, frozenset(range(self._width)))
        columns = by_column(rows).columns
        keys = columns[self._key]
        digest = sum(map(crc32, map(str.encode, keys), offsets))
        times = [moment for moment in columns[self._timestamp] if moment is not None]
        empty = [place for place, values in enumerate(columns) if values[0] is None and _is_empty(values)]
        return RowFacts(digest, keys[-1], (min(times), max(times)) if times else None, frozenset(empty))


def _is_empty(values: Sequence[Any]) -> bool:
    return values.count(None) == len(values)


class LaterRows(Sequence[Row]):
    """Rows that are made when somebody asks for one.

    :param count: how many there are.
    :param make: makes them.
    """

    def __init__(self, count: int, make: Callable[[], Sequence[Row]]) -> None:
        self._count = count
        self._make = make

    @cached_property
    def _rows(self) -> Sequence[Row]:
        return self._make()

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: Any) -> Any:
        return self._rows[place]
