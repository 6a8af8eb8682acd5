"""The HTTP/1.1 server: one thread per connection, large bodies are written without a copy."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from airflow_provider_genesys.testing.fake_genesys.messages import Request, Response


class Server(ThreadingTCPServer):
    """Answers requests with ``handle`` until it is closed; then no connection and no thread is left.

    :param handle: called in the connection's thread.
    """

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handle: Callable[[Request], Response]) -> None:
        super().__init__(address, _Handler)
        self.handle = handle
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), name="fake-genesys", daemon=True)

    def start(self) -> None:
        """Serve from a separate thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop, and break off running requests."""
        self.shutdown()
        self._thread.join()
        for connection, thread in tuple(self._connections.items()):
            with suppress(OSError):  # it may have gone already
                connection.shutdown(socket.SHUT_RDWR)
            thread.join()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve the connection in a thread, and remember both for :meth:`close`."""
        arguments = (request, client_address)
        thread = threading.Thread(target=self.process_request_thread, args=arguments, daemon=True)
        self._connections[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection."""
        self._connections.pop(request, None)
        super().shutdown_request(request)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "fake-genesys"
    sys_version = ""
    disable_nagle_algorithm = True
    server: Server

    def handle(self) -> None:
        """Serve the connection until either side ends it."""
        with suppress(ConnectionError):
            super().handle()

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        request = Request(self.command, unquote(parts.path), query, self.headers, body)  # type: ignore[arg-type]
        self._write(self.server.handle(request))

    def _write(self, response: Response) -> None:
        body = response.body
        length = len(body) if isinstance(body, bytes) else body.stop - body.start
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if response.status != 204:  # noqa: PLR2004 - No Content has no length either
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command == "HEAD":
            return
        if isinstance(body, bytes):
            self.wfile.write(body)
        else:
            body.stored.send_to(self.connection, body.start, body.stop)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - names given by http.server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - name given by http.server
        """Leave the log to the fake: this one would show signatures."""
