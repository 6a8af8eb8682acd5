"""Upload sessions and conditional reads as Google documents them, in front of an emulator that has neither.

fake-gcs-server completes an object when its session is only asked what it has, keeps pieces of any length, and ignores
``ifGenerationMatch`` of reads. This server answers those requests itself and passes all others on.
"""

from __future__ import annotations

import base64
import http.client
import itertools
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

UNIT = 256 * 1024
"""A session keeps multiples of this many bytes, except at the object's end."""

Answer = tuple[int, dict[str, str], bytes]
_HOP = {"connection", "content-length", "host", "transfer-encoding"}
_SPAN = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


@dataclass
class UploadSession:
    """A session: what names and describes its object, the bytes that came, and the object once it is complete."""

    path: str
    query: dict[str, str]
    metadata: bytes
    content_type: str
    data: bytearray = field(default_factory=bytearray)
    made: Answer | None = None


class SessionFront(ThreadingHTTPServer):
    """Listens at a free port of ``host``; serves in a thread from :meth:`start` to :meth:`stop`.

    :ivar behind: address of the emulator; set before the first request.
    """

    daemon_threads = True
    behind = ("", 0)

    def __init__(self, host: str) -> None:
        super().__init__((host, 0), _Handler)
        self.sessions: dict[str, UploadSession] = {}
        self.names = itertools.count(1)

    def start(self) -> None:
        """Serve."""
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """End."""
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: SessionFront
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    _behind: http.client.HTTPConnection | None = None

    def finish(self) -> None:
        if self._behind:
            self._behind.close()
        super().finish()

    def log_message(self, *_: Any) -> None:
        pass

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if query.get("uploadType") == "resumable" and self.command == "POST":
            answer = self._begin(url.path, query, body)
        elif "upload_id" in query:
            answer = self._upload(query["upload_id"], body)
        else:
            answer = self._pass_on(self.command, self.path, body, dict(self.headers))
            wanted = query.get("ifGenerationMatch")
            if self.command == "GET" and wanted and answer[1].get("X-Goog-Generation", wanted) != wanted:
                answer = (412, {}, b"Precondition failed")
        self._answer(*answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - as http.server names them

    def _begin(self, path: str, query: dict[str, str], metadata: bytes) -> Answer:
        name = f"session-{next(self.server.names)}"
        kind = self.headers.get("X-Upload-Content-Type", "application/octet-stream")
        self.server.sessions[name] = UploadSession(path, query, metadata, kind)
        place = {"uploadType": "resumable", "upload_id": name}
        # By the way that the request came, e.g. through a proxy.
        return 200, {"Location": f"http://{self.headers['Host']}{path}?{urlencode(place)}"}, b""

    def _upload(self, name: str, body: bytes) -> Answer:
        session = self.server.sessions.get(name)
        if session is None:
            return 404, {}, b"No such session"
        if self.command == "DELETE":
            del self.server.sessions[name]
            return 499, {}, b""
        if session.made:
            return session.made
        span = _SPAN.fullmatch(self.headers.get("Content-Range", ""))
        if span is None:
            return 400, {}, b"Content-Range is missing"
        start, end, total = span.groups()
        if start is not None:
            # Bytes that it has are ignored; bytes behind a gap are not kept.
            at = int(start)
            if at <= len(session.data) and len(body) == int(end) + 1 - at:
                session.data += body[len(session.data) - at :]
            if total == "*":
                del session.data[len(session.data) // UNIT * UNIT :]
        if total != "*" and start is not None and len(session.data) == int(total):
            return self._complete(session)
        held = {"Range": f"bytes=0-{len(session.data) - 1}"} if session.data else {}
        return 308, held, b""

    def _complete(self, session: UploadSession) -> Answer:
        if not _is_sum(self.headers.get("x-goog-hash"), bytes(session.data)):
            return 400, {}, b"Provided CRC32C does not match"
        border = b"border-of-the-parts"
        parts = [
            b"Content-Type: application/json\r\n\r\n" + (session.metadata or b"{}"),
            f"Content-Type: {session.content_type}\r\n\r\n".encode() + bytes(session.data),
        ]
        body = b"".join(b"--" + border + b"\r\n" + part + b"\r\n" for part in parts) + b"--" + border + b"--"
        query = urlencode({**session.query, "uploadType": "multipart"})
        kind = {"Content-Type": f'multipart/related; boundary="{border.decode()}"'}
        if "name" in session.query:
            named = {**json.loads(session.metadata or b"{}"), "name": session.query["name"]}
            body = body.replace(session.metadata or b"{}", json.dumps(named).encode(), 1)
        answer = self._pass_on("POST", f"{session.path}?{query}", body, kind)
        if answer[0] == http.client.OK:
            session.made, session.data = answer, bytearray()
        return answer

    def _pass_on(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        if self._behind is None:
            self._behind = http.client.HTTPConnection(*self.server.behind, timeout=60)
        kept = {name: value for name, value in headers.items() if name.lower() not in _HOP}
        self._behind.request(method, path, body or None, kept)
        answer = self._behind.getresponse()
        found = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
        return answer.status, found, answer.read()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _is_sum(given: str | None, data: bytes) -> bool:
    """Return whether a header's CRC-32C, if it has one, is that of ``data``."""
    import google_crc32c

    known = dict(one.strip().split("=", 1) for one in (given or "").split(",") if "=" in one)
    made = base64.b64encode(google_crc32c.Checksum(data).digest()).decode()
    return known.get("crc32c", made) == made
