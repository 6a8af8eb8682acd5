"""The analytics API: details jobs of conversations and of users, aggregates of every domain, and their pages."""

from __future__ import annotations

import re
from array import array
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_provider_genesys.cloud.exports.aggregate_domains import domains
from airflow_provider_genesys.testing.fake_genesys.agents import Agents
from airflow_provider_genesys.testing.fake_genesys.aggregates import (
    AggregatesQuery,
    aggregate,
    read_aggregates_query,
)
from airflow_provider_genesys.testing.fake_genesys.analytics_job import RESULTS_LAST, AnalyticsJob
from airflow_provider_genesys.testing.fake_genesys.analytics_query import (
    ConversationQuery,
    UserQuery,
    interval_of,
    read_query,
)
from airflow_provider_genesys.testing.fake_genesys.conversations import Interactions
from airflow_provider_genesys.testing.fake_genesys.history import History
from airflow_provider_genesys.testing.fake_genesys.messages import Request, Response, api_error, json_response
from airflow_provider_genesys.testing.fake_genesys.orders import InvalidOrderError
from airflow_provider_genesys.testing.fake_genesys.settings import Settings
from airflow_provider_genesys.times import now

PAGE, LARGEST_PAGE = 1_000, 5_000
"""Records in a page by default, and at most. Genesys does not document them; its users report these."""

_PATH = re.compile(
    r"/api/v2/analytics/(?:((?:conversations|users)/details)|(\w+/aggregates))/(?:(query)|jobs(?:/([^/]+)(/results)?)?)"
)
_MEMBER = {"conversations/details": "conversations", "users/details": "userDetails"}


class AnalyticsApi:
    """Answers everything below ``/api/v2/analytics``.

    :param jobs: the jobs by id; new ones are added.
    """

    def __init__(self, settings: Settings, jobs: dict[str, AnalyticsJob], history: History) -> None:
        self._settings = settings
        self._history = history
        self._jobs = jobs
        self._interactions: dict[tuple[int, int, int], Interactions] = {}

    def answer(self, request: Request) -> Response | None:
        """Answer one request; None where the path is not of this API."""
        match = _PATH.fullmatch(request.path)
        if match is None:
            return None
        details, aggregates, query, job_id, results = match.groups()
        kind = details or aggregates
        if aggregates and kind.partition("/")[0] not in domains():
            return None
        if query or job_id is None:
            return self._posted(kind, request, at_once=bool(query))
        if details and job_id == "availability":
            return json_response(200, {"dataAvailabilityDate": _text(_available_until(self._settings))})
        job = self._jobs.get(job_id)
        if job is None or job.kind != kind:
            return api_error(404, f"Job {job_id} was not found.", entityId=job_id, entityName="job")
        return self._results(job, request) if results else self._job(job, request)

    def conversation_ids(self, query: ConversationQuery) -> list[str]:
        """Return the ids of the conversations that ``query`` finds."""
        interactions = self._organization()
        numbers = interactions.of(*interval_of(query.interval), by_start_day=query.start_of_day_interval_matching)
        return [interactions.id_of(number) for number in self._in_details(numbers)]

    def _posted(self, kind: str, request: Request, *, at_once: bool) -> Response | None:
        if request.method != "POST":
            return _not_supported(request)
        return self._answer_at_once(kind, request) if at_once else self._create(kind, request)

    def _create(self, kind: str, request: Request) -> Response:
        try:
            job = self._asked(kind, request.body)
        except InvalidOrderError as invalid:
            return _refused(invalid)
        self._jobs[job.id] = job
        return json_response(202, {"jobId": job.id})

    def _asked(self, kind: str, body: bytes) -> AnalyticsJob:
        settings = self._settings
        if kind not in _MEMBER:
            query, groups = self._aggregated(kind, body)
            numbers = array("Q", range(len(groups)))
            return AnalyticsJob(
                kind, numbers, groups.__getitem__, settings, settings.outcome, page_size=query.page_size
            )
        shape = ConversationQuery if kind.startswith("conversations") else UserQuery
        return self._made(*read_query(body, shape, settings.longest_interval))

    def _aggregated(self, kind: str, body: bytes) -> tuple[AggregatesQuery, list[bytes]]:
        domain = kind.partition("/")[0]
        query, bounds = read_aggregates_query(domain, body, self._settings.bucket_cap)
        interactions, history = self._organization(), self._history
        # A late wrap-up may be of a conversation that had ended before.
        earlier = timedelta(days=1 if history.wrapped_up else 0)
        numbers = interactions.of(bounds[0] - earlier, bounds[-1], by_start_day=False)
        records = (self._render(number) for number in numbers if interactions.id_of(number) not in history.erased)
        return query, aggregate(query, bounds, records, domain)

    def _answer_at_once(self, kind: str, request: Request) -> Response | None:
        if kind in _MEMBER:
            return None
        try:
            _, groups = self._aggregated(kind, request.body)
        except InvalidOrderError as invalid:
            return _refused(invalid)
        return Response(200, {"Content-Type": "application/json"}, b'{"results":[%b]}' % b",".join(groups))

    def _made(self, query: ConversationQuery | UserQuery, start: datetime, end: datetime) -> AnalyticsJob:
        settings = self._settings
        if isinstance(query, UserQuery):
            agents = Agents(settings.users, start, end, seed=settings.seed)
            return AnalyticsJob("users/details", agents.numbers(), agents.render, settings, settings.outcome)
        interactions = self._organization()
        numbers = interactions.of(start, end, by_start_day=query.start_of_day_interval_matching)
        found = self._in_details(numbers)
        return AnalyticsJob("conversations/details", found, self._render, settings, settings.outcome)

    def _in_details(self, numbers: array[int]) -> array[int]:
        interactions, history = self._organization(), self._history
        if not (history.left_out or history.erased or history.hidden_divisions):
            return numbers
        division, one = interactions.division_of, interactions.id_of
        return array("Q", (number for number in numbers if history.in_details(one(number), division(number))))

    def _render(self, number: int) -> bytes:
        interactions = self._organization()
        return self._history.changed(interactions.id_of(number), interactions.render(number))

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
        body: dict[str, Any] = {"state": state}
        if self._settings.tells_submission:
            body["submissionDate"] = _text(job.submitted)
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
        size, cursor = request.query.get("pageSize", str(job.page_size or PAGE)), request.query.get("cursor")
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
        parts = [b'{"%b":[%b]' % (_MEMBER.get(job.kind, "results").encode(), records)]
        if following < len(job.numbers):
            parts.append(b'"cursor":"%b"' % job.cursor(following).encode())
        if job.kind in _MEMBER:
            parts.append(b'"dataAvailabilityDate":"%b"' % _text(_available_until(self._settings)).encode())
        return Response(200, {"Content-Type": "application/json"}, b",".join(parts) + b"}")

    def _misled(self, offset: int, following: int, size: int) -> tuple[int, int]:
        """Return the first record of the page, and the one that its cursor leads to; a fault changes the latter."""
        if offset != 2 * size:
            return offset, following
        return {
            "same cursor": (offset, offset),
            "cursor loop": (offset, size),
            "page repeated": (size, following),
        }.get(self._settings.page_fault or "", (offset, following))


def _available_until(settings: Settings) -> datetime:
    return settings.available_until or now() - timedelta(minutes=5)


def _refused(invalid: InvalidOrderError) -> Response:
    return api_error(400, str(invalid), details=[{"errorCode": "invalid.value", "fieldName": invalid.field}])


def _not_supported(request: Request) -> Response:
    return api_error(405, f"HTTP {request.method} is not supported by this resource.")


def _text(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
