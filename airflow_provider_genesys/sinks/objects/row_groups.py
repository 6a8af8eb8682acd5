"""A Parquet file that is put together from row groups, each encoded as a file with this one row group.

So row groups can be encoded in other processes, and their bytes are the same wherever that is. The bytes of the columns
are copied as they are. Only the footer is made here, because places in it count from the beginning of the file. Its
fields have the numbers of ``parquet.thrift``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

from airflow_provider_genesys.pipeline.worker import PIECE
from airflow_provider_genesys.sinks.objects import compact
from airflow_provider_genesys.source.records import Slice

ROW_GROUP = 8 * 1024 * 1024
"""Unpacked source bytes per row group. That much is in memory as columns, once or twice."""
BLOCK = PIECE
"""Unpacked source bytes per record batch: what a worker reads at a time, so that it need not copy its columns."""

HEAD = b"PAR1"
"""What a file begins and ends with."""
_LENGTH = 4  # bytes of a footer's length, before the end

_FILE_ROWS, _ROW_GROUPS = 3, 4
_COLUMNS, _GROUP_ROWS, _GROUP_PLACE, _ORDINAL = 1, 3, 5, 7  # of a row group
_CHUNK_PLACE, _COLUMN = 2, 3  # of a column in a row group
_PLACES = (9, 10, 11)  # of a column: where its data pages, its index page and its dictionary are


def is_file(data: bytes) -> bool:
    """Whether ``data`` is a Parquet file, by its first bytes."""
    return data.startswith(HEAD)


def end_of(offset: int, every: int) -> int:
    """Return the first multiple of ``every`` behind ``offset``."""
    return (offset // every + 1) * every


def cut(offsets: list[int], every: int) -> Iterator[tuple[list[int], int]]:
    """Cut ``offsets`` at multiples of ``every``. Yield each piece and its place among them."""
    begin = 0
    while begin < len(offsets):
        end = bisect_left(offsets, end_of(offsets[begin], every), begin)
        yield offsets[begin:end], begin
        begin = end


def fills_group(part: Slice) -> bool:
    """Whether ``part`` ends where a row group does, and probably begins where one does."""
    end = end_of(part.starts[0], ROW_GROUP)
    return part.starts[-1] < end <= part.end and part.end - part.start > ROW_GROUP // 2


class RowGroupFile:
    """One file. Its bytes are :data:`HEAD`, those of each row group, and the end.

    :param empty: a Parquet file without rows. The file gets its schema and metadata.
    """

    def __init__(self, empty: memoryview) -> None:
        self._footer, _ = _parted(empty)
        self._groups: list[compact.Struct] = []
        self._length = len(HEAD)

    def add(self, encoded: memoryview) -> memoryview:
        """Return the bytes of the row group of the file ``encoded``, which come next."""
        footer, body = _parted(encoded)
        [group] = footer[_ROW_GROUPS][1][1]
        self._groups.append(_moved(group, self._length - len(HEAD), len(self._groups)))
        self._length += len(body)
        return body

    def end(self) -> bytes:
        """Return the footer, with which the file ends."""
        rows = sum(group[_GROUP_ROWS][1] for group in self._groups)
        kind, (of, _) = self._footer[_ROW_GROUPS]
        fields = {_FILE_ROWS: (self._footer[_FILE_ROWS][0], rows), _ROW_GROUPS: (kind, (of, self._groups))}
        footer = compact.written({**self._footer, **fields})
        return b"".join((footer, len(footer).to_bytes(_LENGTH, "little"), HEAD))


def _parted(file: memoryview) -> tuple[compact.Struct, memoryview]:
    """Return the footer of ``file``, and the bytes of its columns."""
    end = len(file) - _LENGTH - len(HEAD)
    begin = end - int.from_bytes(file[end : end + _LENGTH], "little")
    return compact.read(bytes(file[begin:end])), file[len(HEAD) : begin]


def _moved(group: compact.Struct, by: int, ordinal: int) -> compact.Struct:
    kind, (of, chunks) = group[_COLUMNS]
    moved = {**group, _COLUMNS: (kind, (of, [_moved_chunk(chunk, by) for chunk in chunks]))}
    if _ORDINAL in moved:
        moved[_ORDINAL] = moved[_ORDINAL][0], ordinal
    return {**moved, **_shifted(moved, (_GROUP_PLACE,), by)}


def _moved_chunk(chunk: compact.Struct, by: int) -> compact.Struct:
    kind, column = chunk[_COLUMN]
    return {
        **chunk,
        **_shifted(chunk, (_CHUNK_PLACE,), by),
        _COLUMN: (kind, {**column, **_shifted(column, _PLACES, by)}),
    }


def _shifted(fields: compact.Struct, places: tuple[int, ...], by: int) -> dict[int, tuple[int, Any]]:
    """Return those ``fields`` at ``places`` that are set. 0 means that a place is not."""
    found = {number: fields[number] for number in places if number in fields}
    return {number: (kind, value + by) for number, (kind, value) in found.items() if value}
