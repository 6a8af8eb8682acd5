"""A time limit for all reads of a response together. httpx limits only the wait for each byte."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import httpcore
import httpx

from airflow_provider_genesys.cloud.http.streams import Stream, use_streams

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
    return use_streams(client, _TimedStream)


def _left(timeout: float | None, error: type[Exception]) -> float | None:
    left = _until.get() - time.monotonic()
    if left <= 0:
        raise error("the response came too slowly")
    return timeout if left == float("inf") else min(left, left if timeout is None else timeout)


class _TimedStream(Stream):
    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            return self.inner.read(max_bytes, _left(timeout, httpcore.ReadTimeout))
        except httpcore.ReadTimeout:
            _left(None, httpcore.ReadTimeout)  # says so if it was the limit of all reads
            raise

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.inner.write(buffer, _left(timeout, httpcore.WriteTimeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return super().start_tls(ssl_context, server_hostname, _left(timeout, httpcore.ConnectTimeout))
