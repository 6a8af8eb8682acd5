"""HTTP to Genesys for every part of this package: with a user agent, a time limit, and no secrets in the log."""

from __future__ import annotations

import logging
import ssl
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from airflow_provider_genesys import __version__
from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.http.deadlines import strict, within
from airflow_provider_genesys.exceptions import (
    AnswerTooLargeError,
    CloudError,
    CloudUnavailableError,
    ConfigurationError,
)
from airflow_provider_genesys.limits import LONGEST_ANSWER, LONGEST_ERROR, LONGEST_HEAD
from airflow_provider_genesys.outside import shown

USER_AGENT = f"airflow-provider-genesys/{__version__}"
_HEADERS = {"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"}

NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
"""Errors after which the server cannot have acted on the request."""

CONNECT = 10.0
"""Seconds to wait for a connection, at most: a host that takes longer is not there."""
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
    timeout = httpx.Timeout(config.timeout, connect=min(config.timeout, CONNECT))
    return strict(httpx.Client(verify=_trust(config), timeout=timeout, headers=_HEADERS))


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
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"The Genesys connection's extra 'verify_tls' is {shown(config.verify)!r}, where no certificates can be "
            f"read ({error}). Give true, false, or the path of a PEM file on the machine that runs the task."
        ) from error


def fetch(
    http: httpx.Client, method: str, url: str, *, longest: int = LONGEST_ANSWER, **options: Any
) -> httpx.Response:
    """Send one request and read the whole response, within :data:`SLOWEST` times the client's timeout.

    :param longest: bytes that a response may have, unpacked. Of an error the first :data:`LONGEST_ERROR` are read.
    :raises httpx.RequestError: no response, or only a part of one.
    :raises AnswerTooLargeError: it has more bytes.
    """
    slowest = SLOWEST * (http.timeout.read or 60.0)
    limits = within(slowest, head=LONGEST_HEAD, body=LONGEST_HEAD + 2 * longest)
    with limits, http.stream(method, url, **options) as response:
        content = _content(response, longest if response.is_success else LONGEST_ERROR)
    if len(content) > longest and response.is_success:
        raise AnswerTooLargeError(
            f"{method} {url} was answered {response.status_code} with more than {longest:,} bytes. If that is a page "
            "of results, lower page_size. Else check what answers at the connection's host: it may not be Genesys.",
            status=response.status_code,
        )
    # The body is unpacked. With the Content-Encoding header, Response would unpack it again.
    headers = [one for one in response.headers.raw if one[0].lower() not in {b"content-encoding", b"content-length"}]
    return httpx.Response(response.status_code, headers=headers, content=content, request=response.request)


def _content(response: httpx.Response, longest: int) -> bytes:
    """Return the unpacked body: at most one byte more than ``longest``."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in _ENCODINGS:
        raise httpx.DecodingError(f"Content-Encoding {shown(encoding, 40)}, which was not asked for")
    packed = _ENCODINGS[encoding]
    unpack = zlib.decompressobj(_GZIP_OR_ZLIB)
    content = bytearray()
    for chunk in response.iter_raw():
        left = longest + 1 - len(content)
        content += _unpacked(unpack, chunk, left) if packed else chunk[:left]
        if len(content) > longest:
            return bytes(content)
        if packed and unpack.unused_data:  # zlib would keep all of it
            raise httpx.DecodingError("bytes behind the packed response")
    if packed and content and not unpack.eof:
        raise httpx.DecodingError("the packed response is cut off")
    return bytes(content)


def _unpacked(unpack: Any, chunk: bytes, most: int) -> bytes:
    try:
        piece: bytes = unpack.decompress(chunk, most)
    except zlib.error as error:
        raise httpx.DecodingError(str(error)) from error
    return piece


_ENCODINGS = {"": False, "identity": False, "gzip": True, "x-gzip": True, "deflate": True}
"""Each Content-Encoding that is read, and whether it packs."""
_GZIP_OR_ZLIB = 47  # zlib's wbits for either head


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
