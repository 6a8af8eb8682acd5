"""Keeps a token fresh in the background, so that a run of hours never meets one that has expired."""

from __future__ import annotations

import logging
import queue
import threading
import weakref

from airflow_provider_genesys.cloud.http.tokens import TokenSource

log = logging.getLogger(__name__)

IDLE = 86_400.0
"""Seconds without a question after which a token is let go: no URL, and so no download, lives longer without one."""
LOOK = 60.0
"""Seconds between two looks at the token, at most: a 401 may have had it replaced by one that dies sooner."""
THREAD = "genesys-token-refresh"


class Refresher:
    """Gives out the tokens of a source, and keeps them fresh for as long as somebody refers to it.

    Its daemon thread starts with the first token. It ends when nobody refers to the refresher any more, or when nobody
    has asked for a token for :data:`IDLE` seconds; the next question starts it again. Thread-safe.
    """

    def __init__(self, source: TokenSource) -> None:
        self._source = source
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._end: weakref.finalize[..., Refresher] | None = None

    def token(self) -> str:
        """Return a token that is still good. Raises as :meth:`.tokens.TokenSource.token` does."""
        token = self._source.token()
        if not self._runs():
            with self._starting:
                self._start()
        return token

    def _runs(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _start(self) -> None:
        if self._runs():
            return
        # A SimpleQueue, since the garbage collector may call the finalizer in the midst of anything, even of a get().
        ended: queue.SimpleQueue[None] = queue.SimpleQueue()
        thread = threading.Thread(target=_keep_fresh, args=(self._source, ended), name=THREAD, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            log.warning("Tokens are not renewed in the background, but when they are needed: %s.", error)
            return
        if self._end:
            self._end.detach()
        self._thread, self._end = thread, weakref.finalize(self, ended.put, None)


def _keep_fresh(source: TokenSource, ended: queue.SimpleQueue[None]) -> None:
    # It knows the source, not the refresher, which could otherwise never be let go.
    while source.idle() < IDLE:
        try:
            ended.get(timeout=min(source.due_in(), LOOK))
        except queue.Empty:
            source.refresh()
        else:
            return
