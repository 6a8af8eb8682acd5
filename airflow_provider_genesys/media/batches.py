"""Batch requests: ask for short-lived URLs of recordings' media, a hundred at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from airflow_provider_genesys.cloud.http.errors import is_of_one
from airflow_provider_genesys.cloud.http.no_answer import is_no_answer
from airflow_provider_genesys.cloud.http.one_of_many import asked_for_one
from airflow_provider_genesys.cloud.http.paths import path_step
from airflow_provider_genesys.cloud.http.shapes import elements, members
from airflow_provider_genesys.cloud.presigned import PresignedUrl, check_host, expires_at
from airflow_provider_genesys.exceptions import (
    CloudUnavailableError,
    NotFoundError,
    RequestRefusedError,
    SourceUnavailableError,
)
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.retries import pause
from airflow_provider_genesys.times import now

if TYPE_CHECKING:
    from airflow_provider_genesys.cloud.http.client import CloudClient

PATH = "/api/v2/recording/batchrequests"
LARGEST = 100
"""Largest number of items in one request."""
_ENDED = frozenset({"completed", "complete", "fulfilled", "succeeded", "success", "done", "finished"})
_FAILED = frozenset({"failed", "failure", "error", "cancelled", "canceled", "expired", "aborted"})
"""Statuses of a batch, in small letters. Of any other it is waited for."""
NOBODY = str(UUID(int=0))
"""The id of no conversation and no recording: Genesys says so, unless it fails for all."""
_BELIEVED = 4
"""How often in a row a batch without a status has to seem complete."""
_SHORTEST, _LONGEST = 2, 60
"""Shortest and longest lifetime of a URL in minutes. If the settings do not say, the shortest is assumed."""


@dataclass(frozen=True)
class Recording:
    """Which recording."""

    conversation_id: str
    recording_id: str


@dataclass(frozen=True)
class MediaResult:
    """Genesys' result for a recording: a URL, or its reason why there is none."""

    recording: Recording
    content_type: str
    url: PresignedUrl | None = field(repr=False)
    error: str | None
    unavailable: bool = False
    """Whether the request for this recording alone failed."""


@dataclass(frozen=True)
class Patience:
    """Seconds before the second poll, longest pause between two polls, and time limit of a whole batch."""

    first: float = 1.0
    longest: float = 15.0
    whole: float = 1800.0


class MediaBatches:
    """Asks for media. Thread-safe.

    :param stopped: once it is set, the wait for the next poll ends.
    """

    def __init__(self, client: CloudClient, patience: Patience, stopped: threading.Event) -> None:
        self._client = client
        self._patience = patience
        self._stopped = stopped

    def results(self, wanted: Sequence[Recording]) -> list[MediaResult]:
        """Return the results for ``wanted``. A recording has one, several, or none if Genesys leaves it out.

        :raises SourceUnavailableError: a batch does not end in time.
        :raises UntrustedHostError: the connection does not allow downloads from a URL's host.
        """
        batches = (wanted[start : start + LARGEST] for start in range(0, len(wanted), LARGEST))
        return [result for batch in batches for result in self._batch(batch, batch)]

    def _batch(self, wanted: Sequence[Recording], beside: Sequence[Recording]) -> list[MediaResult]:
        """Ask for ``wanted`` in one request. If Genesys fails for it, ask in halves, to find what it fails for.

        :param beside: recordings of which some are asked for, to find out whether Genesys fails for all; without any,
            that of nobody is.
        """
        others = [one for one in (*beside[:2], *beside[-2:]) if one not in wanted[:1]]
        asked: list[Callable[[], object]] = [partial(self._asked, [one]) for one in others]
        try:
            return asked_for_one(
                partial(self._asked, wanted), asked or [partial(self._asked, [Recording(NOBODY, NOBODY)])]
            )
        except (RequestRefusedError, CloudUnavailableError) as error:
            if not is_of_one(error):
                raise
            if len(wanted) == 1:
                return [MediaResult(wanted[0], "", None, str(error), unavailable=True)]
        half = len(wanted) // 2
        return [*self._batch(wanted[:half], beside), *self._batch(wanted[half:], beside)]

    def _asked(self, wanted: Sequence[Recording]) -> list[MediaResult]:
        asked = [{"conversationId": one.conversation_id, "recordingId": one.recording_id} for one in wanted]
        # A batch that nobody looks at costs nothing, so the request may be sent twice.
        request = {"batchDownloadRequestList": asked}
        batch = self._client.request("POST", PATH, json=request, reads=True, is_answer=_has_id)["id"]
        found = self._completed(str(batch), wanted).get("results")
        results = [self._read(one) for one in elements(found) if isinstance(one, dict)]
        return sorted(results, key=_order)

    def _completed(self, batch: str, wanted: Sequence[Recording]) -> dict[str, Any]:
        began, polls, seeming = time.monotonic(), 0, 0
        while True:
            answer = self._look(batch)
            seeming = seeming + 1 if _seems_complete(answer, wanted) else 0
            if _is_complete(answer) or seeming == _BELIEVED:
                return answer
            if str(answer.get("status")).lower() in _FAILED:
                raise CloudUnavailableError(
                    f"Batch request {shown(batch, 40)} ended {shown(answer.get('status'), 40)}: "
                    f"{shown(answer.get('errorMsg') or answer.get('message') or 'without a reason')}.",
                    status=200,
                )
            waited = time.monotonic() - began
            if waited > self._patience.whole or self._stopped.wait(
                pause(polls, self._patience.first, self._patience.longest)
            ):
                raise SourceUnavailableError(
                    f"Batch request {batch} is {shown(answer.get('status'), 40)} after {waited:.0f} s, with "
                    f"{shown(answer.get('resultCount'), 20)} of {shown(answer.get('expectedResultCount'), 20)} "
                    "results. The next try makes another batch. If that does not end either, ask for fewer recordings "
                    "at a time (page_size)."
                )
            polls += 1

    def _look(self, batch: str) -> dict[str, Any]:
        try:
            answer = self._client.request("GET", f"{PATH}/{path_step(batch, 'a batch request')}", is_answer=_is_batch)
        except NotFoundError as error:  # Genesys does not document how long it keeps one
            raise SourceUnavailableError(
                f"Batch request {batch} was gone before it ended. The next try makes another batch. ({error})"
            ) from error
        return members(answer)

    def _read(self, result: dict[str, Any]) -> MediaResult:
        recording = Recording(str(result.get("conversationId")), str(result.get("recordingId")))
        url = result.get("resultUrl")
        if not isinstance(url, str) or "://" not in url:
            url = None
        said = result.get("errorMsg")
        error = shown(said) if said else (None if url else "Genesys gives neither a URL nor an error.")
        content_type = shown(result.get("contentType") or "", 80)
        return MediaResult(recording, content_type, self._signed(url) if url else None, error)

    def _signed(self, url: str) -> PresignedUrl:
        self._client.note_url(url)
        check_host(url, self._client.config)
        asked_at = now()
        return PresignedUrl(url, expires_at(url, now=asked_at, fallback=asked_at + self._lifetime))

    @cached_property
    def _lifetime(self) -> timedelta:
        """How long a URL lives that does not say so itself."""
        settings = members(self._client.request("GET", "/api/v2/recording/settings"))
        minutes = settings.get("recordingBatchDownloadUrlTtl")
        known = minutes if isinstance(minutes, (int, float)) else _SHORTEST
        return timedelta(minutes=min(max(known, _SHORTEST), _LONGEST))


def _has_id(answer: Any) -> bool:
    return bool(members(answer).get("id"))


def _is_batch(answer: Any) -> bool:
    return not is_no_answer(answer) or not members(answer).keys().isdisjoint({"status", "results"})


def _is_complete(answer: dict[str, Any]) -> bool:
    """Whether a batch has ended: its status says so, or as many results are there as are expected."""
    if str(answer.get("status")).lower() in _ENDED:
        return True
    results = [one for one in elements(answer.get("results")) if one]
    failed = sum(isinstance(one, dict) and bool(one.get("errorMsg")) for one in results)
    there = len(results) - failed + max(failed, _count(answer.get("errorCount")) or 0)
    return there >= (_count(answer.get("expectedResultCount")) or there + 1)


def _seems_complete(answer: dict[str, Any], wanted: Sequence[Recording]) -> bool:
    """Whether a batch without a status seems to have ended: it expects nothing, counts all, or has all ``wanted``."""
    status = answer.get("status")
    if isinstance(status, str) and status:
        return False
    expected = _count(answer.get("expectedResultCount"))
    if expected is None:
        found = {str(members(one).get("recordingId")) for one in elements(answer.get("results"))}
        return found >= {one.recording_id for one in wanted}
    return (_count(answer.get("resultCount")) or 0) + (_count(answer.get("errorCount")) or 0) >= expected


def _count(value: Any) -> int | None:
    """Return a count, which may be a text; None if it is none."""
    text = "" if isinstance(value, bool) else str(value)
    return int(text) if text.isdecimal() and len(text) <= _DIGITS else None


_DIGITS = 9


def _order(result: MediaResult) -> tuple[str, str]:
    """Return a sort key, so that several results of one recording have the same order each time."""
    return result.content_type, result.url.url.partition("?")[0] if result.url else ""
