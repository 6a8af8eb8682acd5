"""Larger reads from the network, for one HTTP client only.

httpx reads 64 KiB at a time, and its work for each read costs more than the read. A load would take 1.5 times as long.
httpx has no setting for the size. So the connections of one client get streams that read more at a time.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any

import httpcore
import httpx

READ_AT_ONCE = 256 * 1024
"""Largest number of bytes in one read."""


def read_widely(client: httpx.Client) -> httpx.Client:
    """Let the connections that ``client`` opens from now on read :data:`READ_AT_ONCE` bytes; return the client."""
    for pool in _pools(client):
        pool._network_backend = _WideBackend(pool._network_backend)  # noqa: SLF001 - a test tells when it is gone
    return client


def _pools(client: httpx.Client) -> Iterator[Any]:
    """Yield the connection pools of ``client``: the one without a proxy, and one for each proxy."""
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 - as above
        if isinstance(transport, httpx.HTTPTransport):
            yield transport._pool  # noqa: SLF001 - as above


class _WideBackend(httpcore.NetworkBackend):
    def __init__(self, backend: httpcore.NetworkBackend) -> None:
        self._backend = backend

    def connect_tcp(self, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        return _WideStream(self._backend.connect_tcp(*args, **kwargs))

    def connect_unix_socket(self, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        return _WideStream(self._backend.connect_unix_socket(*args, **kwargs))

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)


class _WideStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max(max_bytes, READ_AT_ONCE), timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _WideStream(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
