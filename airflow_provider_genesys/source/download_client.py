"""The HTTP client of downloads, and its settings."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

import httpx

from airflow_provider_genesys.cloud.addresses import only_public
from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.http.deadlines import strict
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
    return strict(use_streams(client, _WideStream))


class _WideStream(Stream):
    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.inner.read(max(max_bytes, READ_AT_ONCE), timeout)
