"""Details jobs of the analytics API: all conversations, or all users, of a window, as pages.

An export is one job; where Genesys finds its window too large, it is one job for each piece of it (:mod:`.pieces`), and
its id is theirs, joined by commas.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from airflow_provider_genesys.cloud.exports.base import ExportRequest, ExportState, ExportStatus, Page
from airflow_provider_genesys.cloud.exports.pieces import BY_START_DAY, cut
from airflow_provider_genesys.exceptions import (
    CloudError,
    CloudUnavailableError,
    ConfigurationError,
    CursorLostError,
    ExportGoneError,
    NotFoundError,
    RequestRefusedError,
    WindowTooLargeError,
)
from airflow_provider_genesys.times import api_time, parse_time

if TYPE_CHECKING:
    from airflow_provider_genesys.cloud.http.client import CloudClient

_JOIN = ","
_BAD_REQUEST = 400
_STATES = {
    "QUEUED": ExportState.QUEUED,
    "PENDING": ExportState.RUNNING,
    "FULFILLED": ExportState.COMPLETED,
    "FAILED": ExportState.FAILED,
    "CANCELLED": ExportState.CANCELLED,
    "EXPIRED": ExportState.EXPIRED,
}
_WORST = (
    ExportState.FAILED,
    ExportState.CANCELLED,
    ExportState.EXPIRED,
    ExportState.UNKNOWN,
    ExportState.QUEUED,
    ExportState.RUNNING,
    ExportState.COMPLETED,
)
"""Of several jobs, the first of these says how the export stands."""
_TOO_LONG = re.compile(r"interval.*\b(longer|exceed|too (large|long)|maximum|greater)", re.IGNORECASE)
_CAPPED = re.compile(r"pagination may not exceed", re.IGNORECASE)
_CURSOR = re.compile(r"cursor", re.IGNORECASE)


@dataclass(frozen=True)
class Details:
    """What tells one details API from the other.

    :param path: of the jobs.
    :param member: of a page, that holds the records.
    :param id_field: of a record.
    :param start_field: of a record, that says when it began; empty where there is none.
    :param filters: names of the members of a query that hold filters.
    :param by_window: see :class:`~.exports.base.QueryFamily`.
    """

    path: str
    member: str
    id_field: str
    start_field: str
    filters: tuple[str, ...]
    by_window: bool


CONVERSATIONS = Details(
    "/api/v2/analytics/conversations/details/jobs",
    "conversations",
    "conversationId",
    "conversationStart",
    ("conversationFilters", "segmentFilters", "evaluationFilters", "surveyFilters", "resolutionFilters"),
    by_window=False,
)
USERS = Details(
    "/api/v2/analytics/users/details/jobs",
    "userDetails",
    "userId",
    "",
    ("userFilters", "presenceFilters", "routingStatusFilters"),
    by_window=True,
)


class DetailsJobs:
    """Implements :class:`~.exports.base.QueryFamily` on one details API."""

    def __init__(self, kind: str, details: Details) -> None:
        self.kind = kind
        self.by_window = details.by_window
        self._details = details
        body: list[Any] = [(details.member, list[msgspec.Raw], []), ("cursor", str | None, None)]
        body.append(("dataAvailabilityDate", str | None, None))
        self._answers = msgspec.json.Decoder(msgspec.defstruct("Answer", body))
        begun = msgspec.defstruct("Begun", [("at", str | None, None)], rename={"at": details.start_field})
        self._begun = msgspec.json.Decoder(begun)
        self._ids = msgspec.json.Decoder(msgspec.defstruct("Id", [("id", str)], rename={"id": details.id_field}))

    def create(self, client: CloudClient, request: ExportRequest) -> str:
        """Create a job, or one for each of 2, 4, 8... pieces of a window that is too large; return the export's id.

        :raises WindowTooLargeError: Genesys finds even a minute too large.
        :raises ConfigurationError: filters or options hold what this API does not take.
        """
        pieces = request.pieces
        while (made := self._in_pieces(client, request, pieces)) is None:
            pieces *= 2
        return _JOIN.join(made)

    def status(self, client: CloudClient, export_id: str) -> ExportStatus:
        """Ask how the export stands: as the worst of its jobs."""
        found = [self._status(client, job) for job in self.jobs(export_id)]
        worst = min(found, key=lambda status: _WORST.index(status.state))
        return ExportStatus(
            export_id=export_id,
            kind=self.kind,
            state=worst.state,
            raw_state=worst.raw_state,
            expires_at=min(filter(None, [status.expires_at for status in found]), default=None),
            submitted_at=min(filter(None, [status.submitted_at for status in found]), default=None),
            message=worst.message,
        )

    def cancel(self, client: CloudClient, export_id: str) -> bool:
        """Cancel every job. Return False when all are gone already."""
        cancelled = [self._cancel(client, job) for job in self.jobs(export_id)]
        return any(cancelled)

    def jobs(self, export_id: str) -> list[str]:
        """Return the ids of the jobs that an export consists of."""
        return export_id.split(_JOIN)

    def available_until(self, client: CloudClient) -> datetime | None:
        """Ask to when analytics has all data; None where Genesys does not say."""
        answer = client.request("GET", f"{self._details.path}/availability")
        return parse_time(answer.get("dataAvailabilityDate")) if isinstance(answer, dict) else None

    def page(self, client: CloudClient, job: str, cursor: str | None, size: int) -> Page:
        """Ask for a page of results.

        :raises CursorLostError: the cursor is not valid any more.
        :raises WindowTooLargeError: Genesys pages no further.
        :raises ExportGoneError: the results have expired.
        """
        params: dict[str, str | int | bool] = {"pageSize": size, **({"cursor": cursor} if cursor else {})}
        try:
            body = client.fetch(f"{self._path(job)}/results", params=params)
        except (NotFoundError, RequestRefusedError) as error:
            raise self._meant(client, job, cursor, error) from error
        try:
            answer: Any = self._answers.decode(body)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise CloudUnavailableError(
                f"A page of job {job} cannot be read ({len(body)} bytes: {error}). The next try asks for it again; if "
                "that stays so, see whether a proxy answers in place of Genesys."
            ) from error
        records = [memoryview(raw) for raw in getattr(answer, self._details.member)]
        ids = [self._id(record) for record in records]
        return Page(ids, records, answer.cursor, parse_time(answer.dataAvailabilityDate))

    def begun(self, record: memoryview) -> datetime | None:
        """Return when a record began; None where it does not say."""
        try:
            found: Any = self._begun.decode(record)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        return parse_time(found.at)

    def _in_pieces(self, client: CloudClient, request: ExportRequest, pieces: int) -> list[str] | None:
        """Create a job for each of so many pieces of the window; None where Genesys finds one too large."""
        made: list[str] = []
        try:
            for body in self._bodies(request, pieces):
                made.append(self._create(client, body))  # noqa: PERF401 - what was made before an error has to be known
        except BaseException as error:
            for job in made:  # nobody will ever ask for them
                with suppress(CloudError):
                    client.request("DELETE", self._path(job))
            if _too_large(error):
                return None
            raise
        return made

    def _create(self, client: CloudClient, body: dict[str, Any]) -> str:
        answer = client.request("POST", self._details.path, json=body)
        job = answer.get("jobId") if isinstance(answer, dict) else None
        if not job:
            raise ConfigurationError(f"The answer from {self._details.path} has no member 'jobId'. Is that Genesys?")
        return str(job)

    def _bodies(self, request: ExportRequest, pieces: int) -> list[dict[str, Any]]:
        """Return the bodies that ask for the window in so many pieces."""
        if pieces == 1:
            return [self._body(request, request.window_start, request.window_end)]
        window = cut(request.window_start, request.window_end, pieces, request.options)
        # With the option, the pieces of a day would all have all of the day.
        options = {name: value for name, value in request.options.items() if name != BY_START_DAY}
        return [self._body(replace(request, options=options), piece.start, piece.end) for piece in window]

    def _body(self, request: ExportRequest, start: datetime, end: datetime) -> dict[str, Any]:
        if unknown := sorted(set(request.filters) - set(self._details.filters)):
            raise ConfigurationError(
                f"filters must not hold {', '.join(unknown)}; {self.kind} takes {', '.join(self._details.filters)}."
            )
        if "interval" in request.options:
            raise ConfigurationError("options must not hold interval: use window_start and window_end.")
        interval = f"{api_time(start)}/{api_time(end)}"
        return {"interval": interval, **request.filters, **request.options}

    def _status(self, client: CloudClient, job: str) -> ExportStatus:
        answer = client.request("GET", self._path(job))
        answer = answer if isinstance(answer, dict) else {}
        raw_state = str(answer.get("state") or "")
        return ExportStatus(
            export_id=job,
            kind=self.kind,
            state=_STATES.get(raw_state, ExportState.UNKNOWN),
            raw_state=raw_state,
            expires_at=parse_time(answer.get("expirationDate")),
            submitted_at=parse_time(answer.get("submissionDate")),
            message=answer.get("errorMessage"),
        )

    def _cancel(self, client: CloudClient, job: str) -> bool:
        try:
            client.request("DELETE", self._path(job))
        except NotFoundError:
            return False
        return True

    def _meant(self, client: CloudClient, job: str, cursor: str | None, error: CloudError) -> Exception:
        """Return what a refusal of a page means."""
        if _CAPPED.search(str(error)):
            return WindowTooLargeError(f"Job {job} has more results than Genesys gives out: {error}")
        with suppress(NotFoundError):
            status = self._status(client, job)
            if status.state is ExportState.COMPLETED and cursor and _CURSOR.search(str(error)):
                return CursorLostError(f"The cursor of job {job} is not valid any more: {error}")
            if status.state is not ExportState.EXPIRED:
                return error
        return ExportGoneError(
            f"The results of job {job} have expired at Genesys. Clear the task that creates the export to make it anew."
        )

    def _id(self, record: memoryview) -> str:
        """Return the id of a record; of one that has none, its bytes."""
        try:
            found: Any = self._ids.decode(record)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return bytes(record).decode("latin-1")
        return str(found.id)

    def _path(self, job: str) -> str:
        if not job.strip("."):
            raise ConfigurationError(f"{job!r} is not the id of a job.")
        return f"{self._details.path}/{quote(job, safe='')}"


def _too_large(error: BaseException) -> bool:
    refused = isinstance(error, RequestRefusedError) and error.status == _BAD_REQUEST
    return refused and _TOO_LONG.search(str(error)) is not None


def families() -> Sequence[DetailsJobs]:
    """Return the families of exports that are details jobs."""
    return DetailsJobs("conversation_details", CONVERSATIONS), DetailsJobs("user_details", USERS)
