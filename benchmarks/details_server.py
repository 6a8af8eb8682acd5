"""Hands out the pages of a details job at next to no cost: ``python -m benchmarks.details_server FOLDER PAGES SIZE``.

The fake Genesys Cloud makes the pages, once, into files: making them takes longer than loading them. Prints its
connection as a line of JSON, and serves until its standard input ends.
"""

from __future__ import annotations

import json
import shutil
import sys
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from airflow_provider_genesys.testing.fake_genesys.conversations import Interactions
from benchmarks.archives import DAY

AVAILABLE = '"dataAvailabilityDate":"2030-01-01T00:00:00.000Z"'


def write_pages(folder: Path, pages: int, size: int) -> None:
    """Write the answers, each of ``size`` conversations, of which the last names no other."""
    organization = Interactions(pages * size, seed=1)
    numbers = organization.of(DAY, DAY + timedelta(days=1), by_start_day=True)
    for page in range(pages):
        records = b",".join(map(organization.render, numbers[page * size : (page + 1) * size]))
        cursor = f'"cursor":"{page + 1}",' if page + 1 < pages else ""
        (folder / str(page)).write_bytes(b'{"conversations":[%b],%b}' % (records, (cursor + AVAILABLE).encode()))


class Handler(BaseHTTPRequestHandler):
    """Answers what a load asks."""

    protocol_version = "HTTP/1.1"
    folder: Path
    pages_below, page_parameter = "/results", "cursor"

    def do_POST(self) -> None:
        """Give a token, or create the one job."""
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        token = self.path == "/oauth/token"
        self._send({"access_token": "token", "expires_in": 86_400} if token else {"jobId": "job"})

    def do_GET(self) -> None:
        """Give the state of the job, or a page."""
        asked = urlsplit(self.path)
        if not asked.path.endswith(self.pages_below):
            self._send({"state": "FULFILLED"})
            return
        path = self.folder / parse_qs(asked.query).get(self.page_parameter, ["0"])[0]
        self._begin(path.stat().st_size)
        with path.open("rb") as page:
            shutil.copyfileobj(page, self.wfile, 1024 * 1024)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        """Log nothing."""

    def _send(self, body: dict[str, object]) -> None:
        text = json.dumps(body).encode()
        self._begin(len(text))
        self.wfile.write(text)

    def _begin(self, length: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length))
        self.end_headers()


def main() -> None:
    """Write the pages, and serve them."""
    folder, pages, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    write_pages(folder, pages, size)
    serve(folder, Handler)


def serve(folder: Path, handler: type[Handler]) -> None:
    """Serve what is in ``folder`` until standard input ends; print the connection."""
    handler.folder = folder
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        extra = {"login_url": url, "allow_insecure": True, "requests_per_minute": 1_000_000}
        print(json.dumps({"login": "bench", "password": "bench", "host": url, "extra": extra}), flush=True)
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main()
