"""Presigned URLs: when they expire, which hosts are allowed, and how to log them without the secret."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qsl, urlsplit

import httpx

from airflow_provider_genesys.cloud.addresses import PRIVATE, addresses_of, is_public, not_allowed
from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.exceptions import UntrustedHostError
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.times import parse_time

LIFETIME = timedelta(hours=24)
"""How long an archive's URL is valid if neither the URL nor the response says."""

_NOT_SECRET = frozenset(
    {
        "awsaccesskeyid",
        "expires",
        "key-pair-id",
        "response-content-disposition",
        "response-content-type",
        "se",
        "sp",
        "sr",
        "st",
        "sv",
        "x-amz-algorithm",
        "x-amz-credential",
        "x-amz-date",
        "x-amz-expires",
        "x-amz-signedheaders",
        "x-id",
    }
)
_SHORTEST_SECRET = 5  # Airflow's masker ignores shorter ones.


@dataclass(frozen=True)
class PresignedUrl:
    """A URL that gives anyone who has it the right to read, until ``expires_at`` at the latest."""

    url: str = field(repr=False)
    expires_at: datetime


def expires_at(url: str, *, now: datetime, fallback: datetime | None = None) -> datetime:
    """Return when ``url`` expires at the latest (aware): as the URL itself says, else ``fallback``, else in 24 h.

    Reads ``X-Amz-Date`` with ``X-Amz-Expires``, ``Expires`` (seconds since 1970) and ``se`` (Azure). A URL that was
    signed with temporary credentials may expire earlier.
    """
    query = {name.lower(): value for name, value in _query(url)}
    found = _amazon(query) or parse_time(query.get("expires")) or parse_time(query.get("se"))
    return found or fallback or now + LIFETIME


def _amazon(query: dict[str, str]) -> datetime | None:
    try:
        signed = datetime.strptime(query["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        return signed + timedelta(seconds=int(query["x-amz-expires"]))
    except (KeyError, ValueError, OverflowError):
        return None


def _query(url: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(urlsplit(url).query, keep_blank_values=True)
    except ValueError:
        return []


def signatures(url: str) -> list[str]:
    """Return the secret values of the URL's query, both encoded and decoded."""
    raw = [part.partition("=")[::2] for part in url.partition("?")[2].partition("#")[0].split("&")]
    values = [value for name, value in (*raw, *_query(url)) if name.lower() not in _NOT_SECRET]
    return [value for value in dict.fromkeys(values) if len(value) >= _SHORTEST_SECRET]


def redact(url: str) -> str:
    """Return scheme, host and path of ``url``: what a log or a message may show."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "(not a URL)"
    return f"{parts.scheme}://{host}{parts.path}" if parts.scheme else f"{host}{parts.path}"


def check_host(url: str, config: CloudConfig) -> None:
    """Raise unless the connection allows downloads from the URL's host.

    A host matches by its name, or by ``*.domain``. A host with a private address has to be listed by its name. A
    wildcard is not enough, because it covers names that others can register for addresses in the worker's network.
    A name may have another address when it is connected to: then :class:`.addresses.PublicOnly` refuses it.

    :raises UntrustedHostError: another scheme or host; the message says what to set.
    """
    try:
        parts = httpx.URL(url)  # the same parser as for the download
    except (httpx.InvalidURL, TypeError, ValueError):
        raise UntrustedHostError(f"Genesys gave a file URL that is not a URL at all: {_begin(url)}") from None
    host = parts.raw_host.decode("ascii").rstrip(".").lower()
    if parts.scheme not in {"https", "http"}:
        raise UntrustedHostError(
            f"Genesys gave a file URL that cannot be used: only https:// is accepted, not {_begin(url)}"
        )
    if parts.scheme == "http" and not config.allow_insecure:
        raise UntrustedHostError(
            f"The archive's URL is http://{shown(host, 80)}, and only https:// is accepted. For a test server, set the "
            "connection's extra 'allow_insecure' to true."
        )
    if parts.port is not None and not 0 < parts.port <= _LAST_PORT:
        raise UntrustedHostError(f"Genesys gave a file URL that has a wrong port, {parts.port}: {_begin(url)}")
    if parts.userinfo or not host:
        raise UntrustedHostError("The archive's URL has a user name or no host. No object store has such URLs.")
    if host in config.allowed_download_hosts:
        return
    if not any(one.startswith("*.") and host.endswith(one[1:]) for one in config.allowed_download_hosts):
        raise UntrustedHostError(not_allowed(host, "is not among the hosts that the connection allows downloads from"))
    if _is_private(host):
        raise UntrustedHostError(not_allowed(host, PRIVATE))


_LAST_PORT = 65_535


def _begin(url: object) -> str:
    return (
        f"{shown(url, 80)!r}. Check that the connection's host is Genesys Cloud. If the URL is in another member of "
        "the API's answer, name it as 'uri_field' in the connection's extra 'archive'. Then clear the create task."
    )


def _is_private(host: str) -> bool:
    """Whether ``host`` is, or resolves to, an address outside the public internet."""
    try:
        return not all(map(is_public, addresses_of(host)))
    except OSError:
        return False  # a proxy may be able to resolve it; if not, the download fails
