"""Recording jobs with action EXPORT: Genesys itself writes recordings into the customer's own S3 bucket.

A job first finds out which recordings it covers. Then it is READY and waits for the request to start. Its result is
one record, the job itself, and one rejected record for each recording that it could not export.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import msgspec

from airflow_provider_genesys.cloud.exports.base import (
    ExportRequest,
    ExportState,
    ExportStatus,
    Page,
    Repair,
    check_cursor,
    created_id,
    delete,
    unrepaired,
)
from airflow_provider_genesys.cloud.exports.elements import check_once
from airflow_provider_genesys.cloud.exports.page_body import read_body
from airflow_provider_genesys.cloud.exports.recording_query import is_same_query, recording_query
from airflow_provider_genesys.cloud.http.no_answer import Doubt, has_state
from airflow_provider_genesys.cloud.http.paths import new_id, path_step
from airflow_provider_genesys.cloud.http.shapes import elements, members, query_of
from airflow_provider_genesys.exceptions import (
    CloudError,
    CloudUnavailableError,
    JobLimitError,
    RecordError,
    RequestRefusedError,
)
from airflow_provider_genesys.limits import MOST_LISTED_PAGES
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.times import api_time, now, parse_time

if TYPE_CHECKING:
    from airflow_provider_genesys.cloud.http.client import CloudClient

PATH = "/api/v2/recording/jobs"
AT_WORK = 2
"""An organisation may have this many jobs pending or processing."""
LARGEST_PAGE = 100
_WORKING, _ALIVE = ("PENDING", "PROCESSING"), ("PENDING", "READY", "PROCESSING")
_STATES = {
    "PENDING": ExportState.QUEUED,
    "READY": ExportState.READY,
    "PROCESSING": ExportState.RUNNING,
    "FULFILLED": ExportState.COMPLETED,
    "CANCELLED": ExportState.CANCELLED,
    "FAILED": ExportState.FAILED,
}
_NOTHING_TO_CANCEL = frozenset({400, 405, 409})
"""Status codes for a job that has ended already. Genesys does not document which of them it sends."""


class RecordingJobs:
    """Implements :class:`~.exports.base.StartedFamily` and :class:`~.exports.base.PagedFamily`."""

    kind = "recording_bulk"

    def create(self, client: CloudClient, request: ExportRequest) -> str:
        """Create a job and return its id. If this client has an unfinished job for the same recordings, return its id.

        :raises JobLimitError: the organisation has reached its limit of jobs.
        :raises ConfigurationError: filters or options hold what an export does not take, such as another action.
        """
        query = recording_query(request)
        orphan = next((job for job in self._listed(client, showOnlyMyJobs=True) if _is_for(job, query)), None)
        if orphan:
            return new_id(str(orphan.get("id")), PATH)
        if self._are_taken(client):
            raise _limit("The job was not created")
        dated = query if query.keys() & {"actionDate", "actionAge"} else {**query, "actionDate": api_time(now())}
        try:
            answer = client.request("POST", PATH, json=dated)
        except (RequestRefusedError, CloudUnavailableError) as error:
            raise self._meant(client, error) from error
        return created_id(answer, "id", PATH)

    def status(self, client: CloudClient, export_id: str) -> ExportStatus:
        """Ask for the state of the job."""
        return self._status(_job(client, export_id), export_id)

    def start(self, client: CloudClient, export_id: str) -> ExportStatus:
        """Start a READY job. It stays READY while the organisation has reached its limit of jobs."""
        try:
            answer = client.request("PUT", _path(export_id), json={"state": "PROCESSING"})
        except (RequestRefusedError, CloudUnavailableError) as error:
            status = self.status(client, export_id)
            if status.state is ExportState.READY and not self._is_limit(client, error):
                raise
            return status
        return self._status(answer, export_id) if has_state(answer) else self.status(client, export_id)

    def cancel(self, client: CloudClient, export_id: str) -> bool:
        """Cancel the job. Return False if it is gone or has ended."""
        return delete(client, _path(export_id), _NOTHING_TO_CANCEL)

    def jobs(self, export_id: str) -> list[str]:
        """Return the id of the export's one job."""
        return [export_id]

    def page(self, client: CloudClient, job: str, cursor: str | None, size: int, repair: Repair = unrepaired) -> Page:
        """Return a page. The first has one record, the job; the others have the recordings that it could not export."""
        if cursor is None:
            answer = _job(client, job)
            following = urlencode({"pageSize": min(size, LARGEST_PAGE), "includeTotal": "false"})
            record = {**answer, "explanation": _explained(answer)}
            return Page([job], [_raw(record)], following if answer.get("totalFailedRecordings") else None)
        read = partial(_failed, job, repair, Doubt())
        return client.decode(f"{_path(job)}/failedrecordings", read, params=dict(parse_qsl(cursor)))

    def _status(self, answer: dict[str, Any], export_id: str) -> ExportStatus:
        raw_state = shown(answer.get("state") or "")
        state = _STATES.get(raw_state, ExportState.UNKNOWN)
        asked = members(members(answer.get("recordingJobsQuery")).get("conversationQuery"))
        start, _, end = str(asked.get("interval") or "").partition("/")
        return ExportStatus(
            export_id=export_id,
            kind=self.kind,
            state=state,
            raw_state=raw_state,
            records=1 + _count(answer.get("totalFailedRecordings")) if state is ExportState.COMPLETED else None,
            submitted_at=parse_time(answer.get("dateCreated")),
            window_start=parse_time(start),
            window_end=parse_time(end),
            progress=answer.get("percentProgress"),
            message=_explained(answer) if state is ExportState.COMPLETED else answer.get("errorMessage"),
        )

    def _listed(self, client: CloudClient, **which: str | bool) -> Any:
        """Yield the jobs that export, newest first."""
        params: dict[str, Any] = {"pageSize": LARGEST_PAGE, "includeTotal": False, "sortBy": "dateCreated", **which}
        cursor = urlencode({name: _text(value) for name, value in params.items()})
        met: set[str] = set()
        while cursor not in met and len(met) < MOST_LISTED_PAGES:
            met.add(cursor)
            answer = client.request("GET", PATH, params=dict(parse_qsl(cursor)), is_answer=_is_list)
            yield from (one for one in elements(answer.get("entities")) if isinstance(one, dict))
            following = _following(answer.get("nextUri"))
            if following is None:
                return
            cursor = following
        raise CloudUnavailableError(
            f"The list of recording jobs does not end: {len(met)} pages were read. The next try reads it again."
        )

    def _are_taken(self, client: CloudClient) -> bool:
        """Whether the organisation has reached its limit of jobs, counting the jobs of all OAuth clients."""
        return sum(1 for state in _WORKING for _ in self._listed(client, state=state)) >= AT_WORK

    def _is_limit(self, client: CloudClient, error: CloudError) -> bool:
        """Whether a refusal means that the limit is reached. Its wording is not documented, so count the jobs."""
        refused = isinstance(error, RequestRefusedError) or error.status is not None
        with suppress(CloudError):
            return refused and self._are_taken(client)
        return False

    def _meant(self, client: CloudClient, error: CloudError) -> CloudError:
        return _limit("Genesys refused the job") if self._is_limit(client, error) else error


_MEMBER = "entities"


class _Failed(msgspec.Struct):
    entities: list[msgspec.Raw] | None = None
    nextUri: Any = None  # noqa: N815 - the member's name


_FAILED_PAGES = msgspec.json.Decoder(_Failed)


def _failed(job: str, repair: Repair, doubt: Doubt, body: bytes) -> Page:
    what = f"A page of the failed recordings of job {job}"
    return read_body(body, what, member=_MEMBER, read=_failed_page, id_of=_text_of, repair=repair, doubt=doubt)


def _failed_page(body: bytes) -> Page:
    check_once(body, (_MEMBER, "nextUri"))
    answer = _FAILED_PAGES.decode(body or b"{}")
    records = [memoryview(one) for one in answer.entities or ()]
    refused = dict.fromkeys(range(len(records)), RecordError("not-exported", _NOT_EXPORTED))
    return Page([_text_of(bytes(one)) for one in records], records, _following(answer.nextUri), refused=refused)


def _text_of(record: bytes) -> str:
    return record.decode("utf-8", "backslashreplace")


_NOT_EXPORTED = "The job could not export this recording; Genesys gives its id, and no reason."


def _limit(what: str) -> JobLimitError:
    return JobLimitError(
        f"{what}: the organisation has {AT_WORK} recording jobs at work, and may not have more. Wait until one ends "
        "or cancel one in Genesys Cloud."
    )


def _explained(job: dict[str, Any]) -> str:
    """Return in words what happened to the recordings of a job."""
    total, exported, skipped, failed = (
        _count(job.get(f"total{name}Recordings")) for name in ("", "Processed", "Skipped", "Failed")
    )
    return (
        f"{exported} of {total} recordings of {_count(job.get('totalConversations'))} conversations were exported. "
        f"{skipped} were skipped: Genesys exports a recording once, so these went out with an earlier job or by a "
        f"policy. {failed} failed."
    )


def _is_for(job: dict[str, Any], query: dict[str, Any]) -> bool:
    return job.get("state") in _ALIVE and is_same_query(members(job.get("recordingJobsQuery")), query)


def _following(uri: Any) -> str | None:
    cursor = query_of(uri)
    check_cursor(cursor)
    return cursor


def _is_list(answer: Any) -> bool:
    return isinstance(answer, dict) and bool(answer)


def _job(client: CloudClient, job: str) -> dict[str, Any]:
    return members(client.request("GET", _path(job), is_answer=has_state))


def _path(job: str) -> str:
    return f"{PATH}/{path_step(job, 'a job')}"


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST else 0


_MOST = 10**12
"""No job has this many recordings."""


def _raw(record: Any) -> memoryview:
    return memoryview(msgspec.json.encode(record))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
