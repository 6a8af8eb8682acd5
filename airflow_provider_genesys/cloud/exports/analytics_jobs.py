"""Jobs of the analytics API: created with POST, polled, read page by page, cancelled with DELETE.

An export is usually one job. If Genesys finds the window too large, the export is one job for each piece of the window
(:mod:`.pieces`). Its id is then the ids of its jobs, joined by commas.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_genesys.cloud.exports.base import (
    AGAIN,
    ExportRequest,
    ExportState,
    ExportStatus,
    Page,
    Repair,
    created_id,
    delete,
    unrepaired,
)
from airflow_provider_genesys.cloud.exports.elements import check_once
from airflow_provider_genesys.cloud.exports.page_body import read_body
from airflow_provider_genesys.cloud.http.no_answer import Doubt, has_state
from airflow_provider_genesys.cloud.http.paths import path_step
from airflow_provider_genesys.cloud.http.shapes import members
from airflow_provider_genesys.exceptions import (
    CloudError,
    CursorLostError,
    ExportGoneError,
    NotFoundError,
    RequestRefusedError,
    WindowTooLargeError,
)
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.times import parse_time

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
"""The state of an export with several jobs is the first of these that one of the jobs has."""
_CAPPED = re.compile(r"pagination may not exceed", re.IGNORECASE)
_CURSOR = re.compile(r"cursor", re.IGNORECASE)


class AnalyticsJobs(ABC):
    """What the kinds of analytics jobs share. Implements :class:`~.base.PagedFamily`."""

    kind: str
    member: str
    """Name of the member of a page that holds the records."""
    too_large: ClassVar[re.Pattern[str]] = re.compile(
        r"interval.*\b(longer|exceed|too (large|long)|maximum|greater)", re.IGNORECASE
    )
    """Matches the message of a 400 response which says that the window is too large."""

    @abstractmethod
    def bodies(self, request: ExportRequest, pieces: int) -> Iterable[dict[str, Any]]:
        """Return the request bodies for the window in that many pieces.

        :raises WindowTooLargeError: a piece would be too short.
        :raises ConfigurationError: filters or options hold what this API does not take.
        """

    @abstractmethod
    def path_of(self, request: ExportRequest) -> str:
        """Return the path of the jobs that serve ``request``."""

    @abstractmethod
    def path(self, job: str) -> str:
        """Return the path of a job.

        :raises ConfigurationError: ``job`` is not the id of a job.
        """

    def page_params(self, size: int) -> dict[str, str | int | bool]:
        """Return the query parameters for a page of ``size`` records."""
        return {"pageSize": size}

    @abstractmethod
    def read_page(self, job: str, body: bytes) -> Page:
        """Decode a page.

        :raises msgspec.MsgspecError: ``body`` is not a page.
        """

    def named(self, request: ExportRequest, job: str) -> str:  # noqa: ARG002 - for kinds whose jobs have several paths
        """Return the id of a new job, with a prefix if the kind's jobs have several paths."""
        return job

    def id_of_broken(self, record: bytes) -> str:
        """Return the id of a record that is no JSON; if it is not found, a text made of its bytes."""
        return record.decode("latin-1")

    def create(self, client: CloudClient, request: ExportRequest) -> str:
        """Create the export and return its id. If the window is too large, create 2, 4, 8... jobs for pieces of it.

        :raises WindowTooLargeError: Genesys finds even the smallest piece too large.
        :raises ConfigurationError: filters or options hold what this API does not take.
        """
        pieces = request.pieces
        while (made := self._in_pieces(client, request, pieces)) is None:
            pieces *= 2
        return _JOIN.join(made)

    def status(self, client: CloudClient, export_id: str) -> ExportStatus:
        """Ask for the state of the export: the worst state of its jobs."""
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
        """Cancel every job. Return False if all are gone already."""
        cancelled = [delete(client, self.path(job)) for job in self.jobs(export_id)]
        return any(cancelled)

    def jobs(self, export_id: str) -> list[str]:
        """Return the ids of the jobs that an export consists of."""
        return export_id.split(_JOIN)

    def page(self, client: CloudClient, job: str, cursor: str | None, size: int, repair: Repair = unrepaired) -> Page:
        """Ask for a page of results.

        :param repair: returns a page of which single records are broken, or raises the error.
        :raises CursorLostError: the cursor is no longer valid.
        :raises WindowTooLargeError: Genesys gives out no more pages of this job.
        :raises ExportGoneError: the results have expired.
        """
        params = {**self.page_params(size), **({"cursor": cursor} if cursor else {})}
        doubt = Doubt()

        def read(body: bytes) -> Page:
            doubt.check(body, self.member, f"A page of job {job}")
            return self._page(job, body, repair)

        try:
            return client.decode(f"{self.path(job)}/results", read, params=params)
        except (NotFoundError, RequestRefusedError) as error:
            raise self._meant(client, job, cursor, error) from error

    def _page(self, job: str, body: bytes, repair: Repair) -> Page:
        read = partial(self._read, job)
        what = f"A page of job {job}"
        return read_body(body, what, member=self.member, read=read, id_of=self.id_of_broken, repair=repair)

    def _read(self, job: str, body: bytes) -> Page:
        if not body.strip():
            return Page([], [])
        check_once(body, (self.member, "cursor"))
        return self.read_page(job, body)

    def _in_pieces(self, client: CloudClient, request: ExportRequest, pieces: int) -> list[str] | None:
        """Create a job for each of ``pieces`` pieces of the window; None if Genesys finds one of them too large."""
        made: list[str] = []
        try:
            for body in self.bodies(request, pieces):
                made.append(self._create(client, request, body))  # noqa: PERF401 - after an error, what was made counts
        except BaseException as error:
            for job in made:  # nothing will read their results
                with suppress(CloudError):
                    client.request("DELETE", self.path(job))
            if self._is_too_large(error):
                return None
            raise
        return made

    def _create(self, client: CloudClient, request: ExportRequest, body: dict[str, Any]) -> str:
        path = self.path_of(request)
        answer = client.request("POST", path, json=body)
        return self.named(request, created_id(answer, "jobId", path))

    def _status(self, client: CloudClient, job: str) -> ExportStatus:
        answer = members(client.request("GET", self.path(job), is_answer=has_state))
        raw_state = shown(answer.get("state") or "")
        return ExportStatus(
            export_id=job,
            kind=self.kind,
            state=_STATES.get(raw_state, ExportState.UNKNOWN),
            raw_state=raw_state,
            expires_at=parse_time(answer.get("expirationDate")),
            submitted_at=parse_time(answer.get("submissionDate")),
            message=answer.get("errorMessage"),
        )

    def _meant(self, client: CloudClient, job: str, cursor: str | None, error: CloudError) -> Exception:
        """Return the error that a refused page means."""
        if _CAPPED.search(str(error)):
            return WindowTooLargeError(f"Job {job} has more results than Genesys delivers: {error}")
        with suppress(NotFoundError):
            status = self._status(client, job)
            if status.state is ExportState.COMPLETED and cursor and _CURSOR.search(str(error)):
                return CursorLostError(f"The cursor of job {job} is not valid any more: {error}")
            if status.state is not ExportState.EXPIRED:
                return error
        return ExportGoneError(f"The results of job {job} have expired at Genesys. {AGAIN}")

    def _is_too_large(self, error: BaseException) -> bool:
        refused = isinstance(error, RequestRefusedError) and error.status == _BAD_REQUEST
        return refused and self.too_large.search(str(error)) is not None


def job_path(jobs: str, job: str) -> str:
    """Return the path of a job, below the path ``jobs``.

    :raises ConfigurationError: ``job`` is not the id of a job.
    """
    return f"{jobs}/{path_step(job, 'a job')}"
