"""Renews a token in the background, so that a run of many hours never uses an expired one."""

from __future__ import annotations

import logging
import queue
import threading
import weakref

from airflow_provider_genesys.cloud.http.tokens import TokenSource

log = logging.getLogger(__name__)

IDLE = 86_400.0
"""Seconds after the last use of a token until the thread ends. No presigned URL, so no download, lives longer."""
LOOK = 60.0
"""Longest time, in seconds, between two looks at the token. After a 401, a new token may expire sooner."""
THREAD = "genesys-token-refresh"


class Refresher:
    """Gives out the tokens of a source and renews them in a thread. Thread-safe.

    The daemon thread starts with the first token. It ends when nothing refers to the refresher any more, or when no
    token was asked for during :data:`IDLE` seconds. The next request for a token starts it again.
    """

    def __init__(self, source: TokenSource) -> None:
        self._source = source
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._end: weakref.finalize[..., Refresher] | None = None

    def token(self) -> str:
        """Return a valid token. Raises as :meth:`.tokens.TokenSource.token` does."""
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
        # A SimpleQueue, because the garbage collector may call the finalizer at any moment, even during a get().
        ended: queue.SimpleQueue[None] = queue.SimpleQueue()
        thread = threading.Thread(target=_keep_fresh, args=(self._source, ended), name=THREAD, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            log.warning("The thread that renews tokens could not start: %s. Tokens are renewed when needed.", error)
            return
        if self._end:
            self._end.detach()
        self._thread, self._end = thread, weakref.finalize(self, ended.put, None)


def _keep_fresh(source: TokenSource, ended: queue.SimpleQueue[None]) -> None:
    # Refers to the source, not to the refresher: otherwise the refresher could never be collected.
    while source.idle() < IDLE:
        try:
            ended.get(timeout=min(source.due_in(), LOOK))
        except queue.Empty:
            source.refresh()
        else:
            return
