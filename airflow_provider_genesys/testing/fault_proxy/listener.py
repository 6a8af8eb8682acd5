"""The side of the proxy that faces the client: sockets, and how a connection is brought to a bad end."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fcntl import ioctl
from http.server import BaseHTTPRequestHandler
from termios import TIOCOUTQ
from typing import Any
from urllib.parse import SplitResult, urlsplit

from airflow_provider_genesys.testing.fake_genesys.server import Server
from airflow_provider_genesys.testing.fault_proxy.answer import Answer, Headers, asked, changed, made_up, spoilt
from airflow_provider_genesys.testing.fault_proxy.fault import Ending, Fault

_NO_LINGER = struct.pack("ii", 1, 0)
_TAKEN_WITHIN = 0.5  # seconds in which a client that reads takes something
_TICK = 0.05  # seconds between two pieces of a body that goes out slowly


@dataclass
class Seen:
    """A request. ``path`` has no query: that is where signatures are."""

    method: str
    path: str
    range: str | None
    if_match: str | None
    fault: Fault | None
    status: int | None = None
    """Status that was sent; None before it is sent."""
    sent: int = 0
    """Bytes of the body that were sent, the last piece perhaps in vain."""


class Listener(Server):
    """Takes connections, and TLS where there is a context for it.

    :param origin: where requests are sent on to.
    :param keep_host: whether the origin sees the Host that the client asked for.
    :param note: is called with every request, and returns the fault for it.
    """

    def __init__(
        self,
        address: tuple[str, int],
        origin: SplitResult,
        note: Callable[[Seen], Fault | None],
        *,
        keep_host: bool,
        tls: ssl.SSLContext | None,
    ) -> None:
        super().__init__(address, lambda _request: NotImplemented)  # what the fake's own handler would call
        self.origin = origin
        self.note = note
        self.keep_host = keep_host
        self.tls = tls
        self.closing = threading.Event()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection."""
        _Handler(request, client_address, self)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Take a connection. Its handshake happens in its own thread, with the first byte that is read."""
        connection, address = super().get_request()
        if self.tls:
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def close(self) -> None:
        """Stop, and break off whatever is still under way."""
        self.closing.set()
        super().close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Listener

    def handle(self) -> None:
        """Serve the connection until either side ends it."""
        with suppress(OSError, ValueError):  # it has gone; Python's TLS says so with a ValueError
            super().handle()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        seen = Seen(self.command, path, self.headers.get("Range"), self.headers.get("If-Match"), None)
        seen.fault = self.server.note(seen)
        fault = seen.fault or Fault()
        self.close_connection = self.close_connection or seen.fault is not None
        self.server.closing.wait(fault.wait)
        if fault.no_head:
            self._end(fault.then)
            return
        with ExitStack() as stack:
            self._send(spoilt(self._obtained(fault, body, stack), fault), fault, seen)

    def _obtained(self, fault: Fault, body: bytes, stack: ExitStack) -> Answer:
        """Return the answer, before anything but the request is spoilt."""
        if fault.body is not None:
            return made_up(fault, self.date_time_string())
        host = {} if self.server.keep_host else {"Host": self.server.origin.netloc}
        headers: Headers = changed(changed(list(self.headers.items()), host), fault.request_headers)
        try:
            return stack.enter_context(asked(self.server.origin, self.command, self.path, headers, body))
        except OSError as error:
            text = f"The origin does not answer: {error}\n".encode()
            return made_up(Fault(status=502, body=text), self.date_time_string())

    def _send(self, answer: Answer, fault: Fault, seen: Seen) -> None:
        self.close_connection = self.close_connection or answer.framing == "close"
        seen.status = answer.status  # noted before it is sent: anyone who has the answer finds it in the log
        self.connection.sendall(answer.head(fault, last=self.close_connection))
        if self.command != "HEAD" and answer.status not in (204, 304) and not self._send_body(answer, fault, seen):
            self._end(fault.then)
            return
        self.connection.sendall(fault.extra)
        self.server.closing.wait(fault.linger)

    def _send_body(self, answer: Answer, fault: Fault, seen: Seen) -> bool:
        """Send the body, or as much of it as the fault lets through. Return whether it was all."""
        chunked = answer.framing == "chunked"
        for piece in _pieces(answer.chunks, fault.rate):
            room = len(piece) if fault.after is None else min(len(piece), fault.after - seen.sent)
            start, end = (b"%x\r\n" % len(piece), b"\r\n") if chunked and room else (b"", b"")
            seen.sent += room
            self.connection.sendall(start + piece[:room] + (end if room == len(piece) else b""))
            if room < len(piece):
                return False
            if fault.rate:
                self.server.closing.wait(len(piece) / fault.rate)
        if fault.after is not None and seen.sent >= fault.after:
            return False
        if chunked:
            self.connection.sendall(b"0\r\n\r\n")
        return True

    def _end(self, how: Ending) -> None:
        """End the connection."""
        self.close_connection = True
        if how == "stall":
            self.connection.recv(1)
        elif how == "reset":
            self._drain()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self.rfile.close()  # it holds the connection open
            self.connection.close()

    def _drain(self) -> None:
        """Wait until the client's side has all that was sent, as long as it takes any: a reset throws away the rest."""
        last, since = None, time.monotonic()
        with suppress(OSError):  # not every system tells
            while queued := struct.unpack("i", ioctl(self.connection, TIOCOUTQ, b"\0" * 4))[0]:
                if queued != last:
                    last, since = queued, time.monotonic()
                if time.monotonic() - since > _TAKEN_WITHIN:
                    return
                time.sleep(0.001)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - names given by http.server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - name given by http.server
        """Leave the log to the proxy: this one would show signatures."""


def _pieces(chunks: Iterator[bytes], rate: float | None) -> Iterator[bytes]:
    """Cut ``chunks`` so small that ``rate`` bytes per second come evenly."""
    size = None if rate is None else max(1, round(rate * _TICK))
    for chunk in chunks:
        for start in range(0, len(chunk), size or len(chunk)):
            yield chunk[start : start + (size or len(chunk))]
