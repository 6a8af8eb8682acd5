"""Rows as NDJSON, plain or in gzip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from isal import isal_zlib

from airflow_provider_genesys.contracts.column_rows import ColumnRows, by_column
from airflow_provider_genesys.pipeline.load import Batch
from airflow_provider_genesys.sinks.objects.parts import Packer, Table

GZIP_LEVEL = 1
"""ISA-L's level: 460 MB/s and 29 % of the size on recordings. Levels 2 and 3 are slower and hardly smaller; 0 gives 43
%."""

GZIP_BLOCK = 256 * 1024

_GZIP_WRAPPER = 31
"""zlib's ``wbits`` for a gzip header, with a modification time of 0."""


class RowEncoder:
    """Rows of a contract as NDJSON, compact, in the order of its columns.

    Timestamps are ISO 8601 with ``Z``, with six digits of fraction if there is one; decimals are JSON numbers with
    unchanged digits; ``json`` columns hold the value itself, not a string.
    """

    def __init__(self, contract: Table) -> None:
        names = {f"column_{place}": column.name for place, column in enumerate(contract.columns)}
        self._row = msgspec.defstruct("Row", list(names), rename=names, gc=False)
        self._json = [place for place, column in enumerate(contract.columns) if column.type == "json"]
        self._encoder = msgspec.json.Encoder(decimal_format="number")

    def encode(self, rows: Sequence[tuple[Any, ...]]) -> bytes:
        """Return one line for each row."""
        if not rows:
            return b""
        table = by_column(rows)
        lines = self._lines(table, msgspec.Raw, [place for place in self._json if place not in table.raw])
        # Only a json column can hold a raw line break, as white space. It is rare, so all rows are checked at once.
        known = table.one_line and table.raw.issuperset(self._json)  # counting takes a third of all the encoding
        if b"\r" not in lines and (known or lines.count(b"\n") == len(rows)):
            return lines
        return self._lines(table, _on_one_line, self._json)

    def _lines(self, table: ColumnRows, embed: Callable[[Any], msgspec.Raw], places: Sequence[int]) -> bytes:
        columns = list(table.columns)
        for place in places:
            columns[place] = [None if value is None else embed(value) for value in columns[place]]
        return self._encoder.encode_lines(list(map(self._row, *columns)))


def packed_lines(contract: Table) -> Callable[[Sequence[tuple[Any, ...]]], bytes]:
    """Return the :data:`.worker.Pack` that makes the lines that :class:`Lines` takes."""
    return RowEncoder(contract).encode


def _on_one_line(value: bytes | msgspec.Raw) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.format(bytes(value), indent=-1))


class Plain:
    """Packs nothing."""

    def pack(self, data: bytes) -> bytes:
        """Return ``data``."""
        return data

    def end(self) -> bytes:
        """Return nothing: nothing is held back."""
        return b""


class GzipBlocks:
    """One gzip member without a timestamp.

    ISA-L's output depends on how its input is cut, and batches are also cut by time. So it gets blocks of equal size.
    """

    def __init__(self) -> None:
        self._compressor = isal_zlib.compressobj(GZIP_LEVEL, isal_zlib.DEFLATED, _GZIP_WRAPPER)
        self._rest = bytearray()

    def pack(self, data: bytes) -> bytes:
        """Take ``data`` and return what is ready."""
        self._rest += data
        whole = len(self._rest) // GZIP_BLOCK * GZIP_BLOCK
        blocks = [self._rest[start : start + GZIP_BLOCK] for start in range(0, whole, GZIP_BLOCK)]
        del self._rest[:whole]
        return b"".join(map(self._compressor.compress, blocks))

    def end(self) -> bytes:
        """Return the rest, with the checksum that closes the member."""
        last = self._compressor.compress(self._rest) + self._compressor.flush()
        self._rest.clear()
        return last


class Lines:
    """Implements :data:`Rows` for NDJSON."""

    def __init__(self, contract: Table, packer: Packer) -> None:
        self._encoder = RowEncoder(contract)
        self._packer = packer

    def pack(self, batch: Batch) -> bytes:
        """Take the rows of ``batch`` and return what is ready."""
        return self._packer.pack(self._encoder.encode(batch.rows) if batch.packed is None else batch.packed)

    def end(self) -> bytes:
        """Return the rest."""
        return self._packer.end()
