"""Reads ahead in a thread, up to a limit: download and unpacking overlap with decoding and the sink's writes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType


class Handover:
    """Runs ``source`` in a thread and hands its bytes over.

    :param source: makes the iterator to run. It is called and closed in the thread.
    :param stop: ends the thread's wait, so that the thread ends when the ``with`` block is left.
    :param limit: most bytes to hold, plus one chunk. When they are held, reading waits until some are taken.
    :param piece: most bytes to return at a time.
    """

    def __init__(
        self,
        source: Callable[[], Iterator[bytes]],
        *,
        stop: Callable[[], None] = lambda: None,
        limit: int = 1024 * 1024,
        piece: int = 512 * 1024,
    ) -> None:
        self._source = source
        self._stop = stop
        self._limit = limit
        self._piece = piece
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._ended = False
        self._stopped = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="genesys-read-ahead", daemon=True)

    def __enter__(self) -> Handover:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._stopped = True
            self._chunks.clear()
            self._changed.notify_all()
            ended = self._ended
        if not ended:
            self._stop()
        self._thread.join(timeout=5)  # a thread that is connecting cannot be woken; it ends by its own time-out

    def take(self, timeout: float) -> bytes | None:
        """Return the next bytes; None if none came within ``timeout`` seconds; ``b""`` at the end.

        :raises Exception: the source's error, after all bytes before it were taken.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._chunks or self._ended, timeout)
            if self._chunks:
                return self._gathered()
            if not self._ended:
                return None
            if self._error:
                raise self._error
            return b""

    def _gathered(self) -> bytes:
        taken = [self._chunks.popleft()]
        size = len(taken[0])
        while self._chunks and size + len(self._chunks[0]) <= self._piece:
            size += len(self._chunks[0])
            taken.append(self._chunks.popleft())
        self._held -= size
        self._changed.notify_all()
        return b"".join(taken)

    def _run(self) -> None:
        try:
            source = self._source()
            try:
                for chunk in source:
                    if not self._put(chunk):
                        break
            finally:
                if close := getattr(source, "close", None):
                    close()
        except BaseException as error:  # noqa: BLE001 - take() raises it again
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _put(self, chunk: bytes) -> bool:
        """Hold ``chunk`` and wait until there is room for the next one. Return False if no more is wanted."""
        with self._changed:
            if not self._stopped and chunk:
                self._chunks.append(chunk)
                self._held += len(chunk)
                self._changed.notify_all()
            self._changed.wait_for(lambda: self._held < self._limit or self._stopped)
            return not self._stopped
