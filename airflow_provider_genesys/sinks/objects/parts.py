"""What a form of rows has to do, and the writer of one object, which keeps little of it in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from airflow_provider_genesys.contracts.column import Column
from airflow_provider_genesys.pipeline.load import Batch
from airflow_provider_genesys.resolved import resolved
from airflow_provider_genesys.stores.base import ObjectStore
from airflow_provider_genesys.stores.piece_writer import LaterUpload, PieceWriter, UploadAhead

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


Rows = Form[Batch]
"""The rows of one part. Equal rows at equal offsets give equal bytes, no matter how they are cut into batches."""

OutputFormat = Literal["ndjson.gz", "ndjson", "parquet"]

RowForm = Literal["ndjson.gz", "ndjson", "parquet", "iceberg"]
"""The form of rows: their format, or for ``iceberg`` Parquet as tables of Iceberg have it, with JSON as plain text."""


@resolved
@dataclass(frozen=True)
class Part:
    """An object that the ledger lists: the rows, or the dead letters, of the records in bytes ``[start, end)``.

    ``bytes`` is its size and ``sha256`` its digest as stored, ``rows`` the number of its rows.
    """

    key: str
    start: int
    end: int
    rows: int
    bytes: int
    sha256: str
    etag: str


class PartWriter(Generic[Taken_contra]):
    """Writes one object: a small one in one request, a large one in pieces, none if there are no rows."""

    def __init__(self, store: ObjectStore, key: str, form: Form[Taken_contra]) -> None:
        self.key = key
        self.rows = 0
        self._form = form
        upload = LaterUpload(store, key)
        self._writer = PieceWriter(lambda body: store.put(key, body), lambda _: UploadAhead(upload))

    def write(self, taken: Taken_contra, rows: int) -> None:
        """Add ``taken``, which holds ``rows`` rows or dead letters of the part."""
        self.rows += rows
        self._writer.write(self._form.pack(taken))

    def close(self, start: int, end: int) -> Part | None:
        """Make the object visible and return it; None if it has no rows.

        :param start: offset of the first record, in unpacked source bytes.
        :param end: end of the last record, likewise.
        """
        if not self.rows:
            return None
        self._writer.write(self._form.end())
        etag = self._writer.complete()
        return Part(self.key, start, end, self.rows, self._writer.size, self._writer.digest.hexdigest(), etag)

    def abort(self) -> None:
        """Discard what was sent."""
        self._writer.abort()
