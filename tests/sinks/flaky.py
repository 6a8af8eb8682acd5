"""A proxy in front of an S3 endpoint that fails requests as a test says."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit

Fault = Literal[
    "refuse", "slow-down", "internal-error", "lose-answer", "stall", "error-in-200", "deny", "expire", "not-implemented"
]
FAULTS: tuple[Fault, ...] = ("refuse", "slow-down", "internal-error", "lose-answer", "stall")
"""Those that pass, and that every request can meet."""

Rule = Callable[[str, str], Fault | None]
"""Told method and path with query, says what happens to the request; None lets it through."""

STALL = 0.5
"""Seconds without an answer, for clients that give up after half of it."""
SHORT_STALL = 0.05
"""Seconds without an answer, for clients whose patience is longer: they see that the connection is closed."""

_ANSWERS: dict[Fault, tuple[int, str]] = {
    "slow-down": (503, "SlowDown"),
    "internal-error": (500, "InternalError"),
    "error-in-200": (200, "InternalError"),
    "deny": (403, "AccessDenied"),
    "expire": (400, "ExpiredToken"),
    "not-implemented": (501, "NotImplemented"),
}


class FlakyProxy:
    """``rule`` decides about every request; ``seen`` holds them."""

    def __init__(self, upstream: str, stall: float) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.stall = stall
        self.rule: Rule = lambda _method, _path: None
        self.seen: list[tuple[str, str]] = []
        self.endpoint_url = ""

    def fail(self, method: str, part: str, fault: Fault, times: int = 1) -> None:
        """Fail the next ``times`` requests of ``method`` whose path or query has ``part``."""
        left = iter(range(times))
        self.rule = lambda m, path: fault if m == method and part in path and next(left, None) is not None else None

    def fail_each(self, requests: Sequence[tuple[str, str]], turn: int) -> dict[tuple[str, str], Fault]:
        """Fail each of ``requests`` once, neighbours in different ways; return those that have not come yet.

        :param turn: the number of the first one's fault. When all of FAULTS have had their turn, every request has
            met every fault.
        """
        left = {request: FAULTS[(turn + place) % len(FAULTS)] for place, request in enumerate(requests)}

        def rule(method: str, path: str) -> Fault | None:
            met = next((request for request in left if request[0] == method and request[1] in path), None)
            return left.pop(met) if met else None

        self.rule = rule
        return left

    def count(self, method: str, part: str) -> int:
        """Return how many such requests there were."""
        return sum(m == method and part in path for m, path in self.seen)


@contextmanager
def flaky_proxy(upstream: str, stall: float = STALL) -> Iterator[FlakyProxy]:
    """Serve on a free loopback port."""
    proxy = FlakyProxy(upstream, stall)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": proxy}))
    proxy.endpoint_url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    proxy: FlakyProxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.proxy.seen.append((self.command, self.path))
        fault = self.proxy.rule(self.command, self.path)
        if fault in _ANSWERS:
            status, code = _ANSWERS[fault]
            self._answer(status, f"<Error><Code>{code}</Code><Message>told so</Message></Error>".encode())
        elif fault in {"refuse", "stall"}:
            time.sleep(self.proxy.stall if fault == "stall" else 0)
            self.close_connection = True
        else:
            self._forward(body, lose=fault == "lose-answer")

    def _forward(self, body: bytes, *, lose: bool) -> None:
        upstream = http.client.HTTPConnection(self.proxy.upstream, timeout=30)
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            upstream.putheader(name, value)
        upstream.endheaders(body or None)
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        if lose:
            self.close_connection = True
        else:
            self._answer(answer.status, content, answer.getheaders())

    def _answer(self, status: int, content: bytes, headers: list[tuple[str, str]] | None = None) -> None:
        self.send_response(status)
        for name, value in headers or [("Content-Type", "application/xml")]:
            if name.lower() not in {"content-length", "connection", "transfer-encoding", "server", "date"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle  # noqa: N815 - the names that http.server calls

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
