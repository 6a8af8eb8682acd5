"""Rows as Parquet: one row group after another, each encoded when enough records are read.

Equal rows at equal offsets give equal bytes with the same version of pyarrow: a row group ends where the source passes
a multiple of :data:`.row_groups.ROW_GROUP`, no matter how rows are cut into batches.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timezone
from functools import partial
from itertools import accumulate
from typing import Any

from airflow_provider_genesys.contracts.column_rows import Row, by_column
from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.exceptions import MissingExtraError
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.pipeline.worker import Pack
from airflow_provider_genesys.sinks.objects.parts import Table
from airflow_provider_genesys.sinks.objects.row_groups import (
    BLOCK,
    HEAD,
    ROW_GROUP,
    RowGroupFile,
    cut,
    end_of,
    fills_group,
    is_file,
)
from airflow_provider_genesys.source.records import Slice

# Read when pyarrow is loaded. The writer of Parquet takes no pool, and Arrow's own keeps what is freed.
# Arrow's own would begin a thread all the same. A worker makes others by a fork, so it should have one thread only.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as missing:
    raise MissingExtraError(
        "output_format='parquet' needs pyarrow. Run: pip install 'airflow-provider-genesys[parquet]'"
    ) from missing

_MEMORY = pa.system_memory_pool()
"""Arrow's own pool keeps freed memory: with an archive of 1 GB the peak was 73 MiB higher, and nothing faster."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

_TYPES: dict[str, Any] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "decimal": pa.string(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "uuid": pa.string(),
    "json": pa.json_(),
}


class ParquetRows:
    """Implements :class:`.parts.Rows`: one file with the rows of one contract.

    :param plain_json: JSON is text, without the mark that it is JSON; Iceberg has no such type.
    """

    def __init__(self, load: Load, contract: Table, *, plain_json: bool = False) -> None:
        self._made = _Columns(contract, plain_json=plain_json)
        facts = {"load_id": load.load_id, "export_id": load.export_id, "contract": str(contract)}
        schema = self._made.schema.with_metadata({f"genesys_{name}": value for name, value in facts.items()})
        self._file = RowGroupFile(self._made.encoded(schema.empty_table()))
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="genesys-parquet")
        self._encoding: Future[memoryview] | None = None
        self._ready: list[bytes | memoryview] = [HEAD]
        self._gathered: _Gathered | None = None

    def pack(self, batch: Batch) -> bytes:
        """Take the rows of ``batch`` and return what is ready."""
        if batch.packed and is_file(batch.packed) and not self._continues(batch.offsets[0]):
            self._close_group()
            self._settle()
            self._ready.append(self._file.add(memoryview(batch.packed)))
        elif batch.offsets:
            self._gather(batch.offsets, self._columns(batch))
        return self._taken()

    def end(self) -> bytes:
        """Return the rest, with the footer that closes the file."""
        self._close_group()
        self._settle()
        self._thread.shutdown()
        self._ready.append(self._file.end())
        return self._taken()

    def _continues(self, offset: int) -> bool:
        """Whether the record at ``offset`` belongs to the row group that is gathered."""
        return self._gathered is not None and offset < self._gathered.end

    def _gather(self, offsets: list[int], columns: Any) -> None:
        for piece, place in cut(offsets, ROW_GROUP):
            if not self._continues(piece[0]):
                self._close_group()
            self._gathered = self._gathered or _Gathered(self._made, piece[0])
            self._gathered.add(piece, columns.slice(place, len(piece)))

    def _columns(self, batch: Batch) -> Any:
        if not batch.packed or is_file(batch.packed):
            return self._made.of(batch.rows)
        return pa.ipc.read_record_batch(pa.py_buffer(batch.packed), self._made.schema)

    def _close_group(self) -> None:
        """Begin to encode the row group, in a thread. Arrow lets go of Python's lock meanwhile."""
        self._settle()
        gathered, self._gathered = self._gathered, None
        if gathered:
            self._encoding = self._thread.submit(self._made.encoded, gathered.table())

    def _settle(self) -> None:
        """Wait for the row group that is being encoded. At most one is held beside the one that is gathered."""
        encoding, self._encoding = self._encoding, None
        if encoding:
            self._ready.append(self._file.add(encoding.result()))

    def _taken(self) -> bytes:
        ready, self._ready = self._ready, []
        return b"".join(ready)


class _Columns:
    """Makes columns of the rows of one contract."""

    def __init__(self, contract: Table, *, plain_json: bool) -> None:
        key = contract.key if isinstance(contract, Contract) else None
        repeating = [column.name for column in contract.columns if column.type != "json" and column.name != key]
        self._settings = {
            "version": "2.6",
            "compression": "zstd",
            "compression_level": 1,
            "use_dictionary": repeating,  # the values of the others are hardly ever equal
            "memory_pool": _MEMORY,
        }
        types = {**_TYPES, "json": pa.string()} if plain_json else _TYPES
        self._makers = [_column(column.type, types[column.type]) for column in contract.columns]
        self.schema = pa.schema([pa.field(column.name, types[column.type]) for column in contract.columns])

    def of(self, rows: Sequence[tuple[Any, ...]]) -> Any:
        """Return the record batch of ``rows``, of which there is at least one."""
        columns = zip(self._makers, by_column(rows).columns, strict=True)
        return pa.record_batch([make(values) for make, values in columns], schema=self.schema)

    def in_one(self, batches: Sequence[Any]) -> Any:
        """Return one record batch with the rows of ``batches``."""
        table = pa.Table.from_batches(batches, self.schema)
        return table.combine_chunks(memory_pool=_MEMORY).to_batches()[0] if len(batches) > 1 else batches[0]

    def encoded(self, table: Any) -> memoryview:
        """Return a file with the rows of ``table`` as one row group. With no row, it has no row group."""
        out = pa.BufferOutputStream(_MEMORY)
        with pq.ParquetWriter(out, table.schema, **self._settings) as writer:
            if table.num_rows:
                writer.write_table(table, row_group_size=table.num_rows)
        return memoryview(out.getvalue())


class _Gathered:
    """The record batches of one row group.

    Where batches end, pages of a column may end. So there is one for each block of the source, no matter how rows come.

    :param first: offset of the first row's record.
    """

    def __init__(self, made: _Columns, first: int) -> None:
        self.end = end_of(first, ROW_GROUP)
        """Where the row group ends in the source."""
        self._made = made
        self._block: list[Any] = []  # record batches of the block
        self._block_end = 0
        self._done: list[Any] = []

    def add(self, offsets: list[int], columns: Any) -> None:
        """Take the rows of the records at ``offsets``."""
        for piece, place in cut(offsets, BLOCK):
            if piece[0] >= self._block_end:
                self._close_block()
                self._block_end = end_of(piece[0], BLOCK)
            self._block.append(columns.slice(place, len(piece)))

    def table(self) -> Any:
        """Return all rows."""
        self._close_block()
        return pa.Table.from_batches(self._done, self._made.schema)

    def _close_block(self) -> None:
        if self._block:
            self._done.append(self._made.in_one(self._block))
        self._block = []


def packed_columns(contract: Table, *, plain_json: bool = False) -> Pack:
    """Return the :data:`.worker.Pack` for :class:`ParquetRows`.

    Of a slice that fills a row group it makes a file with this row group, else its columns as Arrow's message.
    """
    made = _Columns(contract, plain_json=plain_json)

    def pack(pieces: Iterable[Sequence[Row]], part: Slice) -> bytes:
        if not fills_group(part):
            return made.in_one(list(map(made.of, pieces))).serialize().to_pybytes()  # type: ignore[no-any-return]
        gathered, place = _Gathered(made, part.starts[0]), 0
        for rows in pieces:
            gathered.add(part.starts[place : place + len(rows)], made.of(rows))
            place += len(rows)
        return bytes(made.encoded(gathered.table()))

    return pack


def _column(kind: str, arrow: Any) -> Callable[[Sequence[Any]], Any]:
    if kind == "decimal":
        return _decimals
    if kind == "json":
        return partial(_json, arrow)
    if kind == "timestamp":
        return partial(_timestamps, arrow)
    return lambda values: pa.array(values, arrow, memory_pool=_MEMORY)


def _timestamps(arrow: Any, values: Sequence[datetime | None]) -> Any:
    """Return times. Their distance from 1970 has no time zone, which Arrow would ask each of them for.

    It takes a third of the time, and next to none where all are the same one, as ``processedAt`` is.
    """
    first = values[0]
    if values[-1] is first and list(values).count(first) == len(values):
        return pa.repeat(pa.scalar(first, arrow), len(values), memory_pool=_MEMORY)
    since = [None if value is None else value - _EPOCH for value in values]
    return pa.array(since, pa.duration("us"), memory_pool=_MEMORY).view(arrow)


def _decimals(values: Sequence[Any]) -> Any:
    """Return decimals as text with all digits: no precision and scale could hold every value that a contract allows."""
    digits = [None if value is None else format(value, "f") for value in values]
    return pa.array(digits, pa.string(), memory_pool=_MEMORY)


def _json(arrow: Any, values: Sequence[Any]) -> Any:
    """Return JSON, of bytes, :class:`msgspec.Raw` or text. It was checked to be UTF-8 when it was read."""
    held, valid = values, None
    try:
        whole = b"".join(held)
    except TypeError:  # some have no value, and children may have text
        held = [value.encode() if isinstance(value, str) else value or b"" for value in values]
        valid = pa.array([value is not None for value in values], memory_pool=_MEMORY).buffers()[1]
        whole = b"".join(held)
    ends = array("i", accumulate(map(len, held), initial=0))
    text = pa.StringArray.from_buffers(len(held), pa.py_buffer(ends), pa.py_buffer(whole), valid)
    return text if arrow == pa.string() else pa.ExtensionArray.from_storage(arrow, text)
