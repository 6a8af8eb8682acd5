"""What a format of parts has to offer: it takes rows and gives bytes."""

from __future__ import annotations

from typing import Literal, Protocol, TypeVar

from airflow_provider_genesys.contracts.column import Column
from airflow_provider_genesys.pipeline.load import Batch

Taken_contra = TypeVar("Taken_contra", contravariant=True)


class Table(Protocol):
    """What rows are rows of: a contract, or one of its children. ``str()`` of it says which."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """In the order of a row."""


class Form(Protocol[Taken_contra]):
    """Makes bytes of a stream; equal streams give equal bytes, however they are cut into calls."""

    def pack(self, taken: Taken_contra, /) -> bytes:
        """Take the next of the stream and return what is ready."""

    def end(self) -> bytes:
        """Return the rest."""


Packer = Form[bytes]

Rows = Form[Batch]
"""The rows of one part: equal rows at equal places give equal bytes, whatever batches they come in."""

OutputFormat = Literal["ndjson.gz", "ndjson", "parquet"]
