"""Reads an archive from a presigned URL, from any offset, across broken connections and expired URLs.

Each response is checked before one byte of it is used: its status, ``Content-Range``, length and ETag must fit what is
known of the archive. After a break, a ``Range`` request continues the transfer. It reads the bytes just before the
break again and compares them. Bytes that cannot be shown to be of the same archive are never joined.
"""

from __future__ import annotations

import logging
import re
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

import httpx

from airflow_provider_genesys.cloud.http.deadlines import within
from airflow_provider_genesys.exceptions import (
    ConfigurationError,
    NotTheFileError,
    SourceError,
    SourceRefusedError,
    SourceUnavailableError,
    UrlExpiredError,
)
from airflow_provider_genesys.limits import LONGEST_ETAG, LONGEST_HEAD
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.retries import pause
from airflow_provider_genesys.source.body import body_of
from airflow_provider_genesys.source.download_client import DownloadSettings, open_client
from airflow_provider_genesys.source.expected import ARCHIVE, Expected
from airflow_provider_genesys.source.position import Identity, proven
from airflow_provider_genesys.source.response import (
    ENOUGH,
    Broken,
    ByteSpan,
    UrlRefused,
    begin_of,
    cannot_read,
    changed,
    in_time,
    lost_cause,
    span_of,
)
from airflow_provider_genesys.times import now

log = logging.getLogger(__name__)

MARGIN = timedelta(minutes=1)
"""A URL that expires within this time is replaced before the next request."""
OVERLAP = 64 * 1024
"""Number of bytes before a break that are read again and compared."""
RENEWALS = 2
"""Number of new URLs from Genesys that the store may refuse in a row."""
LONGEST_PAUSE = 300.0
"""Seconds. If the store asks for a longer wait, the download fails, and the task's next try waits instead."""
_BACKOFF = 0.5, 60.0  # seconds of the first pause after a break, at least, and of the longest
FOREIGN_RETRIES = 3
"""Retries in a row that may bring something else than the file. Then somebody has to look: waiting does not help."""
_BEFORE_AGAIN = 1.0  # seconds before a request that confirms a response
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close at once, with a reset
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]*"')


class SignedUrl(Protocol):
    """A presigned URL and when it expires."""

    @property
    def url(self) -> str:
        """The URL, with its signature."""

    @property
    def expires_at(self) -> datetime:
        """When it stops being valid, at the latest."""


@dataclass
class Download:
    """One archive.

    :param open_url: returns the presigned URL. With True, it asks Genesys for a new one.
    :param export_id: for messages.
    :param identity: what an earlier attempt learned of the archive.
    :param expected: what it is; a first response that is something else counts as broken.
    :param sleep: waits that many seconds; None for a wait that :meth:`stop` ends.
    """

    open_url: Callable[[bool], SignedUrl]
    export_id: str
    identity: Identity = field(default_factory=Identity)
    settings: DownloadSettings = field(default_factory=DownloadSettings)
    sleep: Callable[[float], object] | None = None
    expected: Expected = ARCHIVE

    def __post_init__(self) -> None:
        self._signed: SignedUrl | None = None
        self._refusals = 0  # of URLs, in a row
        self.encoding: str | None = None
        """The Content-Encoding of the responses; None before the first one."""
        self._foreign = 0  # responses in a row that were not the file
        self._empty = False  # whether a response had no byte
        self._recent: deque[bytes] = deque()  # the chunks just before the offset, OVERLAP bytes or a little more
        self._held = 0
        self._ended = False
        self._end_seen: int | None = None
        self._response: httpx.Response | None = None
        self._stopped = threading.Event()

    def read(self, start: int) -> Generator[bytes, None, None]:
        """Yield the archive's bytes from ``start`` to its end. Call it once.

        :raises SourceError: one of its subclasses; the message names the export, the offset and what to do.
        :raises ConfigurationError: TLS or the HTTP proxy has to be set up.
        :raises GenesysError: what ``open_url`` raises.
        """
        offset, failures = start, 0
        self._ended = self.identity.length is not None and start >= self.identity.length
        # Keeps no idle connection: left-over bytes of one response must never be read as the next.
        shared = self.settings.client
        with nullcontext(shared) if shared else open_client(self.settings, keep=0) as client:
            while not self._ended:
                begun = offset
                try:
                    for chunk in self._transfer(client, offset):
                        offset += len(chunk)
                        yield chunk
                except UrlRefused as refusal:
                    self._renew(refusal, offset)
                except (httpx.TransportError, Broken) as error:
                    failures = 0 if offset - begun >= ENOUGH else failures + 1
                    self._pause(error, failures, offset)

    def stop(self) -> None:
        """End :meth:`read`, which runs in another thread. Ends its pause or its transfer."""
        self._stopped.set()
        response = self._response
        connection = response and response.extensions["network_stream"].get_extra_info("socket")
        if connection:
            with suppress(OSError):  # the transfer has ended by itself
                # After a shutdown, Linux no longer opens the receive window. Without a reset, a server that waits for
                # room would notice nothing for a minute.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                socket.socket.shutdown(connection, socket.SHUT_RDWR)  # under TLS, whose own way is not thread-safe

    def _transfer(self, client: httpx.Client, offset: int) -> Iterator[bytes]:
        """Send one request and yield the verified bytes of its response, from ``offset`` on."""
        known = self.identity, self.encoding
        before = b"".join(self._recent)[-OVERLAP:]
        first, received = offset - len(before), offset
        with closing(self._requested(client, first)) as self._response:
            self._check_stopped(first)  # check again: stop() may have come before there was a response to end
            span = self._verified(self._response, first, offset)
            # A shared client sends its next request over the same connection.
            raw = self._response.iter_raw() if self.settings.client else body_of(self._response)
            body = in_time(raw, self.settings.timeout) if span.stop != span.start else iter(())
            check = partial(self._compare, before)
            chunks = proven(body, skip=first - span.start, length=len(before), check=check)
            for chunk in self._checked(chunks, known) if offset == 0 else chunks:
                received += len(chunk)
                self._check_length(received, span)
                self._remember(chunk)
                yield chunk
        if received == 0 and span.stop in (None, 0) and not self._empty:
            # An empty archive is believed when a second response is empty, too.
            self._empty, (self.identity, self.encoding) = True, known
            self._wait(_BEFORE_AGAIN)
            return
        self._conclude(offset, received, span, self._response)

    def _requested(self, client: httpx.Client, first: int) -> httpx.Response:
        self._check_stopped(first)
        headers = {"Range": f"bytes={first}-"} if first else {}
        if self.identity.etag and _STRONG_ETAG.fullmatch(self.identity.etag):
            headers["If-Match"] = self.identity.etag
        request = client.build_request("GET", self._url(), headers=headers)
        # Half of the time is for the connection, half for the response's head.
        with within(2 * self.settings.timeout, head=LONGEST_HEAD):
            return client.send(request, stream=True)

    def _check_stopped(self, offset: int) -> None:
        if self._stopped.is_set():
            raise SourceUnavailableError(f"{cannot_read(self.export_id, offset)}: the task is being stopped.")

    def _url(self) -> str:
        """Return the URL in use, or a new one if it was refused or expires soon."""
        signed = self._signed
        if signed is None or self._refusals or signed.expires_at - now() < MARGIN:
            self._signed = signed = self.open_url(signed is not None)
        return signed.url

    def _verified(self, response: httpx.Response, first: int, offset: int) -> ByteSpan:
        """Check the response's headers against what is known of the archive."""
        known, etag = self.identity, response.headers.get("ETag", "")[:LONGEST_ETAG] or None
        # The first response of a load is judged by its bytes.
        pages, patience = self.expected.pages or known == Identity(), self.settings.timeout
        span = span_of(response, first=first, pages=pages, export_id=self.export_id, patience=patience)
        self._refusals = 0
        encoding = response.headers.get("Content-Encoding", "identity")
        if self.encoding not in (None, encoding):
            now, before = shown(encoding, 40), shown(self.encoding, 40)
            raise self._other(response, f"its Content-Encoding is {now!r} now, and was {before!r}")
        if span.total is not None and (span.total < offset or span.total != (known.length or span.total)):
            raise self._other(response, f"it has {span.total} bytes now, and had {known.length or f'{offset} or more'}")
        if known.etag and etag and etag.removeprefix("W/") != known.etag.removeprefix("W/"):
            raise self._other(response, "its ETag has changed")
        self.encoding = encoding
        self.identity = Identity(span.total if known.length is None else known.length, known.etag or etag)
        return span

    def _other(self, response: httpx.Response, how: str) -> Exception:
        """Return the error for a response that is of another archive, or a proxy's page or an error with status 200."""
        fault: str | None = None
        if response.status_code == httpx.codes.OK:
            body = begin_of(response, self.settings.timeout)
            fault = self.expected.fault(body, ended=True) if body or "ETag" in response.headers else "empty"
        return Broken(f"the response is {fault}", foreign=True) if fault else self._changed(how)

    def _checked(self, chunks: Iterator[bytes], known: tuple[Identity, str | None]) -> Iterator[bytes]:
        """Yield the first bytes once they can be what is expected. If they cannot, forget what the response said."""
        head, fault = b"", None
        for chunk in chunks:
            head += chunk
            fault = self.expected.fault(head, ended=False)
            if fault is not None:
                break
        if fault is None:
            fault = self.expected.fault(head, ended=True)
        if fault:
            self.identity, self.encoding = known
            raise Broken(f"the response is {fault}", foreign=True)
        if head:
            yield head
        yield from chunks

    def _compare(self, before: bytes, seen: bytes) -> None:
        """Compare the bytes ``seen`` with those that were read ``before`` the break."""
        if not before.startswith(seen):
            raise self._changed("the bytes before the break have changed")
        if len(seen) < len(before) or not before:
            raise Broken("the connection ended before the place where the archive goes on")

    def _check_length(self, received: int, span: ByteSpan) -> None:
        for end in (span.stop, self.identity.length):
            if end is not None and received > end:
                raise self._changed(f"the response has more than the {end} bytes that its headers say")

    def _remember(self, chunk: bytes) -> None:
        self._recent.append(chunk)
        self._held += len(chunk)
        while self._held - len(self._recent[0]) >= OVERLAP:
            self._held -= len(self._recent.popleft())

    def _conclude(self, offset: int, received: int, span: ByteSpan, response: httpx.Response) -> None:
        """Decide whether the end of a transfer is the end of the archive."""
        if span.stop is not None and received < span.stop:
            raise Broken(f"the connection ended at byte {received} of {span.stop}")
        if self.identity.length is not None:
            self._ended = received == self.identity.length
            if not self._ended and received == offset:
                raise Broken("the response brought nothing new")
            return
        # Without a length, a broken transfer looks like the end. A second request has to end at the same byte.
        chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
        self._ended = received == self._end_seen or (chunked and response.status_code == httpx.codes.OK)
        self._end_seen = received

    def _renew(self, refusal: UrlRefused, offset: int) -> None:
        """Let the next request use a new URL. Give up if new ones were refused as well."""
        self._refusals += 1
        if self._refusals > RENEWALS:
            kind = UrlExpiredError if refusal.expired else SourceRefusedError
            raise kind(
                f"{cannot_read(self.export_id, offset)}: {refusal}, also for {RENEWALS} new URLs from Genesys. "
                f"{refusal.clock or _REFUSED}"
            ) from refusal
        log.info("Export %s: %s; asking Genesys for another URL.", self.export_id, refusal)
        if self._refusals > 1:
            self._wait(_BEFORE_AGAIN)

    def _pause(self, error: Exception, failures: int, offset: int) -> None:
        """Wait before the next request, or give up."""
        if self._stopped.is_set():
            return
        if cause := lost_cause(error):
            raise ConfigurationError(f"{cannot_read(self.export_id, offset)}: {cause}") from error
        broken = error if isinstance(error, Broken) else Broken(f"{type(error).__name__}: {shown(error)}")
        self._foreign = self._foreign + 1 if broken.foreign else 0
        if self._foreign > min(self.settings.retries, FOREIGN_RETRIES):
            raise NotTheFileError(
                f"{cannot_read(self.export_id, offset)}: {broken}. {self._foreign} responses in a row were not the "
                f"file. {_foreign_advice(self._host())}"
            ) from error
        asked = broken.pause or 0.0
        if failures > self.settings.retries or asked > LONGEST_PAUSE:
            raise self._given_up(broken, failures, asked, offset) from error
        seconds = max(asked, pause(max(failures - 1, 0), *_BACKOFF))
        log.warning(
            "Export %s: the download broke at byte %s (%s). It continues in %.1f s.",
            self.export_id,
            f"{offset:,}",
            broken,
            seconds,
        )
        self._wait(seconds)

    def _given_up(self, broken: Broken, failures: int, asked: float, offset: int) -> SourceError:
        host = self._host()
        spent = f"{failures} attempts in a row brought less than 64 KiB each"
        wait = f"{host} asks to wait {asked:.0f} s"
        return SourceUnavailableError(
            f"{cannot_read(self.export_id, offset)}: {broken}. {wait if asked > LONGEST_PAUSE else spent}. The next "
            f"try of the task continues at the checkpoint. If that fails too, check that the worker reaches {host}.",
            answered=broken.answered,
        )

    def _host(self) -> str:
        return httpx.URL(self._signed.url).host if self._signed else "the object store"

    def _wait(self, seconds: float) -> None:
        (self.sleep or self._stopped.wait)(seconds)

    def _changed(self, how: str) -> SourceError:
        return changed(self.export_id, how)


_REFUSED = (
    "The store does not let this machine read. Look for a proxy that changes URLs, and for a policy of the bucket or "
    "of the VPC endpoint that allows only other networks."
)


def _foreign_advice(host: str) -> str:
    return (
        f"Either the worker does not reach {host}: a captive portal or a proxy that asks for a login answers in its "
        "place (check HTTPS_PROXY and NO_PROXY on the worker). Or the URL leads to the wrong host, or the store has an "
        "error document there: open the export in Genesys Cloud, or clear the create task to create it again. The next "
        "try of the task continues at the checkpoint."
    )
