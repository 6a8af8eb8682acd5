"""HTTP to Genesys for every part of this package: with a user agent, a time limit, and no secrets in the log."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Iterator
from functools import cache
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any

import httpx

from airflow_provider_genesys import __version__
from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.exceptions import CloudError, CloudUnavailableError, ConfigurationError
from airflow_provider_genesys.outside import shown

USER_AGENT = f"airflow-provider-genesys/{__version__}"

NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
"""Errors after which the server cannot have acted on the request."""

SLOWEST = 5
"""A whole response may take this many times the timeout. The timeout alone limits only the wait for each byte."""


class _HideQueries(logging.Filter):
    """Removes the query from URLs in the log. httpx logs every URL, and the query of a presigned one is a secret."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(_without_query(one) for one in record.args)
        return True


def _without_query(value: Any) -> Any:
    if isinstance(value, httpx.URL) and value.query:
        return f"{value.copy_with(query=None, fragment=None, userinfo=b'')}?..."
    return value


def hide_queries() -> None:
    """Keep the queries of URLs out of httpx's log. Call it before opening a client; a second call changes nothing."""
    logger = logging.getLogger("httpx")
    if not any(isinstance(one, _HideQueries) for one in logger.filters):
        logger.addFilter(_HideQueries())


def open_http(config: CloudConfig) -> httpx.Client:
    """Return a pooled client with the connection's timeout and certificates, and no cookies. The caller closes it."""
    hide_queries()
    http = httpx.Client(verify=_trust(config), timeout=config.timeout, headers={"User-Agent": USER_AGENT})
    # Several OAuth clients may share the connections: a cookie set for one must not be sent by another.
    http.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return http


def trust(verify: bool | str | ssl.SSLContext) -> ssl.SSLContext | bool:  # noqa: FBT001 - what a setting holds
    """Return what httpx takes for ``verify``: whether to verify certificates, the path of a CA bundle, or a context.

    Making a context takes long. A caller that makes many clients for one path makes its context once.

    :raises OSError: there are no certificates at the path. ``ssl.SSLError`` is an ``OSError``.
    """
    if verify is True:
        return _public_authorities()
    if not isinstance(verify, str):
        return verify
    folder = Path(verify).is_dir()
    return ssl.create_default_context(cafile=None if folder else verify, capath=verify if folder else None)


@cache
def _public_authorities() -> ssl.SSLContext:
    # httpx reads all certificates for each new client, which takes 35 ms of CPU time.
    return httpx.create_ssl_context()


def _trust(config: CloudConfig) -> ssl.SSLContext | bool:
    try:
        return trust(config.verify)
    except OSError as error:
        raise ConfigurationError(
            f"The Genesys connection's extra 'verify_tls' is {config.verify!r}, where no certificates can be read "
            f"({error}). Give true, false, or the path of a PEM file on the machine that runs the task."
        ) from error


def fetch(http: httpx.Client, method: str, url: str, **options: Any) -> httpx.Response:
    """Send one request and read the whole response, within :data:`SLOWEST` times the client's timeout.

    :raises httpx.RequestError: no response, or only a part of one.
    """
    limit = time.monotonic() + SLOWEST * (http.timeout.read or 60.0)
    with http.stream(method, url, **options) as response:
        content = b"".join(_within(response, limit))
    # httpx has decompressed the body. With the Content-Encoding header, Response would decompress it again.
    headers = [one for one in response.headers.raw if one[0].lower() not in {b"content-encoding", b"content-length"}]
    return httpx.Response(response.status_code, headers=headers, content=content, request=response.request)


def _within(response: httpx.Response, limit: float) -> Iterator[bytes]:
    for chunk in response.iter_bytes():
        if time.monotonic() > limit:
            raise httpx.ReadTimeout("the response came too slowly", request=response.request)
        yield chunk


def unreachable(what: str, error: httpx.RequestError, config: CloudConfig) -> CloudError | ConfigurationError:
    """Return the error for a request that got no response."""
    if _untrusted(error):
        return ConfigurationError(
            f"{what}: the server's certificate is not trusted ({shown(error)}). If your organisation has a certificate "
            f"authority that is not public, set extra 'verify_tls' (now {config.verify!r}) to the path of its PEM file."
        )
    return CloudUnavailableError(f"{what} got no answer: {type(error).__name__}: {shown(error)}.")


def _untrusted(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False
