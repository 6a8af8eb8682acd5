"""Details jobs against the fake Genesys: every state, limit and error that concerns them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.exports.base import ExportRequest, ExportState, QueryFamily
from airflow_provider_genesys.cloud.exports.handle import make_handle
from airflow_provider_genesys.cloud.exports.registry import family
from airflow_provider_genesys.cloud.http import shared
from airflow_provider_genesys.cloud.http.client import CloudClient
from airflow_provider_genesys.exceptions import (
    ConfigurationError,
    CursorLostError,
    ExportFailedError,
    ExportGoneError,
    PermissionDeniedError,
    WindowTooLargeError,
)
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.source.pages import Pages, open_pages
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)
REQUEST = ExportRequest(DAY, DAY + timedelta(days=1), options={"startOfDayIntervalMatching": True})
JOBS = "/api/v2/analytics/conversations/details/jobs"
Start = Callable[..., FakeGenesys]


class Scene:
    """One fake Genesys and a client of it."""

    def __init__(self, genesys: FakeGenesys, kind: str) -> None:
        self.genesys = genesys
        given = genesys.connection()
        config = CloudConfig.from_connection(
            login=given["login"], password=given["password"], host=given["host"], extra=given["extra"]
        )
        self.client = CloudClient(config, patience=1.0)
        found = family(kind, config)
        assert isinstance(found, QueryFamily)
        self.jobs = found

    def pages(self, export_id: str, size: int = 10) -> Pages:
        status = self.jobs.status(self.client, export_id)
        handle = make_handle(
            status, self.client.config, window_start=REQUEST.window_start, window_end=REQUEST.window_end
        )
        pages = open_pages(handle, self.client, page_size=size)
        assert pages
        return pages.open_at(Checkpoint("load", export_id, DAY.isoformat()), max_record_bytes=10**7)

    def records(self, export_id: str) -> int:
        slices = self.pages(export_id).slices(500, cut_every=None, flush_interval=1)
        return sum(len(part.starts) for part in slices)


@pytest.fixture
def scene() -> Iterator[Callable[..., Scene]]:
    shared._known.clear()
    open_scenes: list[Scene] = []

    def make(kind: str = "conversation_details", **settings: Any) -> Scene:
        fake = FakeGenesys(**{"conversations": 35, "requests_per_minute": 100_000} | settings).start()
        open_scenes.append(Scene(fake, kind))
        return open_scenes[-1]

    yield make
    for one in open_scenes:
        one.client.close()
        one.genesys.close()


def test_a_job_goes_through_its_states_to_pages(scene: Callable[..., Scene]) -> None:
    at = scene(job_polls=4)
    export_id = at.jobs.create(at.client, REQUEST)
    states = [at.jobs.status(at.client, export_id).state for _ in range(5)]
    assert states[0] is ExportState.QUEUED
    assert states[1:4] == [ExportState.RUNNING] * 3
    done = at.jobs.status(at.client, export_id)
    assert done.state is ExportState.COMPLETED
    assert done.expires_at
    assert done.submitted_at
    assert at.records(export_id) == 35


@pytest.mark.parametrize(
    ("outcome", "state"), [("FAILED", "FAILED"), ("CANCELLED", "CANCELLED"), ("EXPIRED", "EXPIRED")]
)
def test_a_job_without_results_says_so(scene: Callable[..., Scene], outcome: str, state: str) -> None:
    at = scene(outcome=outcome)
    export_id = at.jobs.create(at.client, REQUEST)
    assert at.jobs.status(at.client, export_id).state is ExportState(state)
    kind = ExportGoneError if outcome == "EXPIRED" else ExportFailedError
    with pytest.raises(kind, match="creates the export"):
        at.pages(export_id)


def test_a_state_that_nobody_knows_is_waited_for(scene: Callable[..., Scene]) -> None:
    at = scene(outcome="PONDERING")
    status = at.jobs.status(at.client, at.jobs.create(at.client, REQUEST))
    assert (status.state, status.raw_state) == (ExportState.UNKNOWN, "PONDERING")


@pytest.mark.outcome("jobs", "results are asked for before the job has ended", "ConfigurationError")
def test_results_are_not_read_before_the_job_has_ended(scene: Callable[..., Scene]) -> None:
    at = scene(job_polls=100)
    with pytest.raises(ConfigurationError, match="GenesysExportSensor"):
        at.pages(at.jobs.create(at.client, REQUEST))


def test_a_fulfilled_job_may_have_no_results(scene: Callable[..., Scene]) -> None:
    at = scene(conversations=0)
    assert at.records(at.jobs.create(at.client, REQUEST)) == 0


def test_a_window_that_is_too_large_is_halved_until_it_is_not(scene: Callable[..., Scene]) -> None:
    at = scene(longest_interval=timedelta(hours=7))
    request = ExportRequest(DAY, DAY + timedelta(days=1))
    export_id = at.jobs.create(at.client, request)
    assert len(at.jobs.jobs(export_id)) == 4
    assert at.jobs.status(at.client, export_id).state is ExportState.COMPLETED
    at.genesys.jobs[at.jobs.jobs(export_id)[2]].outcome = "FAILED"
    assert at.jobs.status(at.client, export_id).state is ExportState.FAILED


def test_a_window_that_cannot_be_halved_any_more_is_an_error_and_leaves_no_job(scene: Callable[..., Scene]) -> None:
    at = scene(longest_interval=timedelta(seconds=10))
    with pytest.raises(WindowTooLargeError):
        at.jobs.create(at.client, ExportRequest(DAY, DAY + timedelta(minutes=4)))
    assert not at.genesys.jobs


def test_pieces_that_were_made_are_cancelled_when_a_later_one_is_refused(scene: Callable[..., Scene]) -> None:
    at = scene(longest_interval=timedelta(hours=13), job_polls=10)
    real, asked = at.client.request, iter(range(10))

    def request(method: str, path: str, **given: Any) -> Any:
        if method == "POST" and next(asked) == 2:
            raise PermissionDeniedError("revoked in between")
        return real(method, path, **given)

    at.client.request = request  # type: ignore[method-assign]
    with pytest.raises(PermissionDeniedError):
        at.jobs.create(at.client, ExportRequest(DAY, DAY + timedelta(days=1)))
    assert [job.state for job in at.genesys.jobs.values()] == ["CANCELLED"]


def test_the_pagination_cap_never_gives_a_part_as_the_whole(scene: Callable[..., Scene]) -> None:
    at = scene(pagination_cap=20)
    with pytest.raises(WindowTooLargeError, match="more results than Genesys delivers"):
        at.records(at.jobs.create(at.client, REQUEST))


def test_a_cursor_that_has_expired_is_told_from_a_job_that_has(scene: Callable[..., Scene]) -> None:
    at = scene()
    (job,) = at.jobs.jobs(at.jobs.create(at.client, REQUEST))
    page = at.jobs.page(at.client, job, None, 10)
    at.genesys.expire_cursors()
    with pytest.raises(CursorLostError):
        at.jobs.page(at.client, job, page.cursor, 10)
    at.genesys.jobs[job].outcome = "EXPIRED"
    with pytest.raises(ExportGoneError, match="creates the export"):
        at.jobs.page(at.client, job, page.cursor, 10)


def test_a_load_walks_to_its_place_when_cursors_expire_under_it(scene: Callable[..., Scene]) -> None:
    at = scene()
    export_id, seen = at.jobs.create(at.client, REQUEST), 0
    for part in at.pages(export_id).slices(500, cut_every=None, flush_interval=1):
        seen += len(part.starts)
        if seen == 20:
            at.genesys.expire_cursors()
    assert seen == 35


def test_a_page_that_is_no_json_is_asked_for_again(scene: Callable[..., Scene]) -> None:
    at = scene()
    (job,) = at.jobs.jobs(at.jobs.create(at.client, REQUEST))
    at.genesys.fail_next(f"{JOBS}/{job}/results", status=200, body=b"<html>")
    assert len(at.jobs.page(at.client, job, None, 10).ids) == 10


def test_a_missing_permission_is_named(scene: Callable[..., Scene]) -> None:
    at = scene()
    at.genesys.fail_next(JOBS, status=403)
    with pytest.raises(PermissionDeniedError):
        at.jobs.create(at.client, REQUEST)


def test_filters_and_options_that_the_api_does_not_take_are_refused(scene: Callable[..., Scene]) -> None:
    at = scene()
    with pytest.raises(ConfigurationError, match="status"):
        at.jobs.create(at.client, ExportRequest(DAY, DAY + timedelta(days=1), {"status": "AVAILABLE"}))
    with pytest.raises(ConfigurationError, match="interval"):
        at.jobs.create(at.client, ExportRequest(DAY, DAY + timedelta(days=1), options={"interval": "x"}))


def test_availability_is_asked_for(scene: Callable[..., Scene]) -> None:
    at = scene(available_until=DAY)
    assert at.jobs.available_until(at.client) == DAY
    pages = at.pages(at.jobs.create(at.client, REQUEST))
    list(pages.slices(500, cut_every=None, flush_interval=1))
    assert pages.identity.available_until == DAY.isoformat()


def test_cancelling_reaches_every_job(scene: Callable[..., Scene]) -> None:
    at = scene(job_polls=10, longest_interval=timedelta(hours=13))
    export_id = at.jobs.create(at.client, ExportRequest(DAY, DAY + timedelta(days=1)))
    assert at.jobs.cancel(at.client, export_id)
    assert {job.state for job in at.genesys.jobs.values()} == {"CANCELLED"}
    assert not at.jobs.cancel(at.client, "unknown")


def test_users_have_a_row_for_each_window(scene: Callable[..., Scene]) -> None:
    at = scene("user_details", users=12)
    export_id = at.jobs.create(at.client, ExportRequest(DAY, DAY + timedelta(days=1)))
    parts = list(at.pages(export_id).slices(500, cut_every=None, flush_interval=1))
    assert sum(len(part.starts) for part in parts) == 12
    assert b'/2026-11-22T00:00:00+00:00","windowStart":' in parts[0].data
