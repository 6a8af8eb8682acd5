"""Faults of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

from airflow_provider_genesys.testing.fake_genesys import messages

Ending = Literal["reset", "close", "stall"]
"""A TCP reset · an orderly end of the connection · silence, until the client disconnects."""
Form = Literal["garbled", "gzip", "multipart"]
"""As many other bytes · a gzip, with Content-Encoding · one part of a multipart/byteranges body."""
Framing = Literal["chunked", "close"]
"""Chunked · neither a length nor chunks: the body ends where the connection does."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is wrong with one answer. All of it is optional, and all of it combines.

    :param request_headers: headers of the request to change before the origin sees it; None takes one away.
    :param status: takes the place of the origin's status.
    :param headers: headers of the answer to change; None takes one away. In their values ``{first}``, ``{last}``,
        ``{total}`` and ``{etag}`` stand for what the origin says: the bytes that it sends, the length of the whole,
        the ETag without quotes.
    :param body: takes the place of the origin's body; then the origin is not asked at all.
    :param form: see :data:`Form`. A gzip is made in memory.
    :param framing: see :data:`Framing`; None leaves it as the origin has it.
    :param extra: bytes that follow the end of the body.
    :param wait: seconds before the answer begins.
    :param rate: bytes of the body per second, at most.
    :param linger: seconds that the connection stays open, and silent, after the answer.
    :param after: bytes of the body, after which the connection ends as ``then`` says. A shorter body goes out whole.
    :param then: see :data:`Ending`.
    :param no_head: end the connection as ``then`` says without any answer.
    """

    request_headers: Mapping[str, str | None] = field(default_factory=dict)
    status: int | None = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    body: bytes | None = None
    form: Form | None = None
    framing: Framing | None = None
    extra: bytes = b""
    wait: float = 0.0
    rate: float | None = None
    linger: float = 0.0
    after: int | None = None
    then: Ending = "reset"
    no_head: bool = False

    def __str__(self) -> str:
        """Return the settings that differ from their defaults."""
        values = [(one.name, getattr(self, one.name)) for one in fields(self)]
        return " ".join(f"{name}={value!r}" for name, value in values if value != getattr(_USUAL, name)) or "as usual"


_USUAL = Fault()


def s3_error(
    status: int, message: str, code: str | None = None, *, headers: Mapping[str, str | None] | None = None
) -> Fault:
    """Return an answer with an error in Amazon S3's XML.

    :param code: S3's error code; None takes the usual one of ``status``, e.g. AccessDenied for 403.
    :param headers: further headers, e.g. ``{"Retry-After": "5"}``.
    """
    error = messages.s3_error(status, message, code)
    assert isinstance(error.body, bytes)  # noqa: S101 - the type says that it may be a file; an error never is
    return Fault(status=status, headers={**error.headers, **(headers or {})}, body=error.body)
