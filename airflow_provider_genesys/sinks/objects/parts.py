"""Writes one object in pieces, so that little of it is in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic

from airflow_provider_genesys.sinks.objects.form import Form, Taken_contra
from airflow_provider_genesys.stores.base import ObjectStore
from airflow_provider_genesys.stores.piece_writer import PieceWriter, UploadAhead


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
        self._writer = PieceWriter(lambda body: store.put(key, body), lambda _: UploadAhead(store.upload(key)))

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
