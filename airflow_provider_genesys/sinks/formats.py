"""Rows and dead letters as bytes: one JSON object to a line, plain or packed with gzip. Parquet: :mod:`.parquet`."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, Protocol

import msgspec
from isal import isal_zlib

from airflow_provider_genesys.exceptions import ContractError
from airflow_provider_genesys.pipeline.contract import Contract
from airflow_provider_genesys.pipeline.dead_letter import DeadLetter
from airflow_provider_genesys.sinks.base import Batch, Load

OutputFormat = Literal["ndjson.gz", "ndjson", "parquet"]
RawForm = Literal["encrypt", "keep", "drop"]

GZIP_LEVEL = 1
"""Of ISA-L: 460 MB/s and 29 % of the size on recordings; 2 and 3 are slower and hardly smaller, 0 gives 43 %."""

GZIP_BLOCK = 256 * 1024
_GZIP_WRAPPER = 31
"""zlib's ``wbits`` for a gzip header, with a modification time of 0."""


class RowEncoder:
    """Rows of a contract as NDJSON, compact, in the order of its columns.

    Timestamps are ISO 8601 with ``Z``, with six digits of fraction where there is one; decimals are JSON numbers with
    their digits as they are; ``json`` columns hold the value itself, not a string.

    :raises ContractError: a column's name would need escapes in JSON.
    """

    def __init__(self, contract: Contract) -> None:
        names = {f"column_{place}": column.name for place, column in enumerate(contract.columns)}
        try:
            self._row = msgspec.defstruct("Row", list(names), rename=names, gc=False)
            msgspec.json.encode(self._row(*[None] * len(names)))
        except ValueError as error:
            raise ContractError(f"Contract {contract.name}: a column name cannot be a JSON key ({error}).") from error
        self._json = [place for place, column in enumerate(contract.columns) if column.type == "json"]
        self._encoder = msgspec.json.Encoder(decimal_format="number")

    def encode(self, rows: Sequence[tuple[Any, ...]]) -> bytes:
        """Return one line for each row."""
        if not rows:
            return b""
        lines = self._lines(rows, msgspec.Raw)
        # Only a json column can bring in a raw line break, as white space; it is rare, so look once for all rows.
        if lines.count(b"\n") == len(rows) and b"\r" not in lines:
            return lines
        return self._lines(rows, _on_one_line)

    def _lines(self, rows: Sequence[tuple[Any, ...]], embed: Callable[[bytes], msgspec.Raw]) -> bytes:
        columns: list[Iterable[Any]] = list(zip(*rows, strict=True))
        for place in self._json:
            columns[place] = [None if value is None else embed(value) for value in columns[place]]
        return self._encoder.encode_lines(list(map(self._row, *columns)))


def _on_one_line(value: bytes) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.format(value, indent=-1))


class DeadLetterEncoder:
    """Dead letters as NDJSON, under the names that the PostgreSQL sink's table has.

    {load_id, shard, export_id, contract, run_id, source_offset, stage, rule, message, raw, raw_form}: ``raw`` holds
    the record (``raw_form`` "plain"), what ``encrypt`` made of it ("encrypted"), both in base64, or null ("dropped").

    :param form: ``encrypt`` needs ``encrypt``; ``keep`` stores personal data in clear.
    """

    def __init__(self, load: Load, form: RawForm, encrypt: Callable[[bytes], bytes] | None) -> None:
        self._facts = {
            "load_id": load.load_id,
            "shard": load.shard,
            "export_id": load.export_id,
            "contract": str(load.contract),
            "run_id": load.run_id,
        }
        self._raw: Callable[[bytes], str | None] = {
            "encrypt": lambda raw: _base64(encrypt(raw)) if encrypt else None,
            "keep": _base64,
            "drop": lambda _: None,
        }[form]
        self._form = {"encrypt": "encrypted", "keep": "plain", "drop": "dropped"}[form]

    def encode(self, letters: Sequence[DeadLetter]) -> bytes:
        """Return one line for each letter."""
        return msgspec.json.Encoder().encode_lines([self._line(letter) for letter in letters])

    def _line(self, letter: DeadLetter) -> dict[str, Any]:
        return {
            **self._facts,
            "source_offset": letter.offset,
            "stage": letter.stage,
            "rule": letter.rule,
            "message": letter.message,
            "raw": self._raw(letter.raw),
            "raw_form": self._form,
        }


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


class Packer(Protocol):
    """Packs a stream of bytes; equal streams give equal bytes, however they are cut into calls."""

    def pack(self, data: bytes) -> bytes:
        """Take ``data`` and return what is ready."""

    def end(self) -> bytes:
        """Return the rest."""


class Plain:
    """Packs nothing."""

    def pack(self, data: bytes) -> bytes:
        """Return ``data``."""
        return data

    def end(self) -> bytes:
        """Return nothing: nothing is held back."""
        return b""


class Gzip:
    """One gzip member without a time in it.

    What ISA-L makes depends on how its input is cut, and batches are cut by time, too: it gets equal blocks instead.
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


class Rows(Protocol):
    """The rows of one part as bytes; equal rows at equal places give equal bytes, whatever batches they come in."""

    def pack(self, batch: Batch) -> bytes:
        """Take the rows of ``batch`` and return what is ready."""

    def end(self) -> bytes:
        """Return the rest."""


class Lines:
    """Implements :class:`Rows` for NDJSON."""

    def __init__(self, contract: Contract, packer: Packer) -> None:
        self._encoder = RowEncoder(contract)
        self._packer = packer

    def pack(self, batch: Batch) -> bytes:
        """Take the rows of ``batch`` and return what is ready."""
        return self._packer.pack(self._encoder.encode(batch.rows))

    def end(self) -> bytes:
        """Return the rest."""
        return self._packer.end()


class Letters:
    """Implements :class:`Rows` for the dead letters of a batch in the place of its rows."""

    def __init__(self, encoder: DeadLetterEncoder) -> None:
        self._encoder = encoder

    def pack(self, batch: Batch) -> bytes:
        """Take the dead letters of ``batch`` and return them."""
        return self._encoder.encode(batch.dead_letters)

    def end(self) -> bytes:
        """Return nothing: nothing is held back."""
        return b""


def rows_of(output_format: OutputFormat, load: Load, contract: Contract) -> Rows:
    """Return what makes a part of the rows of ``contract``; the format is also the parts' extension.

    :raises MissingExtraError: a package that the format needs is not installed.
    """
    if output_format == "parquet":
        from airflow_provider_genesys.sinks.parquet import ParquetRows  # noqa: PLC0415 - an extra

        return ParquetRows(load, contract)
    return Lines(contract, Gzip() if output_format == "ndjson.gz" else Plain())
