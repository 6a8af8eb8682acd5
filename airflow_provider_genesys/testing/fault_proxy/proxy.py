"""The proxy itself: its origin, the planned faults, and the requests that it received."""

from __future__ import annotations

import itertools
import logging
import ssl
import threading
from collections import deque
from collections.abc import Iterator
from urllib.parse import urlsplit

from airflow_provider_genesys.testing.fault_proxy.fault import Fault
from airflow_provider_genesys.testing.fault_proxy.listener import Listener, Seen

logger = logging.getLogger(__name__)


class FaultProxy:
    """Is placed in front of an HTTP server and spoils the answers that it is asked to spoil.

    ``with FaultProxy("http://127.0.0.1:8080") as proxy: ...``. Requests go to the origin with their path and query
    untouched, so presigned URLs stay valid; :meth:`front` puts the proxy into one.

    :param origin: base URL of the server, http or https.
    :param host: address to listen on.
    :param port: 0 takes a free one.
    :param keep_host: True lets the origin see the Host that the client asked for, so that the links that it makes of
        it lead through the proxy too. False sends the origin's own, for servers that check it, as Amazon S3 does.
    :param tls: a server context, to speak https to the client.
    """

    def __init__(
        self,
        origin: str,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        keep_host: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._origin = urlsplit(origin)
        if self._origin.scheme not in ("http", "https") or not self._origin.hostname:
            raise ValueError(f"The origin must be an http or https URL, not {origin.partition('?')[0]!r}.")
        self._address = (host, port)
        self._keep_host = keep_host
        self._tls = tls
        self._plans: list[tuple[str, Iterator[Fault | None]]] = []
        self._lock = threading.Lock()
        self._listener: Listener | None = None
        self.requests: deque[Seen] = deque(maxlen=10_000)
        """What was asked, oldest first."""

    def start(self) -> FaultProxy:
        """Listen."""
        self._listener = Listener(self._address, self._origin, self._note, keep_host=self._keep_host, tls=self._tls)
        self._address = self._listener.server_address[:2]  # type: ignore[assignment]  # typeshed allows for bytes
        self._listener.start()
        return self

    def close(self) -> None:
        """Stop listening and break off what is under way."""
        if self._listener:
            self._listener.close()
            self._listener = None

    def __enter__(self) -> FaultProxy:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Base URL; the port is the real one once the proxy has started."""
        scheme = "https" if self._tls else "http"
        return f"{scheme}://{self._address[0]}:{self._address[1]}"

    def front(self, url: str) -> str:
        """Return ``url``, which leads to the origin, such that it leads through the proxy."""
        mine = urlsplit(self.url)
        return urlsplit(url)._replace(scheme=mine.scheme, netloc=mine.netloc).geturl()

    def plan(self, *faults: Fault | None, path: str = "/", forever: bool = False) -> None:
        """Spoil the next requests whose path begins with ``path``, one fault each, in this order.

        :param faults: None lets a request pass as it is. When all are used up, requests pass again.
        :param forever: start again instead.
        """
        with self._lock:
            self._plans.append((path, itertools.cycle(faults) if forever else iter(faults)))

    def clear(self) -> None:
        """Forget what is planned."""
        with self._lock:
            self._plans.clear()

    def _note(self, seen: Seen) -> Fault | None:
        fault = self._next(seen.path)
        self.requests.append(seen)
        logger.info("%s %s %s: %s", seen.method, seen.path, seen.range or "", fault or "passes")
        return fault

    def _next(self, path: str) -> Fault | None:
        nothing = object()
        with self._lock:
            for prefix, faults in self._plans:
                if path.startswith(prefix):
                    fault = next(faults, nothing)
                    if fault is not nothing:
                        return fault  # type: ignore[return-value]  # what is not nothing is a fault or None
        return None
