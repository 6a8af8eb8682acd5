"""Rows as Parquet: one row group after another, each written when enough records are read.

Equal rows at equal offsets give equal bytes with the same version of pyarrow: a row group ends where the source passes
a multiple of :data:`ROW_GROUP`, no matter how rows are cut into batches.
"""

from __future__ import annotations

import io
from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timezone
from functools import partial
from itertools import accumulate
from typing import Any

from airflow_provider_genesys.contracts.column_rows import by_column
from airflow_provider_genesys.exceptions import MissingExtraError
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.sinks.objects.parts import Table
from airflow_provider_genesys.source.records import Slice

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as missing:
    raise MissingExtraError(
        "output_format='parquet' needs pyarrow. Run: pip install 'airflow-provider-genesys[parquet]'"
    ) from missing

ROW_GROUP = 16 * 1024 * 1024
"""Unpacked source bytes per row group. At most that much is in memory, as columns."""

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
        self._out = _Out()
        self._made = _Columns(contract, plain_json=plain_json)
        facts = {"load_id": load.load_id, "export_id": load.export_id, "contract": str(contract)}
        self._schema = self._made.schema.with_metadata({f"genesys_{name}": value for name, value in facts.items()})
        self._writer = pq.ParquetWriter(
            self._out,
            self._schema,
            version="2.6",
            compression="zstd",
            compression_level=1,
            use_dictionary=[column.name for column in contract.columns if column.type != "json"],  # hardly ever equal
            memory_pool=_MEMORY,
        )
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="genesys-parquet")
        self._writing: Future[None] | None = None
        self._gathered: list[Any] = []  # record batches of the row group
        self._end: int | None = None  # where it ends in the source

    def pack(self, batch: Batch) -> bytes:
        """Take the rows of ``batch`` and return what is ready."""
        begin, count = 0, len(batch.rows)
        columns: Any = self._columns(batch) if count else None
        while begin < count:
            if self._end is None:
                self._end = (batch.offsets[begin] // ROW_GROUP + 1) * ROW_GROUP
            end = bisect_left(batch.offsets, self._end, begin)
            if end > begin:
                self._gathered.append(columns.slice(begin, end - begin))
            if end < count:
                self._close_group()
            begin = end
        return b"" if self._writing else self._out.take()

    def end(self) -> bytes:
        """Return the rest, with the footer that closes the file."""
        self._close_group()
        self._settle()
        self._thread.shutdown()
        self._writer.close()
        return self._out.take()

    def _columns(self, batch: Batch) -> Any:
        if batch.packed is None:
            return self._made.of(batch.rows)
        return pa.ipc.read_record_batch(pa.py_buffer(batch.packed), self._made.schema)

    def _close_group(self) -> None:
        """Begin to write the row group, in a thread. Arrow lets go of Python's lock meanwhile."""
        self._settle()
        if self._gathered:
            # In one piece: with several chunks the pages of a column would end elsewhere.
            group = pa.Table.from_batches(self._gathered, self._made.schema).combine_chunks(memory_pool=_MEMORY)
            self._writing = self._thread.submit(self._writer.write_table, group, row_group_size=group.num_rows)
        self._gathered, self._end = [], None

    def _settle(self) -> None:
        """Wait for the row group that is being written. At most one is held beside the one that is gathered."""
        writing, self._writing = self._writing, None
        if writing:
            writing.result()


class _Columns:
    """Makes columns of the rows of one contract."""

    def __init__(self, contract: Table, *, plain_json: bool) -> None:
        types = {**_TYPES, "json": pa.string()} if plain_json else _TYPES
        self._makers = [_column(column.type, types[column.type]) for column in contract.columns]
        self.schema = pa.schema([pa.field(column.name, types[column.type]) for column in contract.columns])

    def of(self, rows: Sequence[tuple[Any, ...]]) -> Any:
        """Return the record batch of ``rows``, of which there is at least one."""
        columns = zip(self._makers, by_column(rows).columns, strict=True)
        return pa.record_batch([make(values) for make, values in columns], schema=self.schema)


def packed_columns(contract: Table, *, plain_json: bool = False) -> Callable[[Sequence[tuple[Any, ...]], Slice], bytes]:
    """Return the :data:`.worker.Pack` that makes the columns which :class:`ParquetRows` takes, as Arrow's message."""
    columns = _Columns(contract, plain_json=plain_json)
    return lambda rows, _: columns.of(rows).serialize().to_pybytes()


class _Out(io.RawIOBase):
    """A file that is written at its end and read from its beginning."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._length = 0

    def writable(self) -> bool:
        """Say yes."""
        return True

    def write(self, data: Any) -> int:
        """Take bytes."""
        with memoryview(data) as view:
            self._held += view
            self._length += view.nbytes
            return view.nbytes

    def tell(self) -> int:
        """Return the number of bytes written."""
        return self._length

    def take(self) -> bytes:
        """Return the held bytes and drop them."""
        held = bytes(self._held)
        self._held.clear()
        return held


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
    if None in values:
        held = [b"" if value is None else value for value in values]
        valid = pa.array([value is not None for value in values], memory_pool=_MEMORY).buffers()[1]
    try:
        whole = b"".join(held)
    except TypeError:  # some children have text
        held = [value.encode() if isinstance(value, str) else value for value in held]
        whole = b"".join(held)
    ends = array("i", accumulate(map(len, held), initial=0))
    text = pa.StringArray.from_buffers(len(held), pa.py_buffer(ends), pa.py_buffer(whole), valid)
    return text if arrow == pa.string() else pa.ExtensionArray.from_storage(arrow, text)
