"""Hands out the media of recordings at next to no cost: ``python -m benchmarks.media_server FOLDER MB MB``.

Conversation ``n`` has one recording, whose media has so many MB, from the first number to the second, the same for
whoever asks. The kernel copies it straight to the socket (``sendfile``). Prints its connection as a line of JSON, and
serves until its input ends.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """Answers what a load of media asks."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else head and body of a small answer come 40 ms apart
    file = Path()
    sizes = (0, 0)
    batches: dict[str, list[dict[str, str]]] = {}  # noqa: RUF012 - shared by all connections

    def do_POST(self) -> None:
        """Give a token, or take a batch request."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path == "/oauth/token":
            self._send({"access_token": "token", "expires_in": 86_400})
            return
        batch = str(len(self.batches))
        self.batches[batch] = json.loads(body)["batchDownloadRequestList"]
        self._send({"id": batch})

    def do_GET(self) -> None:
        """Give what is known of a conversation's recordings, a batch, or a file."""
        kind, name = self.path.split("/")[-2:]
        answers: dict[str, Callable[[str], Any]] = {"batchrequests": self._batch, "recording": self._settings}
        if kind == "media":
            self._media(name)
        elif name == "recordingmetadata":
            self._send([{"id": f"of-{kind}"}])
        else:
            self._send(answers[kind](name))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        """Log nothing."""

    def _batch(self, name: str) -> dict[str, Any]:
        host = self.headers["Host"]
        results = [
            {**asked, "resultUrl": f"http://{host}/media/{asked['conversationId']}", "contentType": "audio/ogg"}
            for asked in self.batches[name]
        ]
        return {"status": "Completed", "results": results}

    def _settings(self, _: str) -> dict[str, Any]:
        return {"recordingBatchDownloadUrlTtl": 60}

    def _media(self, conversation: str) -> None:
        size = Random(conversation).randint(*self.sizes)  # noqa: S311 - made up, not secret
        self._begin("audio/ogg", size)
        self.wfile.flush()
        with self.file.open("rb") as file:
            self.connection.sendfile(file, 0, size)

    def _send(self, body: Any) -> None:
        text = json.dumps(body).encode()
        self._begin("application/json", len(text))
        self.wfile.write(text)

    def _begin(self, content_type: str, length: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(length))
        self.end_headers()


def main() -> None:
    """Serve."""
    folder, *sizes = sys.argv[1:]
    least, most = (int(size) * 1_000_000 for size in sizes)
    Handler.file, Handler.sizes = Path(folder) / "media", (least, most)
    with Handler.file.open("wb") as file:
        file.write(b"OggS")  # a file of zero bytes only is taken for no recording
        file.truncate(most)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        extra = {"login_url": url, "allow_insecure": True, "requests_per_minute": 10_000_000}
        extra["allowed_download_hosts"] = "127.0.0.1"
        print(json.dumps({"login": "bench", "password": "bench", "host": url, "extra": extra}), flush=True)
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main()
