"""The recording jobs of the recording API: at most two run at once, a request starts each, and none exports twice."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec

from airflow_provider_genesys.testing.fake_genesys.analytics_query import ConversationQuery, interval_of
from airflow_provider_genesys.testing.fake_genesys.messages import (
    Request,
    Response,
    api_error,
    json_response,
    missing_permissions,
)
from airflow_provider_genesys.testing.fake_genesys.orders import InvalidOrderError
from airflow_provider_genesys.testing.fake_genesys.recorded import recordings_of_all
from airflow_provider_genesys.testing.fake_genesys.recording_job import RecordingJob, RecordingJobsQuery
from airflow_provider_genesys.testing.fake_genesys.settings import Settings

PATH = "/api/v2/recording/jobs"
AT_WORK = 2
LARGEST_PAGE = 100
_PATH = re.compile(rf"{PATH}(?:/([^/]+)(/failedrecordings)?)?")
_SENSITIVE = "recording:recording:viewSensitiveData"


class RecordingJobsApi:
    """Answers everything below ``/api/v2/recording/jobs``.

    :param jobs: the jobs by id; new ones are added.
    :param find: gives the ids of the conversations that a query finds.
    """

    def __init__(
        self, settings: Settings, jobs: dict[str, RecordingJob], find: Callable[[ConversationQuery], list[str]]
    ) -> None:
        self._settings = settings
        self._jobs = jobs
        self._find = find
        self._exported: set[str] = set()

    def answer(self, request: Request) -> Response | None:
        """Answer one request; None where the path is not of this API."""
        match = _PATH.fullmatch(request.path)
        if match is None:
            return None
        job_id, failed = match.groups()
        if job_id is None:
            return {"POST": self._create, "GET": self._list}.get(request.method, _not_supported)(request)
        job = self._jobs.get(job_id)
        if job is None:
            return api_error(404, f"Job {job_id} was not found.", entityId=job_id, entityName="job")
        if failed:
            entities = [_failed(one.conversation_id, one.id) for one in job.failed]
            return _page(request, entities)
        actions = {"GET": self._show, "PUT": self._execute, "DELETE": self._cancel}
        return actions[request.method](job, request) if request.method in actions else _not_supported(request)

    def _create(self, request: Request) -> Response:
        try:
            query = msgspec.json.decode(request.body, type=RecordingJobsQuery)
            found = self._found(query)
        except (msgspec.DecodeError, InvalidOrderError) as error:
            return api_error(400, f"The request body is not valid: {error}")
        if query.include_recordings_with_sensitive_data and not self._settings.view_sensitive_data:
            return json_response(403, missing_permissions(_SENSITIVE))
        if self._are_taken():
            return _limit()
        wanted = [
            one
            for one in recordings_of_all(found, self._settings)
            if (query.include_recordings_with_sensitive_data or not one.sensitive)
            and (query.include_screen_recordings or one.media != "screen")
        ]
        asked = json.loads(request.body)
        job = RecordingJob(asked, wanted, len(found), self._exported, self._settings, self._settings.outcome)
        self._jobs[job.id] = job
        return json_response(202, job.body())

    def _found(self, query: RecordingJobsQuery) -> list[str]:
        if query.action == "EXPORT" and not query.integration_id:
            raise InvalidOrderError("integrationId is required for EXPORT", "integrationId")
        if query.conversation_query is None:
            raise InvalidOrderError("conversationQuery is required", "conversationQuery")
        interval_of(query.conversation_query.interval)
        return self._find(query.conversation_query)

    def _list(self, request: Request) -> Response:
        state, action = request.query.get("state"), request.query.get("jobType")
        mine = request.query.get("showOnlyMyJobs") == "true"
        found = [
            job.body()
            for job in reversed(self._jobs.values())
            if state in {None, job.state} and action in {None, job.query["action"]} and (job.mine or not mine)
        ]
        return _page(request, found)

    def _show(self, job: RecordingJob, _: Request) -> Response:
        body = job.body()
        job.looks += 1
        return json_response(200, body)

    def _execute(self, job: RecordingJob, request: Request) -> Response:
        if not job.mine:
            return api_error(403, "A job can only be executed by the user who created it.")
        if json.loads(request.body or b"{}") != {"state": "PROCESSING"}:
            return api_error(400, "The state may only be set to PROCESSING")
        if job.state != "READY":
            return api_error(400, f"Job {job.id} is not READY, but {job.state}.")
        if self._are_taken():
            return _limit()
        job.process()
        return json_response(200, job.body())

    def _cancel(self, job: RecordingJob, _: Request) -> Response:
        return Response(204) if job.cancel() else api_error(400, f"Job {job.id} has ended.")

    def _are_taken(self) -> bool:
        return sum(job.state in {"PENDING", "PROCESSING"} for job in self._jobs.values()) >= AT_WORK


def _page(request: Request, entities: Sequence[Any]) -> Response:
    """Return one page of a listing, by number or, as Genesys recommends, by cursor."""
    size = request.query.get("pageSize", "25")
    if not size.isdecimal() or not 1 <= int(size) <= LARGEST_PAGE:
        return api_error(400, f"pageSize must be between 1 and {LARGEST_PAGE}")
    number = int(request.query.get("cursor", "").removeprefix("page-") or request.query.get("pageNumber", "1"))
    shown = entities[(number - 1) * int(size) : number * int(size)]
    body: dict[str, Any] = {"entities": shown, "pageSize": int(size), "selfUri": request.path}
    if number * int(size) < len(entities):
        body["nextUri"] = f"{request.path}?{urlencode({**request.query, 'cursor': f'page-{number + 1}'})}"
    if request.query.get("includeTotal") != "false":
        body |= {"pageNumber": number, "total": len(entities), "pageCount": -(-len(entities) // int(size))}
    return json_response(200, body)


def _failed(conversation_id: str, recording_id: str) -> dict[str, Any]:
    of = f"/api/v2/conversations/{conversation_id}"
    return {
        "conversation": {"id": conversation_id, "selfUri": of},
        "recording": {"id": recording_id, "selfUri": f"{of}/recordings/{recording_id}"},
    }


def _limit() -> Response:
    return api_error(400, f"No more than {AT_WORK} recording jobs may be pending or processing.", "too.many.jobs")


def _not_supported(request: Request) -> Response:
    return api_error(405, f"HTTP {request.method} is not supported by this resource.")
