"""What a format of parts has to do: take rows and return bytes."""

from __future__ import annotations

from typing import Literal, Protocol, TypeVar

from airflow_provider_genesys.contracts.column import Column
from airflow_provider_genesys.pipeline.load import Batch

Taken_contra = TypeVar("Taken_contra", contravariant=True)


class Table(Protocol):
    """The table that rows belong to: a contract, or one of its children. ``str()`` gives its name."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """In the order of a row."""


class Form(Protocol[Taken_contra]):
    """Turns a stream into bytes. Equal streams give equal bytes, no matter how they are cut into calls."""

    def pack(self, taken: Taken_contra, /) -> bytes:
        """Take the next piece of the stream and return the bytes that are ready."""

    def end(self) -> bytes:
        """Return the rest."""


Packer = Form[bytes]

Rows = Form[Batch]
"""The rows of one part. Equal rows at equal offsets give equal bytes, no matter how they are cut into batches."""

OutputFormat = Literal["ndjson.gz", "ndjson", "parquet"]

RowForm = Literal["ndjson.gz", "ndjson", "parquet", "iceberg"]
"""The form of rows: their format, or for ``iceberg`` Parquet as tables of Iceberg have it, with JSON as plain text."""
