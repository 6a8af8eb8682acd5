"""Reads one object from beginning to end, piece by piece, and computes its digests."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from typing import Any

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
        self.crc32 = zlib.crc32(data, self.crc32)
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
