"""The HTTP client of downloads, and its settings."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import httpcore
import httpx

from airflow_provider_genesys.cloud.addresses import only_public
from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.http.deadlines import timed
from airflow_provider_genesys.cloud.http.streams import Stream, use_streams
from airflow_provider_genesys.cloud.http.transport import USER_AGENT, hide_queries, trust

READ_AT_ONCE = 256 * 1024
"""Largest number of bytes in one read from the network.

httpx reads 64 KiB at a time, and its work for each read costs more than the read. A load would take 1.5 times as long.
httpx has no setting for the size, so the connections of this client get streams that read more at a time.
"""


@dataclass(frozen=True)
class DownloadSettings:
    """Retries, time limits and TLS of a download.

    :param retries: how many retries in a row may bring less than 64 KiB each.
    :param timeout: seconds for connecting, for waiting for a byte, and for bringing at least 64 KiB.
    :param verify: verify TLS certificates, or the path of a CA bundle; see :func:`.transport.trust`.
    :param listed_hosts: the hosts that may have a private address; None for any host.
    :param client: a client of :func:`open_client` that many downloads share; None: the download opens its own.
    """

    retries: int = 5
    timeout: float = 60.0
    verify: bool | str | ssl.SSLContext = True
    listed_hosts: tuple[str, ...] | None = None
    client: httpx.Client | None = None

    @classmethod
    def of(cls, config: CloudConfig) -> DownloadSettings:
        """Return what the connection says."""
        return cls(timeout=config.timeout, verify=config.verify, listed_hosts=config.allowed_download_hosts)


def open_client(settings: DownloadSettings, *, keep: int) -> httpx.Client:
    """Return a client with these settings. It keeps up to ``keep`` idle connections open."""
    hide_queries()
    client = httpx.Client(
        timeout=settings.timeout,
        verify=trust(settings.verify),
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
        follow_redirects=False,
        limits=httpx.Limits(max_keepalive_connections=keep),
    )
    if settings.listed_hosts is not None:
        only_public(client, settings.listed_hosts)
    return timed(use_streams(client, _WideStream))


def body_of(response: httpx.Response) -> Iterator[bytes]:
    """Yield the bytes of a body as they come, and leave the connection unusable for another request.

    httpx copies each byte four times. So where the length is known, only the bytes that came with the head are taken
    from it; the others are read from the connection. That halves the cost of reading (``docs/performance.md``).

    :raises httpx.TransportError: the connection broke. One that only ended is no error here.
    """
    chunks = response.iter_raw()
    left = _length(response)
    if left is None:
        yield from chunks
        return
    first = next(chunks, b"")
    if first:
        yield first
    stream, left = response.extensions["network_stream"], left - len(first)
    while left > 0 and (chunk := _read(stream, left, response)):
        left -= len(chunk)
        yield chunk


def _length(response: httpx.Response) -> int | None:
    """Return the length of a body that has one and is not framed; else None."""
    if "Transfer-Encoding" in response.headers or response.http_version != "HTTP/1.1":
        return None
    return int(response.headers["Content-Length"]) if "Content-Length" in response.headers else None


def _read(stream: httpcore.NetworkStream, left: int, response: httpx.Response) -> bytes:
    timeout = response.request.extensions["timeout"]["read"]
    try:
        return stream.read(READ_AT_ONCE, timeout)[:left]
    except httpcore.TimeoutException as error:
        raise httpx.ReadTimeout(str(error)) from error
    except httpcore.NetworkError as error:
        raise httpx.ReadError(str(error)) from error


class _WideStream(Stream):
    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.inner.read(max(max_bytes, READ_AT_ONCE), timeout)
