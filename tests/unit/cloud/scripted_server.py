"""A real HTTP server on loopback that answers as a test says, and remembers what it was asked."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN_PATH = "/oauth/token"  # noqa: S105 -- a path


@dataclass(frozen=True)
class Reply:
    """One answer. ``body`` is bytes, or what becomes JSON; ``drip`` seconds pass between its bytes."""

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0.0
    drip: float = 0.0
    cut: bool = False
    """Close the connection instead of answering."""

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class ScriptedServer:
    """Gives out ``token-1``, ``token-2``... and answers everything else with 404 until told otherwise."""

    def __init__(self, port: int = 0) -> None:
        self.requests: list[Received] = []
        self._scripts: dict[str, list[Reply]] = defaultdict(lambda: [Reply(404, {"message": "not scripted"})])
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self.http = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self.http.daemon_threads = True
        self._thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}"

    def on(self, request: str, *replies: Reply) -> None:
        """Answer ``request`` (``"GET /path"``) with these, one after the other; the last one again and again."""
        self._scripts[request] = list(replies)

    def count(self, request: str) -> int:
        return sum(f"{one.method} {one.path.partition('?')[0]}" == request for one in self.requests)

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self._thread.join()

    def take(self, received: Received) -> Reply:
        with self._lock:
            self.requests.append(received)
            key = f"{received.method} {received.path.partition('?')[0]}"
            if key == f"POST {TOKEN_PATH}" and key not in self._scripts:
                return Reply(body={"access_token": f"token-{next(self._numbers)}", "expires_in": 86399})
            script = self._scripts[key]
            return script.pop(0) if len(script) > 1 else script[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # or each answer waits 40 ms for the client to acknowledge its headers

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                reply = server.take(Received(self.command, self.path, dict(self.headers), body))
                time.sleep(reply.wait)
                if reply.cut:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                content = reply.content
                for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.write(content, reply.drip)

            def write(self, content: bytes, drip: float) -> None:
                for chunk in (content[i : i + 1] for i in range(len(content))) if drip else (content,):
                    self.wfile.write(chunk)
                    time.sleep(drip)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = answer  # noqa: N815 -- as http.server wants

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
