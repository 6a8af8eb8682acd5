"""A TCP proxy that cuts a PostgreSQL connection around a COMMIT."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

Cut = Literal["before", "after"]


class Severed:
    """Passes everything on, until told to cut.

    :attr:`cut` says what happens to the next COMMIT, after :attr:`spare` of them: with ``before`` the server never
    sees it, with ``after`` it is carried out and only its answer is lost.
    """

    def __init__(self, host: str, port: int) -> None:
        self.cut: Cut | None = None
        self.spare = 0
        self.cuts = 0
        self._committing = False
        self._upstream = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._upstream)
                self._sockets += [client, server]
                threading.Thread(target=self._answers, args=[server, client], daemon=True).start()
                threading.Thread(target=self._requests, args=[client, server], daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                self._committing = self.cut is not None and b"COMMIT\0" in data and self._is_due()
                if self._committing and self.cut == "before":
                    break
                server.sendall(data)
        self._end(client, server)

    def _is_due(self) -> bool:
        self.spare -= 1
        return self.spare < 0

    def _answers(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if self._committing and self.cut == "after":
                    break
                client.sendall(data)
        self._end(client, server)

    def _end(self, *both: socket.socket) -> None:
        if self.cut:
            self.cut, self.cuts = None, self.cuts + 1
        for each in both:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextmanager
def severed(host: str, port: int) -> Iterator[Severed]:
    proxy = Severed(host, port)
    try:
        yield proxy
    finally:
        proxy.close()
