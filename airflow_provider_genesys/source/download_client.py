"""The HTTP client of downloads, and its settings."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

import httpx

from airflow_provider_genesys.cloud.http.transport import USER_AGENT, hide_queries, trust
from airflow_provider_genesys.source.wide_reads import read_widely


@dataclass(frozen=True)
class DownloadSettings:
    """Retries, time limits and TLS of a download.

    :param retries: how many retries in a row may bring less than 64 KiB each.
    :param timeout: seconds for connecting, for waiting for a byte, and for bringing at least 64 KiB.
    :param verify: verify TLS certificates, or the path of a CA bundle; see :func:`.transport.trust`.
    :param client: a client of :func:`open_client` that many downloads share; None: the download opens its own.
    """

    retries: int = 5
    timeout: float = 60.0
    verify: bool | str | ssl.SSLContext = True
    client: httpx.Client | None = None


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
    return read_widely(client)
