"""Details jobs of the analytics API: all conversations, or all users, of a window, as pages.

An export is one job; where Genesys finds its window too large, it is one job for each piece of it, and its id is
theirs, joined by commas.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from airflow_provider_genesys.cloud.exports import ExportRequest, ExportState, ExportStatus
from airflow_provider_genesys.cloud.times import api_time, parse_time
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
from airflow_provider_genesys.pipeline.pages import Page

if TYPE_CHECKING:
    from airflow_provider_genesys.cloud.client import CloudClient

SHORTEST = timedelta(minutes=1)
"""A window that Genesys finds too large is not halved below this."""
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
    :param filters: names of the members of a query that hold filters.
    :param by_window: see :class:`~.exports.PagedFamily`.
    """

    path: str
    member: str
    id_field: str
    filters: tuple[str, ...]
    by_window: bool


CONVERSATIONS = Details(
    "/api/v2/analytics/conversations/details/jobs",
    "conversations",
    "conversationId",
    ("conversationFilters", "segmentFilters", "evaluationFilters", "surveyFilters", "resolutionFilters"),
    by_window=False,
)
USERS = Details(
    "/api/v2/analytics/users/details/jobs",
    "userDetails",
    "userId",
    ("userFilters", "presenceFilters", "routingStatusFilters"),
    by_window=True,
)


class DetailsJobs:
    """Implements :class:`~.exports.PagedFamily` on one details API."""

    def __init__(self, kind: str, details: Details) -> None:
        self.kind = kind
        self.by_window = details.by_window
        self._details = details
        body: list[Any] = [(details.member, list[msgspec.Raw], []), ("cursor", str | None, None)]
        body.append(("dataAvailabilityDate", str | None, None))
        self._answers = msgspec.json.Decoder(msgspec.defstruct("Answer", body))
        self._ids = msgspec.json.Decoder(msgspec.defstruct("Id", [("id", str)], rename={"id": details.id_field}))

    def create(self, client: CloudClient, request: ExportRequest) -> str:
        """Create a job, or several where Genesys finds the window too large, and return the export's id.

        :raises WindowTooLargeError: it finds even a minute too large.
        :raises ConfigurationError: filters or options hold what this API does not take.
        """
        made: list[str] = []
        try:
            self._create(client, request, request.window_start, request.window_end, made)
        except BaseException:
            for job in made:  # nobody will ever ask for them
                with suppress(CloudError):
                    client.request("DELETE", self._path(job))
            raise
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

    def _create(
        self, client: CloudClient, request: ExportRequest, start: datetime, end: datetime, made: list[str]
    ) -> None:
        try:
            answer = client.request("POST", self._details.path, json=self._body(request, start, end))
        except RequestRefusedError as error:
            if error.status != _BAD_REQUEST or not _TOO_LONG.search(str(error)):
                raise
            middle = start + (end - start) / 2
            if middle - start < SHORTEST:
                raise WindowTooLargeError(f"Genesys finds even {start} to {end} too large: {error}") from error
            self._create(client, request, start, middle, made)
            self._create(client, request, middle, end, made)
            return
        job = answer.get("jobId") if isinstance(answer, dict) else None
        if not job:
            raise ConfigurationError(f"The answer from {self._details.path} has no member 'jobId'. Is that Genesys?")
        made.append(str(job))

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


def families() -> Sequence[DetailsJobs]:
    """Return the families of exports that are details jobs."""
    return DetailsJobs("conversation_details", CONVERSATIONS), DetailsJobs("user_details", USERS)
