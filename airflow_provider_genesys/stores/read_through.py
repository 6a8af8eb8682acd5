"""Reads one object: from beginning to end with its digests, or as a file."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from isal import isal_zlib

from airflow_provider_genesys.exceptions import AccountError, SinkUnavailableError
from airflow_provider_genesys.stores.base import Body, ObjectStore

PIECE = 8 * 2**20
"""Bytes read at once."""


@dataclass
class Digests:
    """CRC-32 and SHA-256 of bytes as they come. A CRC-32 can continue after a restart; SHA-256 cannot.

    :param sha256: of ``hashlib``; None if an earlier process wrote the first bytes.
    """

    crc32: int = 0
    sha256: Any = None

    def update(self, data: Body, /) -> None:
        """Take the next bytes."""
        self.crc32 = isal_zlib.crc32(data, self.crc32)
        if self.sha256:
            self.sha256.update(data)

    def hexdigest(self) -> str:
        """Return the SHA-256; empty if it is not known."""
        return self.sha256.hexdigest() if self.sha256 else ""


@dataclass(frozen=True)
class FoundObject:
    """Size and digests of an object."""

    size: int
    sha256: str
    etag: str
    crc32: int


def read_through(store: ObjectStore, key: str, *, size: int) -> FoundObject | None:
    """Read an object of ``size`` bytes. Return None if there is none of that size, or if it changes meanwhile."""
    stored = next((one for one in store.list_objects(key) if (one.key, one.size) == (key, size)), None)
    if stored is None:
        return None
    digests = Digests(sha256=hashlib.sha256())
    for start in range(0, size, PIECE):
        piece = store.read(key, start, PIECE, etag=stored.etag)
        if piece is None:
            return None
        digests.update(piece)
    return FoundObject(size, digests.sha256.hexdigest(), stored.etag, digests.crc32)


def completed(request: Callable[[], str], store: ObjectStore, key: str, *, size: int, sha256: str) -> str:
    """Return the ETag of the object that ``request`` completes.

    The request may have succeeded although its response was lost. Then the object is read, and its digest compared.

    :raises SinkUnavailableError: the request failed, and there is no such object.
    """
    try:
        return request()
    except SinkUnavailableError:
        found = read_through(store, key, size=size)
        if found is None or found.sha256 != sha256:
            raise
        return found.etag


class StoredFile(io.RawIOBase):
    """An object as a file to read; each read is one request.

    :param size: bytes of the object.
    :param etag: if given, the object must not change.
    :raises AccountError: by a read, if the object is gone or has changed.
    """

    def __init__(self, store: ObjectStore, key: str, size: int, *, etag: str | None = None) -> None:
        self._store = store
        self._key = key
        self._size = size
        self._etag = etag
        self._at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the place of the next read."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place."""
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` with bytes from here on, as far as the object goes."""
        length = min(len(buffer), max(0, self._size - self._at))
        body = self._store.read(self._key, self._at, length, etag=self._etag) if length else b""
        if body is None or len(body) != length:
            raise AccountError(
                f"{self._store.url}/{self._key} is no longer there, or has changed. Something else removes or writes "
                "objects below this prefix: find it, and load the window again."
            )
        buffer[:length] = body
        self._at += length
        return length
