"""A TCP proxy that loses a request, or the answer to one that was carried out."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

Lost = Literal["request", "answer"]


class LosingProxy:
    """Passes everything on, but of the next :attr:`times` requests that contain :attr:`marker` it loses :attr:`lost`.

    The connection of a lost request is cut.
    """

    def __init__(self, host: str, port: int, marker: bytes) -> None:
        self.marker = marker
        self.lost: Lost = "answer"
        self.times = 0
        self._upstream = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for each in self._sockets:
            _end(each)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._upstream)
                self._sockets += [client, server]
                doomed = threading.Event()
                threading.Thread(target=self._requests, args=[client, server, doomed], daemon=True).start()
                threading.Thread(target=self._answers, args=[server, client, doomed], daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket, doomed: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if self.times and self.marker in data:
                    self.times -= 1
                    doomed.set()
                    if self.lost == "request":
                        break
                server.sendall(data)
        _end(client, server)

    def _answers(self, server: socket.socket, client: socket.socket, doomed: threading.Event) -> None:
        with suppress(OSError):
            while (data := server.recv(65536)) and not doomed.is_set():
                client.sendall(data)
        _end(client, server)


def _end(*sockets: socket.socket) -> None:
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@contextmanager
def losing_proxy(host: str, port: int, marker: bytes) -> Iterator[LosingProxy]:
    proxy = LosingProxy(host, port, marker)
    try:
        yield proxy
    finally:
        proxy.close()
