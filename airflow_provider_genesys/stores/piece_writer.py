"""Sends one object while its bytes come: in one request if it is small, else piece by piece."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from airflow_provider_genesys.stores.base import MOST_PIECES, PIECE_UNIT, Body, ResumableUpload, SentPieces, Upload

PIECE = 8 * 1024 * 1024
"""Bytes sent at a time, by default. S3 demands at least 5 MiB."""


def piece_size(length: int | None) -> int:
    """Return how many bytes to send at a time, so that no store has too many pieces of an object.

    :param length: of the object in bytes; None if it is not known, which allows 80 GB.
    """
    least = -(-(length or 0) // MOST_PIECES)
    return PIECE if least <= PIECE else -(-least // PIECE_UNIT) * PIECE_UNIT


class Digest(Protocol):
    """A hash of :mod:`hashlib`, or :class:`.read_through.Digests`."""

    def update(self, data: Body, /) -> None:
        """Take the next bytes."""

    def hexdigest(self) -> str:
        """Return the SHA-256 of all bytes of the object; empty if it is not known."""


class PieceWriter:
    """Fills a buffer and sends each full piece. A full piece waits until more bytes come, so the last is never empty.

    :param put: writes an object that has only one piece, and returns its ETag.
    :param begin: begins the upload of a larger object. It gets the first piece but does not send it.
    :param piece: bytes in each piece but the last; None for :data:`PIECE`.
    :param digest: gets all bytes that are sent; None for SHA-256.
    :param upload: an upload to continue, which has ``sent`` bytes already.
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
        """Number of bytes that were sent to the store, or are about to be sent."""
        self._put = put
        self._begin = begin
        self._piece = piece or PIECE
        self._upload = upload
        self._pending = bytearray()
        self._last: Body | None = None

    @property
    def size(self) -> int:
        """Number of bytes that were written, including those still in the buffer."""
        return self.sent + len(self._pending)

    def write(self, data: Body) -> Body:
        """Take the next bytes. Return the last piece that this call sent; empty if it sent none."""
        piece: Body = b""
        rest = memoryview(data)
        while len(self._pending) + len(rest) > self._piece:
            room = self._piece - len(self._pending)
            self._pending += rest[:room]
            rest = rest[room:]
            piece = self._send()
        self._pending += rest
        return piece

    def end(self) -> None:
        """Take no more bytes: from now on ``digest`` is that of the whole object. The last piece is not sent yet."""
        if self._last is None:
            self._last = self._taken()

    def complete(self) -> str:
        """Send the last piece, make the object appear and return its ETag."""
        self.end()
        last = self._last or b""
        return self._upload.complete(last, self.digest.hexdigest()) if self._upload else self._put(last)

    def abort(self) -> None:
        """Discard what was sent."""
        if self._upload:
            self._upload.abort()

    def _send(self) -> Body:
        # A new buffer for each piece: a thread may still be sending the old one.
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
    """Wraps a :class:`.stores.base.ResumableUpload` and sends its pieces in a thread, one at a time.

    If sending a piece fails, the next call raises the error. At most one piece is held while it is sent.

    :param upload: only the thread uses it while a piece is being sent.
    """

    def __init__(self, upload: ResumableUpload) -> None:
        self._upload = upload
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="genesys-upload")
        self._sending: Future[None] | None = None

    def send(self, piece: Body) -> None:
        """Wait until the piece before is sent, and start sending ``piece``."""
        self._settle()
        self._sending = self._thread.submit(self._upload.send, piece)

    def complete(self, last: Body, sha256: str) -> str:
        """Wait until all pieces are sent, send the last and make the object appear."""
        self._settle()
        self._thread.shutdown()
        return self._upload.complete(last, sha256)

    def abort(self) -> None:
        """Discard what was sent. First wait for the piece that is being sent, or the store would keep it."""
        self.close()
        self._upload.abort()

    def close(self) -> None:
        """Send no more, after the piece that is being sent. The store keeps what it has."""
        self._thread.shutdown()

    def sent(self) -> SentPieces:
        """Wait until all pieces are sent, and return what is needed to continue after them."""
        self._settle()
        return self._upload.sent

    def _settle(self) -> None:
        sending, self._sending = self._sending, None
        if sending:
            sending.result()
