"""Requests, responses, and the error bodies of the three services that Genesys Cloud's users meet."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import uuid4
from xml.sax.saxutils import escape

import msgspec

CODES = {
    400: "bad.request",
    401: "bad.credentials",
    403: "missing.permissions",
    404: "not.found",
    405: "method.not.allowed",
    409: "conflict",
    413: "request.entity.too.large",
    429: "too.many.requests",
    503: "service.unavailable",
    504: "gateway.timeout",
}
"""Genesys' ``ErrorBody.code`` for a status; any other is ``internal.server.error``."""

S3_CODES = {
    403: "AccessDenied",
    404: "NoSuchKey",
    412: "PreconditionFailed",
    416: "InvalidRange",
    503: "SlowDown",
}
"""Amazon S3's error code for a status; any other is ``InternalError``."""


class Stored(Protocol):
    """Bytes that are sent from where they are, so that no answer is held in memory."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    def send_to(self, connection: socket.socket, start: int, stop: int) -> None:
        """Write the bytes ``start <= offset < stop`` to ``connection``."""


@dataclass(frozen=True)
class Slice:
    """The bytes ``start <= offset < stop`` of something stored."""

    stored: Stored
    start: int
    stop: int


@dataclass(frozen=True)
class Request:
    """One HTTP request. ``headers`` does not mind upper and lower case; ``query`` keeps each name's last value."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Response:
    """One HTTP response; its Content-Length follows from ``body``."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Slice = b""


def json_response(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response with a JSON body."""
    return Response(status, {"Content-Type": "application/json", **(headers or {})}, msgspec.json.encode(body))


def error_body(status: int, message: str, code: str | None = None, **more: Any) -> dict[str, Any]:
    """Return Genesys' ErrorBody; ``more`` are fields such as ``details`` or ``messageParams``."""
    code = code or CODES.get(status, "internal.server.error")
    return {
        "message": message,
        "code": code,
        "status": status,
        "messageParams": {},
        "details": [],
        "errors": [],
        **more,
    }


def missing_permissions(permission: str) -> dict[str, Any]:
    """Return the ErrorBody of a client whose role lacks ``permission``, e.g. ``recording:recording:view``."""
    return error_body(
        403,
        f"Missing the following permission(s): [{permission}]",
        messageWithParams="Missing the following permission(s): {permissions}",
        messageParams={"permissions": f"[{permission}]"},
    )


def api_error(status: int, message: str, code: str | None = None, **more: Any) -> Response:
    """Return an error as the Platform API words it."""
    return json_response(status, error_body(status, message, code, **more))


def oauth_error(status: int, error: str, description: str) -> Response:
    """Return an error as the token endpoint words it."""
    return json_response(status, {"error": error, "description": description, "error_description": description})


def s3_error(status: int, message: str, code: str | None = None, **more: str) -> Response:
    """Return an error as the object store words it; ``more`` are further elements."""
    elements = {"Code": code or S3_CODES.get(status, "InternalError"), "Message": message, **more}
    inner = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in elements.items())
    request_id = uuid4().hex[:16].upper()
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}<RequestId>{request_id}</RequestId></Error>'
    return Response(status, {"Content-Type": "application/xml", "x-amz-request-id": request_id}, text.encode())
