"""One object, written as its bytes come and with little of it in memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Generic

from airflow_provider_genesys.sinks.objects.form import Form, Taken_contra
from airflow_provider_genesys.stores.base import ObjectStore, Upload
from airflow_provider_genesys.stores.upload_ahead import UploadAhead

PIECE = 8 * 1024 * 1024
"""Bytes sent at a time. S3 wants at least 5 MiB and takes 10,000 pieces: 80 GB to an object."""


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
    """Writes one object: at once where it is small, in pieces where it is not, not at all where it has no rows."""

    def __init__(self, store: ObjectStore, key: str, form: Form[Taken_contra]) -> None:
        self.key = key
        self.rows = 0
        self._store = store
        self._form = form
        self._pending = bytearray()
        self._upload: Upload | None = None
        self._size = 0
        self._sha256 = hashlib.sha256()

    def write(self, taken: Taken_contra, rows: int) -> None:
        """Take what the part holds of ``taken``: ``rows`` rows or dead letters."""
        self.rows += rows
        self._take(self._form.pack(taken))
        while len(self._pending) > PIECE:
            self._send(bytes(memoryview(self._pending)[:PIECE]))
            del self._pending[:PIECE]

    def close(self, start: int, end: int) -> Part | None:
        """Make the object appear; None where it has no rows.

        :param start: of the first record, in unpacked source bytes.
        :param end: of the last record.
        """
        if not self.rows:
            return None
        self._take(self._form.end())
        etag = self._complete(bytes(self._pending))
        return Part(self.key, start, end, self.rows, self._size, self._sha256.hexdigest(), etag)

    def abort(self) -> None:
        """Throw away what was sent."""
        if self._upload:
            self._upload.abort()

    def _take(self, packed: bytes) -> None:
        self._pending += packed
        self._size += len(packed)
        self._sha256.update(packed)

    def _send(self, piece: bytes) -> None:
        if self._upload is None:
            self._upload = UploadAhead(self._store.upload(self.key))
        self._upload.send(piece)

    def _complete(self, last: bytes) -> str:
        if self._upload is None:
            return self._store.put(self.key, last)
        self._upload.send(last)
        return self._upload.complete(self._sha256.hexdigest())
