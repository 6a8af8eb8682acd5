"""One object, sent as its bytes come: at once where it is one piece, piece by piece where it is more."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Protocol

from airflow_provider_genesys.stores.base import MOST_PIECES, Body, Upload

PIECE = 8 * 1024 * 1024
"""Bytes sent at a time where nothing else is said. S3 wants at least 5 MiB."""


def piece_size(length: int | None) -> int:
    """Return how many bytes to send at a time, so that every store takes all pieces of an object.

    :param length: of the object in bytes; None where it is not known, which allows 80 GB.
    """
    return max(PIECE, -(-(length or 0) // MOST_PIECES))


class Digest(Protocol):
    """A hash of :mod:`hashlib`, or :class:`.read_through.Digests`."""

    def update(self, data: Body, /) -> None:
        """Take the next bytes."""

    def hexdigest(self) -> str:
        """Return the SHA-256 of all bytes of the object; empty where it is not known."""


class PieceWriter:
    """Fills a buffer and sends each whole piece. The last piece is kept back, so that it is never empty.

    :param put: writes an object that is one piece, and returns its ETag.
    :param begin: begins the upload of a larger object; it gets the first piece, which is sent afterwards.
    :param piece: bytes in each piece but the last; None for :data:`PIECE`.
    :param digest: takes what is sent; SHA-256 where it is None.
    :param upload: one to go on with, which has ``sent`` bytes.
    """

    def __init__(
        self,
        put: Callable[[Body], str],
        begin: Callable[[Body], Upload],
        *,
        piece: int | None = None,
        digest: Digest | None = None,
        upload: Upload | None = None,
        sent: int = 0,
    ) -> None:
        self.digest = digest or hashlib.sha256()
        self.sent = sent
        """Bytes that were given to the store."""
        self._put = put
        self._begin = begin
        self._piece = piece or PIECE
        self._upload = upload
        self._pending = bytearray()

    @property
    def size(self) -> int:
        """Bytes that were taken."""
        return self.sent + len(self._pending)

    def write(self, data: Body) -> Body:
        """Take the next bytes; return the last piece that was sent for it, empty where none was."""
        piece: Body = b""
        rest = memoryview(data)
        while len(self._pending) + len(rest) > self._piece:
            room = self._piece - len(self._pending)
            self._pending += rest[:room]
            rest = rest[room:]
            piece = self._send()
        self._pending += rest
        return piece

    def flush(self) -> Body:
        """Send the rest of an object that is sent in pieces, and return it; empty where there is none."""
        return self._send() if self._upload and self._pending else b""

    def complete(self) -> str:
        """Make the object appear and return its ETag."""
        if self._upload is None:
            piece = self._taken()
            return self._put(piece)
        self.flush()
        return self._upload.complete(self.digest.hexdigest())

    def abort(self) -> None:
        """Throw away what was sent."""
        if self._upload:
            self._upload.abort()

    def _send(self) -> Body:
        # A new buffer for each piece: the old one may be on its way for a while yet.
        if self._upload is None:
            self._upload = self._begin(self._pending)
        piece = self._taken()
        self._upload.send(piece)
        return piece

    def _taken(self) -> Body:
        piece, self._pending = self._pending, bytearray()
        self.digest.update(piece)
        self.sent += len(piece)
        return piece


class UploadAhead:
    """Implements :class:`.stores.base.Upload` around another one: sends in a thread, one piece at a time.

    What goes wrong with a piece is raised by the next call. One piece is held while it is sent, no more.

    :param upload: used by the thread alone while a piece is on its way.
    """

    def __init__(self, upload: Upload) -> None:
        self._upload = upload
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="genesys-upload")
        self._sending: Future[None] | None = None

    def send(self, piece: Body) -> None:
        """Let ``piece`` be sent, once the piece before it is there."""
        self._settle()
        self._sending = self._thread.submit(self._upload.send, piece)

    def complete(self, sha256: str) -> str:
        """Make the object appear, once all pieces are there."""
        self._settle()
        self._thread.shutdown()
        return self._upload.complete(sha256)

    def abort(self) -> None:
        """Throw away what was sent; what is on its way is waited for, or the store would keep it."""
        with suppress(Exception):  # it led here, or does not matter any more
            self._settle()
        self._thread.shutdown()
        self._upload.abort()

    def _settle(self) -> None:
        sending, self._sending = self._sending, None
        if sending:
            sending.result()
