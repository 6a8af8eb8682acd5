"""Sends one object while its bytes come: in one request if it is small, else piece by piece."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from airflow_provider_genesys.stores.base import (
    MOST_PIECES,
    PIECE_UNIT,
    Body,
    NumberedUpload,
    ObjectStore,
    ResumableUpload,
    SentPieces,
    Upload,
)

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


class LaterUpload:
    """Implements :class:`.stores.base.ResumableUpload`: an upload that begins with its first piece.

    In :class:`UploadAhead` that is in the thread, so that nobody else waits for the store to answer.
    """

    def __init__(self, store: ObjectStore, key: str) -> None:
        self._store = store
        self._key = key
        self._begun: ResumableUpload | None = None

    @property
    def sent(self) -> SentPieces:
        """What was sent so far. It has no name before the first piece."""
        return self._begun.sent if self._begun else SentPieces(self._key, "")

    def send(self, piece: Body) -> None:
        """Send the next piece."""
        self._upload().send(piece)

    def complete(self, last: Body, sha256: str) -> str:
        """Send the last piece and make the object appear."""
        return self._upload().complete(last, sha256)

    def abort(self) -> None:
        """Discard what was sent."""
        if self._begun:
            self._begun.abort()

    def _upload(self) -> ResumableUpload:
        self._begun = self._begun or self._store.upload(self._key)
        return self._begun


class UploadAhead:
    """Wraps a :class:`.stores.base.ResumableUpload` and sends its pieces in threads.

    If sending a piece fails, each later call raises the error.

    :param upload: only the threads use it while a piece is being sent.
    :param at_once: pieces to send at once, which are held meanwhile; one, unless the store numbers them.
    """

    def __init__(self, upload: ResumableUpload, *, at_once: int = 1) -> None:
        self._upload = upload
        self._next_piece = upload.next_piece if isinstance(upload, NumberedUpload) else lambda: upload.send
        self._at_once = at_once if isinstance(upload, NumberedUpload) else 1
        self._thread = ThreadPoolExecutor(max_workers=self._at_once, thread_name_prefix="genesys-upload")
        self._sending: deque[Future[None]] = deque()

    def send(self, piece: Body) -> None:
        """Wait until a thread is free, and let it send ``piece``."""
        self._settle(self._at_once - 1)
        self._sending.append(self._thread.submit(self._next_piece(), piece))

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

    def _settle(self, left: int = 0) -> None:
        """Wait until only ``left`` pieces are on their way."""
        while len(self._sending) > left:
            self._sending[0].result()
            self._sending.popleft()
