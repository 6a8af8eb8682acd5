"""Rows that are held by column: an account, lines and Parquet need no tuples, and to make them takes time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

Row = tuple[Any, ...]


class ColumnRows(Sequence[Row]):
    """Rows as columns of equal length, at least one. The tuples are made when somebody asks for one.

    :param columns: the values of each column.
    :param raw: places of the columns whose JSON is :class:`msgspec.Raw`, not yet copied to bytes.
    :param one_line: places of the columns whose JSON has no line feed.
    """

    def __init__(
        self,
        columns: Sequence[Sequence[Any]],
        raw: frozenset[int] = frozenset(),
        one_line: frozenset[int] = frozenset(),
    ) -> None:
        self.columns = columns
        self.raw = raw
        self.one_line = one_line

    @cached_property
    def _rows(self) -> list[Row]:
        copied = [_copied(column) if place in self.raw else column for place, column in enumerate(self.columns)]
        return list(zip(*copied, strict=True))

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getitem__(self, place: Any) -> Any:
        return self._rows[place]

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)


def by_column(rows: Sequence[Row]) -> ColumnRows:
    """Return ``rows``, of which there is at least one, by column."""
    return rows if isinstance(rows, ColumnRows) else ColumnRows(list(zip(*rows, strict=True)))


def values_at(rows: Sequence[Row], place: int) -> Sequence[Any]:
    """Return the values of one column of ``rows``."""
    return rows.columns[place] if isinstance(rows, ColumnRows) else [row[place] for row in rows]


def _copied(values: Sequence[Any]) -> list[bytes | None]:
    return [None if value is None else bytes(value) for value in values]
