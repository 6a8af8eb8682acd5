"""An answer on its way from the origin to the client, and the changes that a fault makes."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection, responses
from typing import Literal
from urllib.parse import SplitResult

from airflow_provider_genesys.testing.fault_proxy.fault import Fault, Form

Headers = list[tuple[str, str]]

_PIECE = 64 * 1024
_TIMEOUT = 60.0
_OF_THE_CONNECTION = {"connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"}
_GARBLED = bytes(byte ^ 1 for byte in range(256))
_BOUNDARY = "fault-proxy"
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


@dataclass
class Answer:
    """Head and body of an answer. ``length`` of the body in bytes; None if the origin does not say."""

    status: int
    reason: str
    headers: Headers
    length: int | None
    chunks: Iterator[bytes]
    framing: Literal["length", "chunked", "close"] = "length"

    def head(self, fault: Fault, *, last: bool) -> bytes:
        """Return status line and headers as they go to the client; the connection ends after the ``last``."""
        framed = {"length": {"Content-Length": str(self.length)}, "chunked": {"Transfer-Encoding": "chunked"}}
        headers = [*self.headers, *framed.get(self.framing, {}).items()]
        headers = changed([*headers, *([("Connection", "close")] if last else [])], self._filled(fault.headers))
        lines = [f"HTTP/1.1 {self.status} {self.reason}", *(f"{name}: {value}" for name, value in headers), "", ""]
        return "\r\n".join(lines).encode("latin-1")

    def _filled(self, headers: Mapping[str, str | None]) -> dict[str, str | None]:
        """Fill in the placeholders with values of the origin's answer."""
        had = {name.lower(): value for name, value in self.headers}
        span = _CONTENT_RANGE.fullmatch(had.get("content-range", ""))
        first, last, total = span.groups() if span else ("0", str((self.length or 0) - 1), str(self.length))
        etag = had.get("etag", "").removeprefix("W/").strip('"')
        places = {"{first}": first, "{last}": last, "{total}": total, "{etag}": etag}
        return {name: _replaced(value, places) for name, value in headers.items()}


def _replaced(value: str | None, places: dict[str, str]) -> str | None:
    for place, text in places.items():
        value = value and value.replace(place, text)
    return value


def changed(headers: Headers, changes: Mapping[str, str | None]) -> Headers:
    """Return ``headers`` with ``changes``; a name is the same in upper and lower case, None takes it away."""
    gone = {name.lower() for name in changes}
    kept = [(name, value) for name, value in headers if name.lower() not in gone]
    return [*kept, *((name, value) for name, value in changes.items() if value is not None)]


@contextmanager
def asked(origin: SplitResult, method: str, target: str, headers: Headers, body: bytes) -> Iterator[Answer]:
    """Send a request to the origin and yield its answer, whose body has to be read before the context ends.

    :param target: path and query, as the client sent them.
    """
    kind = HTTPSConnection if origin.scheme == "https" else HTTPConnection
    with closing(kind(origin.netloc, timeout=_TIMEOUT)) as connection:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            if name.lower() not in _OF_THE_CONNECTION:
                connection.putheader(name, value)
        connection.putheader("Connection", "close")
        if body:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        yield _from_origin(connection.getresponse(), method)


def _from_origin(response: HTTPResponse, method: str) -> Answer:
    headers = [(name, value) for name, value in response.headers.items() if name.lower() not in _OF_THE_CONNECTION]
    length = response.length
    if method == "HEAD":  # http.client says 0, for there is no body
        text = response.headers.get("Content-Length", "")
        length = int(text) if text.isdigit() else None
    answer = Answer(response.status, response.reason, headers, length, iter(lambda: response.read(_PIECE), b""))
    if length is None:
        answer.framing = "chunked" if response.chunked else "close"
    return answer


def made_up(fault: Fault, date: str) -> Answer:
    """Return the answer of a fault that does not ask the origin."""
    body = fault.body or b""
    return Answer(fault.status or 200, "", [("Date", date)], len(body), iter([body] if body else []))


def spoilt(answer: Answer, fault: Fault) -> Answer:
    """Return ``answer`` with the status, the form and the framing that ``fault`` gives it."""
    if fault.form:
        answer = _formed(answer, fault.form)
    status = fault.status or answer.status
    reason = responses.get(status, "Unknown") if fault.status else answer.reason
    return replace(answer, status=status, reason=reason, framing=fault.framing or answer.framing)


def _formed(answer: Answer, form: Form) -> Answer:
    if form == "garbled":
        return replace(answer, chunks=(chunk.translate(_GARBLED) for chunk in answer.chunks))
    body = b"".join(answer.chunks)
    if form == "gzip":
        body, changes = gzip.compress(body, mtime=0), {"Content-Encoding": "gzip"}
        headers = changed(answer.headers, changes)
    else:
        body = _multipart(body, dict(answer.headers).get("Content-Range", ""))
        media = f"multipart/byteranges; boundary={_BOUNDARY}"
        headers = changed(answer.headers, {"Content-Type": media, "Content-Range": None})
    return replace(answer, headers=headers, length=len(body), chunks=iter([body]), framing="length")


def _multipart(body: bytes, span: str) -> bytes:
    head = f"--{_BOUNDARY}\r\nContent-Type: application/octet-stream\r\nContent-Range: {span}\r\n\r\n"
    return head.encode() + body + f"\r\n--{_BOUNDARY}--\r\n".encode()
