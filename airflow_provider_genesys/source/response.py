"""Judges a response of the object store: which bytes of the archive it has, or why it has none."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import httpx

from airflow_provider_genesys.cloud.http.deadlines import within
from airflow_provider_genesys.cloud.http.pacing import retry_after
from airflow_provider_genesys.exceptions import ConfigurationError, SourceChangedError, SourceError, SourceRefusedError
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.times import http_date, now

ENOUGH = 64 * 1024
"""A transfer that brings this many bytes counts as progress."""
_LENGTH = re.compile(r"[0-9]{1,18}")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.IGNORECASE)
_UNSATISFIED = re.compile(r"bytes \*/([0-9]{1,18})", re.IGNORECASE)
_S3_CODE = re.compile(r"<Code>([A-Za-z]+)</Code>")
_S3_LENGTH = re.compile(r"<ActualObjectSize>([0-9]{1,18})</ActualObjectSize>")
_HEALING = frozenset({304, 408, 421, 425, 429})  # and every 5xx; 304 can only come from a faulty cache
_GONE = frozenset({404, 410})
_ERROR_PAGE = re.compile(r"text/html|(application|text)/(.+\+)?xml", re.IGNORECASE)
_TOLD = 8 * 1024  # bytes of an error's body that are read
_CLOCK_OFF = timedelta(minutes=5)


class Broken(Exception):  # noqa: N818 - caught by the download, never seen by users
    """The transfer broke, or did not begin. Another request may continue.

    :param pause: seconds that the store asks to wait; None if it does not ask.
    :param answered: whether the store responds, but with an error for this one file.
    :param foreign: whether the response is something else than the file, although its status says that it is the file.
    """

    def __init__(
        self, reason: str, pause: float | None = None, *, answered: bool = False, foreign: bool = False
    ) -> None:
        super().__init__(reason)
        self.pause = pause
        self.answered = answered
        self.foreign = foreign


class UrlRefused(Exception):  # noqa: N818 - as above
    """The store does not accept the URL. Another URL may work.

    :param expired: whether the store says that the URL has expired.
    :param clock: a sentence about this machine's clock if it is wrong, else empty.
    """

    def __init__(self, answer: str, *, expired: bool, clock: str) -> None:
        super().__init__(answer)
        self.expired = expired
        self.clock = clock


@dataclass(frozen=True)
class ByteSpan:
    """The bytes ``[start, stop)`` of an archive of ``total`` bytes; None if the response does not say."""

    start: int
    stop: int | None
    total: int | None


def span_of(response: httpx.Response, *, first: int, pages: bool, export_id: str, patience: float) -> ByteSpan:
    """Return which bytes ``response`` has, after a request for those from ``first`` on.

    At the archive's end the span is empty, and the body is not part of the archive.

    :param pages: whether HTML or XML can be the file. If not, it is an error page, even with status 200.
    :param patience: seconds that reading the body of an error may take.
    :raises Broken: another request may bring them.
    :raises UrlRefused: another URL may.
    :raises SourceError: no request will bring them; the message says why and what to do.
    :raises ConfigurationError: a proxy wants a password.
    """
    if response.status_code == httpx.codes.PARTIAL_CONTENT:
        return _part(response, first)
    if response.status_code == httpx.codes.OK:
        return _whole(response, first, pages=pages)
    text = begin_of(response, patience).decode("utf-8", "replace")
    if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and _length(response, text) == first:
        return ByteSpan(first, first, first)
    raise _refusal(response, text, first, export_id)


def _part(response: httpx.Response, first: int) -> ByteSpan:
    text = response.headers.get("Content-Range", "")
    match = _CONTENT_RANGE.fullmatch(text)
    if match and int(match[1]) == first <= int(match[2]):
        return ByteSpan(first, int(match[2]) + 1, None if match[3] == "*" else int(match[3]))
    got = f"Content-Range {shown(text, 80)!r}" if text else "no Content-Range"
    raise Broken(f"bytes from {first} on were asked for, but the response has {got}")


def _whole(response: httpx.Response, first: int, *, pages: bool) -> ByteSpan:
    media = response.headers.get("Content-Type", "")
    if not pages and _ERROR_PAGE.match(media):
        what = f"bytes from {first} on were asked for, but the response is HTTP 200 with {shown(media, 80)}"
        raise Broken(what, foreign=True)
    length = response.headers.get("Content-Length", "")
    if not length or "Transfer-Encoding" in response.headers:
        return ByteSpan(0, None, None)
    if not _LENGTH.fullmatch(length):  # h11 takes more digits
        raise Broken(f"its Content-Length is {shown(length, 40)}, which no file has")
    return ByteSpan(0, int(length), int(length))


def _length(response: httpx.Response, text: str) -> int | None:
    """Return the archive's length that a 416 response reports."""
    match = _UNSATISFIED.fullmatch(response.headers.get("Content-Range", "")) or _S3_LENGTH.search(text)
    return int(match[1]) if match else None


def _refusal(response: httpx.Response, text: str, first: int, export_id: str) -> Exception:
    """Return the error that a response without content means."""
    status = response.status_code
    code = match[1] if (match := _S3_CODE.search(text)) else ""
    reported = f"HTTP {status} {code or shown(response.reason_phrase, 40)}".strip()
    where = cannot_read(export_id, first)
    if status in (401, 403):
        return _url_refusal(response, text, reported, where)
    if response.is_success:
        return Broken(f"{reported}, which brings no file", foreign=True)
    if status in _HEALING or status >= 500:  # noqa: PLR2004 - the server's own errors
        answered = status == httpx.codes.INTERNAL_SERVER_ERROR
        return Broken(reported, retry_after(response.headers), answered=answered)
    if status == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
        return ConfigurationError(f"{where}: {_PROXY}")
    if status in (412, 416):
        return changed(export_id, f"the store answers {reported} to a request for the bytes from {first} on")
    return SourceRefusedError(f"{where}: {reported}. {_advice(response)}")


def _url_refusal(response: httpx.Response, text: str, answer: str, where: str) -> Exception:
    clock = _clock(response)
    if "RequestTimeTooSkewed" in text or "not valid yet" in text.lower():
        if clock:
            return SourceRefusedError(f"{where}: {answer}. {clock}")
        answer = f"{answer} (the clock that signed the URL is not the store's)"
    return UrlRefused(answer, expired="expired" in text.lower(), clock=clock)


def _clock(response: httpx.Response) -> str:
    """Return a sentence about this machine's clock if it differs from the store's; else the empty text."""
    theirs = http_date(response.headers.get("Date", ""))
    off = now() - theirs if theirs else timedelta()
    if abs(off) < _CLOCK_OFF:
        return ""
    way = "ahead of" if off > timedelta() else "behind"
    return f"This machine's clock is {abs(off).total_seconds():.0f} s {way} the store's; set it (NTP)."


_PROXY = "the HTTP proxy wants a user name and a password (407). Put them into HTTPS_PROXY on the worker."


def _advice(response: httpx.Response) -> str:
    if response.status_code in _GONE:
        return "The file is not there for this URL; clear the create task to create the export again."
    if response.has_redirect_location:
        return "That is a redirect, which is not followed. Presigned URLs do not redirect; a proxy may be in the way."
    return "A retry cannot help. Look up the code in the object store's documentation; a proxy may be in the way."


def lost_cause(error: Exception) -> str | None:
    """Return what a person has to change to cure a transport error; None if it may be temporary."""
    if isinstance(error, httpx.ProxyError) and "407" in str(error):
        return _PROXY
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"the store's certificate is not trusted ({cause.verify_message}). If your organisation has "
                "a private certificate authority, set the connection's extra 'verify_tls' to the path of its PEM file."
            )
        cause = cause.__cause__ or cause.__context__
    return None


def cannot_read(export_id: str, offset: int) -> str:
    """Return the beginning of a message."""
    return f"The archive of export {export_id} cannot be read from byte {offset} on"


def changed(export_id: str, how: str) -> SourceError:
    """Return the error for an archive that is not the one that the load began with."""
    return SourceChangedError(
        f"The archive of export {export_id} is not the one that the load began with: {how}. Nothing of it was "
        "joined to what was read before. Clear the task with on_clear='restart' to load it from its beginning."
    )


def begin_of(response: httpx.Response, patience: float) -> bytes:
    """Return the first 8 KiB of a response, or what came of them within ``patience`` seconds."""
    body = b""
    try:
        for chunk in in_time(response.iter_raw(), patience):
            body += chunk
            if len(body) >= _TOLD:
                break
    except (httpx.TransportError, Broken):
        pass  # the status is what counts
    return body


def in_time(chunks: Iterator[bytes], patience: float) -> Iterator[bytes]:
    """Yield ``chunks``, but end a transfer that is too slow: each ``patience`` seconds must bring 64 KiB.

    Only the time spent waiting for the network counts, not the consumer's time.

    :raises Broken: the transfer was too slow.
    """
    waited, brought = 0.0, 0
    while True:
        asked = time.monotonic()
        with within(patience):  # framing without data yields nothing, however much of it comes
            chunk = next(chunks, None)
        if chunk is None:
            return
        waited += time.monotonic() - asked
        brought += len(chunk)
        if waited > patience:
            if brought < ENOUGH:
                raise Broken(f"only {brought} bytes came in {waited:.1f} s")
            waited, brought = 0.0, 0
        yield chunk
