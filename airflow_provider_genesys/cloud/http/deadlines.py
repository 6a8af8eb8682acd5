"""A time limit for all reads of a response together. httpx limits only the wait for each byte."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx

_until: ContextVar[float] = ContextVar("until", default=float("inf"))


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Let reads and writes of a client from :func:`timed` end after ``seconds``, all together.

    They raise ``httpx.ReadTimeout`` or ``httpx.WriteTimeout`` then. The limit is one of the calling thread.
    """
    before = _until.set(min(_until.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _until.reset(before)


def timed(client: httpx.Client) -> httpx.Client:
    """Let the connections that ``client`` opens from now on keep to :func:`within`; return the client."""
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 - a test tells when it is gone
        if isinstance(transport, httpx.HTTPTransport):
            pool = transport._pool  # noqa: SLF001 - as above
            pool._network_backend = _TimedBackend(pool._network_backend)  # noqa: SLF001 - as above
    return client


def _left(timeout: float | None, error: type[Exception]) -> float | None:
    left = _until.get() - time.monotonic()
    if left <= 0:
        raise error("the response came too slowly")
    return timeout if left == float("inf") else min(left, left if timeout is None else timeout)


class _TimedBackend(httpcore.NetworkBackend):
    def __init__(self, backend: httpcore.NetworkBackend) -> None:
        self._backend = backend

    def connect_tcp(self, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        return _TimedStream(self._backend.connect_tcp(*args, **kwargs))

    def connect_unix_socket(self, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        return _TimedStream(self._backend.connect_unix_socket(*args, **kwargs))

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)


class _TimedStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            return self._stream.read(max_bytes, _left(timeout, httpcore.ReadTimeout))
        except httpcore.ReadTimeout:
            _left(None, httpcore.ReadTimeout)  # says so if it was the limit of all reads
            raise

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        limit = _left(timeout, httpcore.ConnectTimeout)
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, limit))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
