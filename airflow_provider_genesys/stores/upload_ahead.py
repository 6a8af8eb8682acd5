"""Pieces of an object are sent while the next one is made."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from airflow_provider_genesys.stores.base import Body, Upload


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
