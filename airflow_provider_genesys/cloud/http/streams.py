"""Replaces the streams of one HTTP client's connections, for what httpx has no setting for."""

from __future__ import annotations

import ssl
from typing import Any

import httpcore
import httpx


class Stream(httpcore.NetworkStream):
    """A stream that passes every call on to another one; subclasses change some of them."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self.inner = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return at most ``max_bytes``; empty at the end."""
        return self.inner.read(max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send ``buffer``."""
        self.inner.write(buffer, timeout)

    def close(self) -> None:
        """Close the connection."""
        self.inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Return the stream of the same kind within TLS."""
        return type(self)(self.inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """Return what the connection knows of itself."""
        return self.inner.get_extra_info(info)


def use_streams(client: httpx.Client, kind: type[Stream]) -> httpx.Client:
    """Let the connections that ``client`` opens from now on, with a proxy or without, be of ``kind``; return it."""
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 - a test fails when it is gone
        if isinstance(transport, httpx.HTTPTransport):
            pool = transport._pool  # noqa: SLF001 - as above
            pool._network_backend = _Backend(pool._network_backend, kind)  # noqa: SLF001 - as above
    return client


class _Backend(httpcore.NetworkBackend):
    def __init__(self, backend: httpcore.NetworkBackend, kind: type[Stream]) -> None:
        self._backend = backend
        self._kind = kind

    def connect_tcp(self, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        return self._kind(self._backend.connect_tcp(*args, **kwargs))
