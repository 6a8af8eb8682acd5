"""Genesys' limits of details jobs, in the words in which it tells them: each is known for what it is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.exports.base import ExportRequest, PagedFamily
from airflow_provider_genesys.cloud.exports.registry import family
from airflow_provider_genesys.cloud.exports.results import page_reader
from airflow_provider_genesys.cloud.http.client import CloudClient
from airflow_provider_genesys.exceptions import RequestRefusedError, WindowTooLargeError
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)
REQUEST = ExportRequest(DAY, DAY + timedelta(days=1))
BY_START = {"startOfDayIntervalMatching": True}
PATHS = {
    "conversation_details": "/api/v2/analytics/conversations/details/jobs",
    "user_details": "/api/v2/analytics/users/details/jobs",
}
CAPS = [
    "Pagination may not exceed 100000 results.\n\nTip: When extracting large chunks of data, query smaller intervals.",
    "pagination may not exceed 400000 results",
]
TOO_LONG = [
    "The interval may not be longer than 31 days",
    "Interval exceeds the maximum of 7 days",
    "The query interval is too long",
    "The specified interval was greater than the maximum allowed (31 days)",
]
"""The exact words for jobs are in no public source; these are how Genesys reports it elsewhere, and how it might."""


class Jobs:
    """Details jobs of a fake Genesys, of one kind."""

    def __init__(self, genesys: FakeGenesys, kind: str = "conversation_details") -> None:
        self.path = PATHS[kind]
        given = genesys.connection()
        config = CloudConfig.from_connection(
            login=given["login"], password=given["password"], host=given["host"], extra=given["extra"]
        )
        self.genesys = genesys
        self.client = CloudClient(config, patience=2.0)
        found = family(kind, config)
        assert isinstance(found, PagedFamily)
        self.family = found

    def create(self, request: ExportRequest = REQUEST) -> str:
        return self.family.create(self.client, request)

    def page(self, job: str, cursor: str | None = None, size: int = 10) -> Any:
        return self.family.page(self.client, job, cursor, size)


@pytest.fixture
def genesys() -> Iterator[FakeGenesys]:
    with FakeGenesys(conversations=40, users=40, requests_per_minute=100_000) as genesys:
        yield genesys


@pytest.fixture(params=PATHS)
def jobs(genesys: FakeGenesys, request: pytest.FixtureRequest) -> Iterator[Jobs]:
    found = Jobs(genesys, request.param)
    yield found
    found.client.close()


@pytest.fixture
def conversations(genesys: FakeGenesys) -> Iterator[Jobs]:
    found = Jobs(genesys)
    yield found
    found.client.close()


def told(message: str, **more: Any) -> dict[str, Any]:
    return {"message": message, "code": "bad.request", "status": 400, **more}


@pytest.mark.parametrize("message", CAPS)
def test_a_cap_on_pages_is_never_taken_for_the_end(jobs: Jobs, message: str) -> None:
    job = jobs.create()
    cursor = jobs.page(job).cursor
    jobs.genesys.fail_next(f"{jobs.path}/{job}/results", status=400, body=told(message))
    with pytest.raises(WindowTooLargeError, match="more results than Genesys delivers"):
        jobs.page(job, cursor)


@pytest.mark.parametrize("message", TOO_LONG)
def test_an_interval_that_is_too_long_is_asked_for_in_pieces(jobs: Jobs, message: str) -> None:
    jobs.genesys.fail_next(jobs.path, status=400, body=told(message))
    assert len(jobs.family.jobs(jobs.create())) == 2


@pytest.mark.parametrize("message", ["The interval is not valid", "conversationFilters[0] is too large a filter"])
def test_any_other_refusal_is_told_and_not_halved(jobs: Jobs, message: str) -> None:
    jobs.genesys.fail_next(jobs.path, status=400, body=told(message))
    with pytest.raises(RequestRefusedError):
        jobs.create()
    assert not jobs.genesys.jobs


@pytest.mark.parametrize("key", ["details.jobs.rate.per.second", "details.jobs.concurrent.access.max"])
def test_the_jobs_own_limits_are_waited_for_though_creating_cannot_be_repeated(jobs: Jobs, key: str) -> None:
    limit = {"limit": {"key": key, "namespace": "analytics", "value": 1}}
    refused = {**told("Rate limit exceeded the maximum. Retry the request in [0] seconds", **limit), "status": 429}
    jobs.genesys.fail_next(jobs.path, status=429, times=2, headers={"Retry-After": "0"}, body=refused)
    jobs.create()
    assert len(jobs.genesys.jobs) == 1


def test_a_request_body_over_the_limit_is_refused_and_told(jobs: Jobs) -> None:
    predicates = [{"dimension": "queueId", "value": f"{number:036}"} for number in range(10_000)]
    filters = "segmentFilters" if "conversations" in jobs.path else "presenceFilters"
    large = {filters: [{"type": "or", "predicates": predicates}]}
    with pytest.raises(RequestRefusedError, match="413"):
        jobs.create(ExportRequest(REQUEST.window_start, REQUEST.window_end, large))


def test_a_page_size_that_genesys_does_not_take_is_told(jobs: Jobs) -> None:
    with pytest.raises(RequestRefusedError, match="pageSize"):
        jobs.page(jobs.create(), size=5_001)


def test_conversations_overlap_windows_unless_they_are_matched_by_the_day_of_their_start(conversations: Jobs) -> None:
    def ids(day: int, options: dict[str, Any]) -> set[str]:
        asked = ExportRequest(DAY + timedelta(days=day), DAY + timedelta(days=day + 1), options=options)
        return set(conversations.page(conversations.create(asked), size=5_000).ids)

    assert ids(0, {}) & ids(1, {})
    assert not ids(0, BY_START) & ids(1, BY_START)


def test_an_open_conversation_has_no_end_and_only_jobs_tell_attributes(conversations: Jobs) -> None:
    by_start = ExportRequest(DAY, DAY + timedelta(days=1), options=BY_START)
    records: list[Any] = [
        msgspec.json.decode(record) for record in conversations.page(conversations.create(by_start), size=100).records
    ]
    assert any("conversationEnd" not in record for record in records)
    assert any(participant.get("attributes") for record in records for participant in record["participants"])


def test_conversations_that_have_been_deleted_leave_an_empty_window_and_no_error(conversations: Jobs) -> None:
    conversations.genesys.conversations = 0
    assert conversations.page(conversations.create()).ids == []


def test_users_of_a_window_in_pieces_have_a_row_for_each(genesys: FakeGenesys) -> None:
    genesys.longest_interval = timedelta(hours=13)
    jobs = Jobs(genesys, "user_details")
    window = {"window_start": DAY.isoformat(), "window_end": (DAY + timedelta(days=1)).isoformat()}
    handle = {"export_id": jobs.create(), "kind": "user_details", **window}
    read, pieces = page_reader(handle, jobs.client, page_size=100) or (None, 0)
    assert read
    records: list[Any] = [msgspec.json.decode(record) for job in range(pieces) for record in read(job, None).records]
    assert len({record["id"] for record in records}) == len(records) == 2 * 40
    assert len({record["userId"] for record in records}) == 40
    jobs.client.close()
