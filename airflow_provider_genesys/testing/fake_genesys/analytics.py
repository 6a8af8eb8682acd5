"""The analytics API: details jobs of conversations and of users, and their pages."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_provider_genesys.testing.fake_genesys.agents import Agents
from airflow_provider_genesys.testing.fake_genesys.analytics_job import RESULTS_LAST, AnalyticsJob
from airflow_provider_genesys.testing.fake_genesys.analytics_query import (
    ConversationQuery,
    UserQuery,
    interval_of,
    read_query,
)
from airflow_provider_genesys.testing.fake_genesys.interactions import Interactions
from airflow_provider_genesys.testing.fake_genesys.messages import Request, Response, api_error, json_response
from airflow_provider_genesys.testing.fake_genesys.orders import InvalidOrderError
from airflow_provider_genesys.testing.fake_genesys.settings import Settings

PAGE, LARGEST_PAGE = 1_000, 5_000
"""Records in a page unless asked otherwise, and at most. Genesys does not say; these are what its users report."""

_PATH = re.compile(r"/api/v2/analytics/(conversations|users)/details/jobs(?:/([^/]+)(/results)?)?")
_MEMBER = {"conversations": "conversations", "users": "userDetails"}


class AnalyticsApi:
    """Answers everything below ``/api/v2/analytics``.

    :param jobs: the jobs by id; new ones are added.
    """

    def __init__(self, settings: Settings, jobs: dict[str, AnalyticsJob]) -> None:
        self._settings = settings
        self._jobs = jobs
        self._interactions: dict[tuple[int, int, int], Interactions] = {}

    def answer(self, request: Request) -> Response | None:
        """Answer one request; None where the path is not of this API."""
        match = _PATH.fullmatch(request.path)
        if match is None:
            return None
        kind, job_id, results = match.groups()
        if job_id is None:
            return self._create(kind, request) if request.method == "POST" else _not_supported(request)
        if job_id == "availability":
            return json_response(200, {"dataAvailabilityDate": _text(_available_until(self._settings))})
        job = self._jobs.get(job_id)
        if job is None or job.kind != kind:
            return api_error(404, f"Job {job_id} was not found.", entityId=job_id, entityName="job")
        return self._results(job, request) if results else self._job(job, request)

    def conversation_ids(self, query: ConversationQuery) -> list[str]:
        """Return the ids of the conversations that ``query`` finds."""
        interactions = self._organization()
        numbers = interactions.of(*interval_of(query.interval), by_start_day=query.start_of_day_interval_matching)
        return [interactions.id_of(number) for number in numbers]

    def _create(self, kind: str, request: Request) -> Response:
        settings = self._settings
        shape = ConversationQuery if kind == "conversations" else UserQuery
        try:
            query, start, end = read_query(request.body, shape, settings.longest_interval)
        except InvalidOrderError as invalid:
            return api_error(400, str(invalid), details=[{"errorCode": "invalid.value", "fieldName": invalid.field}])
        job = self._made(query, start, end)
        self._jobs[job.id] = job
        return json_response(202, {"jobId": job.id})

    def _made(self, query: ConversationQuery | UserQuery, start: datetime, end: datetime) -> AnalyticsJob:
        settings = self._settings
        if isinstance(query, UserQuery):
            agents = Agents(settings.users, start, end, seed=settings.seed)
            return AnalyticsJob("users", agents.numbers(), agents.render, settings, settings.outcome)
        interactions = self._organization()
        numbers = interactions.of(start, end, by_start_day=query.start_of_day_interval_matching)
        return AnalyticsJob("conversations", numbers, interactions.render, settings, settings.outcome)

    def _organization(self) -> Interactions:
        settings = self._settings
        key = (settings.conversations, settings.seed, settings.revision)
        if key not in self._interactions:
            per_day, seed, revision = key
            self._interactions[key] = Interactions(per_day, seed=seed, revision=revision)
        return self._interactions[key]

    def _job(self, job: AnalyticsJob, request: Request) -> Response:
        if request.method == "DELETE":
            job.cancel()
            return Response(204)
        if request.method != "GET":
            return _not_supported(request)
        state = job.state
        job.looks += 1
        body: dict[str, Any] = {"state": state, "submissionDate": _text(job.submitted)}
        if state == "FULFILLED":
            body |= {"completionDate": _text(job.submitted), "expirationDate": _text(job.submitted + RESULTS_LAST)}
        if state == "FAILED":
            body["errorMessage"] = "The query failed."
        return json_response(200, body)

    def _results(self, job: AnalyticsJob, request: Request) -> Response:
        if job.state == "EXPIRED":
            return api_error(404, f"The results of job {job.id} have expired.", entityId=job.id, entityName="job")
        if job.state != "FULFILLED":
            return api_error(400, f"Job {job.id} has no results: it is {job.state}.")
        size, cursor = request.query.get("pageSize", str(PAGE)), request.query.get("cursor")
        if not size.isdecimal() or not 1 <= int(size) <= LARGEST_PAGE:
            return api_error(400, f"pageSize must be between 1 and {LARGEST_PAGE}")
        offset = job.offset(cursor) if cursor else 0
        if offset is None:
            return api_error(400, "The cursor is not valid or has expired.", "invalid.cursor")
        cap = self._settings.pagination_cap
        if cap is not None and offset >= cap:
            return api_error(400, f"Pagination may not exceed {cap} results", "pagination.limit")
        return self._page(job, offset, int(size))

    def _page(self, job: AnalyticsJob, offset: int, size: int) -> Response:
        shown, following = self._misled(offset, offset + size, size)
        records = b",".join(map(job.render, job.numbers[shown : shown + size]))
        parts = [b'{"%b":[%b]' % (_MEMBER[job.kind].encode(), records)]
        if following < len(job.numbers):
            parts.append(b'"cursor":"%b"' % job.cursor(following).encode())
        parts.append(b'"dataAvailabilityDate":"%b"}' % _text(_available_until(self._settings)).encode())
        return Response(200, {"Content-Type": "application/json"}, b",".join(parts))

    def _misled(self, offset: int, following: int, size: int) -> tuple[int, int]:
        """Return which record the page begins with, and the one that its cursor leads to; a fault leads elsewhere."""
        if offset != 2 * size:
            return offset, following
        return {
            "same cursor": (offset, offset),
            "cursor loop": (offset, size),
            "page repeated": (size, following),
        }.get(self._settings.page_fault or "", (offset, following))


def _available_until(settings: Settings) -> datetime:
    return settings.available_until or datetime.now(timezone.utc) - timedelta(minutes=5)


def _not_supported(request: Request) -> Response:
    return api_error(405, f"HTTP {request.method} is not supported by this resource.")


def _text(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
