"""Limits for the time and the bytes of a whole response, and one response for each request.

httpx limits only the wait for each byte. It takes what is left over of one response for the next one.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy

import httpcore
import httpx

from airflow_provider_genesys.cloud.http.streams import Stream, use_streams

_ANY = float("inf")
_until: ContextVar[float] = ContextVar("until", default=_ANY)
_room: ContextVar[_Room | None] = ContextVar("room", default=None)


@dataclass
class _Room:
    """How many bytes may still come, first of the response's head and then of its body."""

    left: float
    body: float


@contextmanager
def within(seconds: float, *, head: float = _ANY, body: float = _ANY) -> Iterator[None]:
    """Let reads and writes of a client from :func:`strict` end after ``seconds``, all together.

    They raise ``httpx.ReadTimeout`` or ``httpx.WriteTimeout`` then. The limits are those of the calling thread. A
    redirect to what is no URL, which httpx reads although it does not follow it, is an ``httpx.RemoteProtocolError``.

    :param head: bytes of a response's head, interim responses (1xx) with it. More are an ``httpx.ReadError``.
    :param body: bytes of its body, as they are sent. What comes in one read with the head does not count.
    """
    until = _until.set(min(_until.get(), time.monotonic() + seconds))
    room = _room.set(_Room(head, body))
    try:
        yield
    except httpx.InvalidURL as error:  # httpx reads where it leads all the same
        raise httpx.RemoteProtocolError(f"a redirect to what is no URL: {error}") from error
    finally:
        _until.reset(until)
        _room.reset(room)


def strict(client: httpx.Client) -> httpx.Client:
    """Let the connections that ``client`` opens from now on keep to :func:`within`, and to one response for a request.

    The client keeps no cookies: one that is set for one OAuth client, or by one file, must not be sent for another.
    """
    client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    client.event_hooks["response"].append(_begin_body)
    return use_streams(client, _TimedStream)


def _begin_body(response: httpx.Response) -> None:
    """Refuse a response that came with an earlier one: nothing of it was read after the request."""
    room = _room.get()
    if room:
        room.left = room.body
    stream = response.extensions.get("network_stream")
    if isinstance(stream, _TimedStream) and not stream.answered:
        raise httpx.RemoteProtocolError("the response before this one was followed by more bytes")


def _left(timeout: float | None, error: type[Exception]) -> float | None:
    left = _until.get() - time.monotonic()
    if left <= 0:
        raise error("the response came too slowly")
    return timeout if left == _ANY else min(left, left if timeout is None else timeout)


def _count(came: int) -> None:
    room = _room.get()
    if room is None:
        return
    room.left -= came
    if room.left < 0:
        raise httpcore.ReadError("the response has more bytes than any may have")


class _TimedStream(Stream):
    answered = False
    """Whether something was read since the last request was sent."""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self.answered = True
        try:
            came = self.inner.read(max_bytes, _left(timeout, httpcore.ReadTimeout))
        except httpcore.ReadTimeout:
            _left(None, httpcore.ReadTimeout)  # says so if it was the limit of all reads
            raise
        _count(len(came))
        return came

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.answered = False
        self.inner.write(buffer, _left(timeout, httpcore.WriteTimeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return super().start_tls(ssl_context, server_hostname, _left(timeout, httpcore.ConnectTimeout))
