"""A server whose responses trickle: no single wait is long, and the whole has no end."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Trickle:
    """A server that sends a byte of ``text`` every 50 ms, and never more than that."""

    def __init__(self, before: bytes, again: bytes) -> None:
        self._before, self._again = before, again
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):  # the listener is closed
            while True:
                connection, _ = self._listener.accept()
                with connection, suppress(OSError):
                    connection.recv(65536)
                    connection.sendall(self._before)
                    while not self._ended.wait(0.05):
                        connection.sendall(self._again)

    def close(self) -> None:
        self._ended.set()
        with suppress(OSError):  # it may have ended already
            self._listener.shutdown(socket.SHUT_RDWR)  # which wakes the thread that accepts, as close() does not
        self._listener.close()
        self._thread.join(5)


TRICKLES = {
    "header": (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"),
    "interim": (b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    "body": (b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"x"),
    "chunk's head": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;", b"x"),
}
"""What is sent at once, and what again and again."""
