"""Read an archive from a presigned URL, from any offset, through what networks and URLs do.

Every answer is held against what is known of the archive before one byte of it is used: status, ``Content-Range``,
length, ETag. Where a transfer breaks, it goes on with a ``Range`` request, and the bytes just before the break are
read again and compared: what cannot be shown to be the same archive is never joined.
"""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Protocol

import httpx

from airflow_provider_genesys.exceptions import (
    NotAnArchiveError,
    SourceChangedError,
    SourceError,
    SourceRefusedError,
    SourceUnavailableError,
    UrlExpiredError,
)
from airflow_provider_genesys.pipeline.checkpoint import Identity

log = logging.getLogger(__name__)

MARGIN = timedelta(minutes=1)
"""A URL that dies within this is replaced before another request is made with it."""
OVERLAP = 64 * 1024
"""So many bytes before a break are read again and compared."""
_RETRIED = frozenset({408, 421, 425, 429, 500, 502, 503, 504})
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_S3_CODE = re.compile(r"<Code>([A-Za-z]+)</Code>")
_LONGEST_PAUSE = 60.0
_SLOW_WINDOW = 60.0  # seconds over which a transfer has to bring at least _SLOW_BYTES
_SLOW_BYTES = 64 * 1024


class SignedUrl(Protocol):
    """A presigned URL and when it dies."""

    @property
    def url(self) -> str:
        """The URL, with its signature."""

    @property
    def expires_at(self) -> datetime:
        """When it stops being valid, at the latest."""


@dataclass(frozen=True)
class DownloadSettings:
    """How hard a download tries.

    :param retries: attempts in a row that bring no new byte before the task gives up.
    :param timeout: seconds without a byte, and for connecting.
    :param verify: verify TLS certificates, or the path of a CA bundle.
    """

    retries: int = 5
    timeout: float = 60.0
    verify: bool | str = True


class _Broken(Exception):  # noqa: N818 - never leaves this module
    """The transfer broke; another request may go on. ``pause`` is what the server asked for, in seconds."""

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.pause = pause


@dataclass
class Download:
    """One archive.

    :param open_url: gives the presigned URL; called with True for one newly asked from Genesys.
    :param export_id: for messages.
    :param known: what an earlier attempt learned of the archive.
    """

    open_url: Callable[[bool], SignedUrl]
    export_id: str
    known: Identity = field(default_factory=Identity)
    settings: DownloadSettings = field(default_factory=DownloadSettings)
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        self.requests = 0
        self._signed: SignedUrl | None = None
        self._renew = False
        self._tail = b""

    def read(self, start: int) -> Iterator[bytes]:
        """Yield the archive's bytes from ``start`` to its end.

        :raises SourceError: one of its leaves; the message names the export and the offset.
        """
        offset, failures = start, 0
        with httpx.Client(timeout=self.settings.timeout, verify=self.settings.verify, follow_redirects=False) as client:
            while self.known.length is None or offset < self.known.length:
                try:
                    for chunk in self._transfer(client, offset):
                        offset += len(chunk)
                        failures = 0
                        self._tail = (self._tail + chunk)[-OVERLAP:]
                        yield chunk
                except (httpx.TransportError, _Broken) as error:
                    failures += 1
                    self._pause(error, failures, offset)
                else:
                    return

    def _pause(self, error: Exception, failures: int, offset: int) -> None:
        reason = str(error) or type(error).__name__
        if failures > self.settings.retries:
            kind = UrlExpiredError if self._renew else SourceUnavailableError
            raise kind(
                f"The archive of export {self.export_id} cannot be read on from byte {offset}: {reason}. "
                f"{failures} attempts in a row brought nothing; the next try of the task continues from the checkpoint."
            ) from error
        wanted = getattr(error, "pause", None)
        pause = min(2.0 ** (failures - 1), _LONGEST_PAUSE) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        pause = pause if wanted is None else min(wanted, 2 * _LONGEST_PAUSE)
        log.warning("Download broke at byte %s (%s); going on in %.1f s.", f"{offset:,}", reason, pause)
        self.sleep(pause)

    def _transfer(self, client: httpx.Client, offset: int) -> Iterator[bytes]:
        """Make one request and yield what it brings, verified, from ``offset`` on."""
        overlap = min(len(self._tail), offset)
        first = offset - overlap
        received = offset
        with closing(self._requested(client, first)) as response:
            skip = self._verified(response, first)
            for chunk in self._compared(_in_time(response.iter_raw()), skip, overlap):
                received += len(chunk)
                if self.known.length is not None and received > self.known.length:
                    raise self._changed(f"it has more than the {self.known.length} bytes that were announced")
                yield chunk
        if self.known.length is not None and received < self.known.length:
            raise _Broken(f"the connection ended at byte {received} of {self.known.length}")

    def _requested(self, client: httpx.Client, first: int) -> httpx.Response:
        headers = {"Accept-Encoding": "identity"}
        if first:
            headers["Range"] = f"bytes={first}-"
        if self.known.etag and not self.known.etag.startswith("W/"):
            headers["If-Match"] = self.known.etag
        self.requests += 1
        return client.send(client.build_request("GET", self._url(), headers=headers), stream=True)

    def _url(self) -> str:
        """Return the URL in use; another where it was refused, or is about to die."""
        if self._signed is None or self._renew or self._signed.expires_at - datetime.now(timezone.utc) < MARGIN:
            self._signed = self.open_url(self._renew or self._signed is not None)
            self._renew = False
        return self._signed.url

    def _verified(self, response: httpx.Response, first: int) -> int:
        """Hold the answer's head against what is known. Return how many bytes of the body lie before ``first``."""
        if response.status_code not in (200, 206):
            self._refused(response, first)
        total = self._total(response, first)
        etag = response.headers.get("ETag")
        if self.known.length is not None and total is not None and total != self.known.length:
            raise self._changed(f"it has {total} bytes now, and had {self.known.length}")
        if self.known.etag and etag and etag != self.known.etag:
            raise self._changed("its ETag is another one")
        encoding = response.headers.get("Content-Encoding", "identity")
        if first and encoding != "identity":
            raise self._changed(f"a part of it was sent with Content-Encoding {encoding!r}")
        self.known = Identity(total if self.known.length is None else self.known.length, self.known.etag or etag)
        return first if response.status_code == httpx.codes.OK else 0

    def _total(self, response: httpx.Response, first: int) -> int | None:
        """Return the archive's length as the answer gives it."""
        if response.status_code == httpx.codes.OK:
            return int(length) if (length := response.headers.get("Content-Length", "")).isdigit() else None
        text = response.headers.get("Content-Range", "")
        match = _CONTENT_RANGE.fullmatch(text)
        if not match or int(match.group(1)) != first:
            raise self._changed(f"bytes from {first} on were asked for, and the answer is Content-Range {text!r}")
        return None if match.group(3) == "*" else int(match.group(3))

    def _compared(self, chunks: Iterator[bytes], skip: int, overlap: int) -> Iterator[bytes]:
        """Drop ``skip`` bytes, compare ``overlap`` bytes with what was read before, and yield the rest."""
        before, wanted = b"", self._tail[len(self._tail) - overlap :]
        for chunk in chunks:
            rest = chunk[skip:]
            skip = max(0, skip - len(chunk))
            if len(before) < overlap:
                need = overlap - len(before)
                before, rest = before + rest[:need], rest[need:]
                if before != wanted[: len(before)]:
                    raise self._changed("the bytes before the break are others now")
            if rest:
                yield rest

    def _refused(self, response: httpx.Response, first: int) -> None:
        """Raise what an answer without content means."""
        status = response.status_code
        text = _begin_of(response)
        code = match.group(1) if (match := _S3_CODE.search(text)) else ""
        told = f"HTTP {status} {code or response.reason_phrase}".strip()
        if code == "RequestTimeTooSkewed" or (code == "AccessDenied" and "not valid yet" in text.lower()):
            raise SourceRefusedError(f"{self._where(first)}: {told}. The clock of this machine is wrong; set it (NTP).")
        if status in (401, 403):
            self._renew = True
            raise _Broken(f"{told}: the URL is not accepted any more; asking Genesys for a new one", pause=0.5)
        if status in _RETRIED:
            raise _Broken(told, _retry_after(response))
        if status in (412, 416):
            raise self._changed(f"the store answers {told}")
        if 300 <= status < 400:  # noqa: PLR2004 - the redirects
            raise SourceRefusedError(
                f"{self._where(first)}: {told}, a redirect. Presigned URLs do not redirect; a proxy may be in the way."
            )
        raise SourceRefusedError(
            f"{self._where(first)}: {told}. The file is not there for this URL; clear the create task to have the "
            "export made again."
        )

    def _changed(self, how: str) -> SourceError:
        if self.requests <= 1 and self.known == Identity():
            return NotAnArchiveError(f"{self._where(0)}: {how}.")
        return SourceChangedError(
            f"The archive of export {self.export_id} is not the one that the load began with: {how}. Nothing of it was "
            "joined to what was read before. Clear the task with on_clear='restart' to load it from its beginning."
        )

    def _where(self, offset: int) -> str:
        return f"The archive of export {self.export_id} cannot be read from byte {offset}"


def _begin_of(response: httpx.Response) -> str:
    try:
        return next(response.iter_raw(4096), b"").decode("utf-8", "replace")
    except httpx.TransportError:
        return ""


def _retry_after(response: httpx.Response) -> float | None:
    text = response.headers.get("Retry-After", "")
    try:
        return max(0.0, float(text))
    except ValueError:
        return None


def _in_time(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Pass ``chunks`` on, but break a transfer that trickles. Only the time spent waiting for the network counts."""
    waited, brought = 0.0, 0
    while True:
        asked = time.monotonic()
        chunk = next(chunks, None)
        if chunk is None:
            return
        waited += time.monotonic() - asked
        brought += len(chunk)
        if waited > _SLOW_WINDOW:
            if brought < _SLOW_BYTES:
                raise _Broken(f"only {brought} bytes came in {waited:.0f} s")
            waited, brought = 0.0, 0
        yield chunk
