"""A file server that is not the bottleneck: ``python -m benchmarks.file_server FOLDER`` prints its URL and serves.

The kernel copies files straight to the socket (``sendfile``). Ranges and ETags are what a load needs to resume;
``?rate=N`` is a link of N bytes a second.
"""

from __future__ import annotations

import re
import sys
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    """Answers GET for a file of :attr:`folder`."""

    protocol_version = "HTTP/1.1"
    folder = Path()

    def do_GET(self) -> None:
        """Send the file, or its bytes from the Range's start on."""
        name, _, rate = self.path.partition("?rate=")
        path = self.folder / Path(name).name
        with path.open("rb") as file:
            size = path.stat().st_size
            wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            start = int(wanted.group(1)) if wanted else 0
            self.send_response(206 if wanted else 200)
            if wanted:
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            self.send_header("ETag", f'"{path.name}"')
            self.send_header("Content-Length", str(size - start))
            self.end_headers()
            self.wfile.flush()
            with suppress(ConnectionError):  # whoever has enough, goes
                if rate:
                    self._trickle(file.read(), int(rate))
                else:
                    self.connection.sendfile(file, start)

    def _trickle(self, body: bytes, rate: int) -> None:
        """Send ``rate`` bytes a second, a hundredth of them at a time."""
        piece = rate // 100
        for place in range(0, len(body), piece):
            self.connection.sendall(body[place : place + piece])
            time.sleep(0.01)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main(folder: str) -> None:
    """Serve ``folder`` until the process is ended."""
    Handler.folder = Path(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
