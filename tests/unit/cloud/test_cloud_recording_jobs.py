"""Recording jobs against the fake Genesys: every state, limit and error that concerns them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.exports.base import ExportRequest, ExportState
from airflow_provider_genesys.cloud.exports.recording_jobs import PATH, RecordingJobs
from airflow_provider_genesys.cloud.http import shared
from airflow_provider_genesys.cloud.http.client import CloudClient
from airflow_provider_genesys.exceptions import (
    CloudUnavailableError,
    ConfigurationError,
    JobLimitError,
    PermissionDeniedError,
    RequestRefusedError,
)
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.source.pages import open_pages
from airflow_provider_genesys.source.records import DeadLetter
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)
REQUEST = ExportRequest(
    DAY,
    DAY + timedelta(days=1),
    filters={"startOfDayIntervalMatching": True},
    options={"integrationId": "integration-1"},
)
JOBS = RecordingJobs()


class Scene:
    """One fake Genesys and a client of it."""

    def __init__(self, genesys: FakeGenesys) -> None:
        self.genesys = genesys
        given = genesys.connection()
        config = CloudConfig.from_connection(
            login=given["login"], password=given["password"], host=given["host"], extra=given["extra"]
        )
        self.client = CloudClient(config, patience=1.0)

    def create(self, request: ExportRequest = REQUEST) -> str:
        return JOBS.create(self.client, request)

    def done(self, request: ExportRequest = REQUEST) -> str:
        """Create a job, start it and return its id once it is FULFILLED."""
        job = self.create(request)
        assert JOBS.status(self.client, job).state is ExportState.READY
        JOBS.start(self.client, job)
        assert JOBS.status(self.client, job).state is ExportState.COMPLETED
        return job

    def result(self, job: str) -> tuple[list[dict[str, Any]], list[DeadLetter]]:
        """Return the records and what is rejected of a job's result."""
        pages = open_pages({"export_id": job, "kind": JOBS.kind}, self.client, page_size=500)
        assert pages
        pages.open_at(Checkpoint("load", job, DAY.isoformat()), max_record_bytes=10**7)
        parts = list(pages.slices(500, cut_every=None, flush_interval=1))
        records = [
            msgspec.json.decode(part.raw(start, end))
            for part in parts
            for start, end in zip(part.starts, part.ends, strict=True)
        ]
        return records, [letter for part in parts for letter in part.refused]


@pytest.fixture
def scene() -> Iterator[Callable[..., Scene]]:
    shared._known.clear()
    scenes: list[Scene] = []

    def make(**settings: Any) -> Scene:
        fake = FakeGenesys(**{"conversations": 20, "requests_per_minute": 100_000} | settings).start()
        scenes.append(Scene(fake))
        return scenes[-1]

    yield make
    for one in scenes:
        one.client.close()
        one.genesys.close()


def test_a_job_waits_to_be_started_and_ready_is_not_the_end(scene: Callable[..., Scene]) -> None:
    at = scene(job_polls=2)
    job = at.create()
    states = [JOBS.status(at.client, job).state for _ in range(4)]
    assert states == [ExportState.QUEUED] * 2 + [ExportState.READY] * 2
    assert not ExportState.READY.terminal
    assert JOBS.start(at.client, job).state is ExportState.RUNNING
    seen = [JOBS.status(at.client, job) for _ in range(3)]
    assert [status.state.value for status in seen] == ["RUNNING", "RUNNING", "COMPLETED"]
    assert [status.progress for status in seen] == [0, 50, 100]
    assert (seen[-1].window_start, seen[-1].window_end) == (REQUEST.window_start, REQUEST.window_end)


def test_the_result_is_the_job_and_what_it_could_not_export(scene: Callable[..., Scene]) -> None:
    at = scene(conversations=150, recordings_each=1, failed_recordings=120)
    job = at.done()
    records, letters = at.result(job)
    assert JOBS.status(at.client, job).records == len(records) + len(letters)
    assert [(record["state"], record["totalFailedRecordings"]) for record in records] == [("FULFILLED", 120)]
    assert {letter.rule for letter in letters} == {"not-exported"}
    ids = {msgspec.json.decode(letter.raw)["recording"]["id"] for letter in letters}
    assert len(ids) == len(letters) == 120


def test_what_was_exported_once_is_skipped_and_the_result_says_so(scene: Callable[..., Scene]) -> None:
    at = scene(recordings_each=1)
    at.done()
    [record], letters = at.result(at.done())
    assert (record["totalRecordings"], record["totalSkippedRecordings"], record["totalProcessedRecordings"]) == (
        20,
        20,
        0,
    )
    assert "20 were skipped: Genesys exports a recording once" in record["explanation"]
    assert not letters
    assert JOBS.status(at.client, record["id"]).message == record["explanation"]


@pytest.mark.outcome("jobs", "two recording jobs of the organisation are at work", "recovers")
def test_no_third_job_is_made_while_two_are_at_work(scene: Callable[..., Scene]) -> None:
    at = scene(job_polls=1_000)
    for hour in range(2):
        at.create(replace(REQUEST, window_end=DAY + timedelta(hours=hour + 1)))
    with pytest.raises(JobLimitError, match="2 recording jobs at work"):
        at.create()
    assert [seen.method for seen in at.genesys.requests if seen.path == PATH].count("POST") == 2
    next(iter(at.genesys.recording_jobs.values())).cancel()
    assert at.create()


@pytest.mark.parametrize("status", [400, 409])
def test_a_job_that_is_refused_while_two_are_at_work_waits_whatever_the_refusal(
    scene: Callable[..., Scene], status: int
) -> None:
    at = scene(job_polls=1_000)
    at.create(replace(REQUEST, window_end=DAY + timedelta(hours=1)))
    real = at.client.request

    def overtaken(method: str, path: str, **given: Any) -> Any:
        if method == "POST":
            at.client.request = real  # type: ignore[method-assign]
            at.create(replace(REQUEST, window_end=DAY + timedelta(hours=2)))
            at.genesys.fail_next(PATH, status=status)
        return real(method, path, **given)

    at.client.request = overtaken  # type: ignore[method-assign]
    with pytest.raises(JobLimitError):
        at.create()


def test_a_ready_job_stays_ready_while_two_are_at_work(scene: Callable[..., Scene]) -> None:
    at = scene()
    job = at.create()
    at.genesys.job_polls = at.genesys.recording_jobs[job].looks = 1_000
    for hour in range(2):
        at.create(replace(REQUEST, window_end=DAY + timedelta(hours=hour + 1)))
    assert JOBS.start(at.client, job).state is ExportState.READY
    next(one for one in at.genesys.recording_jobs.values() if one.state == "PENDING").cancel()
    assert JOBS.start(at.client, job).state is ExportState.RUNNING


def test_a_start_whose_answer_was_lost_is_not_an_error(scene: Callable[..., Scene]) -> None:
    at = scene()
    job = at.create()
    assert JOBS.start(at.client, job).state is ExportState.COMPLETED
    assert JOBS.start(at.client, job).state is ExportState.COMPLETED


def test_a_start_that_is_refused_for_another_reason_is_an_error(scene: Callable[..., Scene]) -> None:
    at = scene()
    job = at.create()
    at.genesys.fail_next(f"{PATH}/{job}", status=400)
    with pytest.raises(RequestRefusedError):
        JOBS.start(at.client, job)
    at.genesys.recording_jobs[job].mine = False
    with pytest.raises(PermissionDeniedError, match="executed by the user who created it"):
        JOBS.start(at.client, job)


@pytest.mark.outcome("jobs", "the answer to the POST of a recording job is lost", "recovers")
def test_an_orphan_is_found_in_the_list_and_taken_over(scene: Callable[..., Scene]) -> None:
    at = scene()
    job = at.create()
    for hour in range(130):  # more than a page of others, all newer
        other = at.create(replace(REQUEST, window_end=DAY + timedelta(minutes=hour + 1)))
        assert other != job
    assert at.create() == job


@pytest.mark.parametrize(
    "request_",
    [
        replace(REQUEST, window_end=DAY + timedelta(hours=2)),
        replace(REQUEST, filters={}),
        replace(REQUEST, filters={**REQUEST.filters, "segmentFilters": [{"type": "and"}]}),
        replace(REQUEST, options={**REQUEST.options, "includeScreenRecordings": False}),
        replace(REQUEST, options={"integrationId": "integration-2"}),
        replace(REQUEST, options={**REQUEST.options, "actionDate": "2026-12-01T00:00:00.000Z"}),
    ],
)
def test_a_job_for_anything_else_is_not_taken_over(scene: Callable[..., Scene], request_: ExportRequest) -> None:
    at = scene()
    assert at.create() != at.create(request_)


def test_a_job_of_another_client_or_one_that_has_ended_is_not_taken_over(scene: Callable[..., Scene]) -> None:
    at = scene()
    job = at.create()
    at.genesys.recording_jobs[job].mine = False
    other = at.create()
    assert other != job
    assert JOBS.cancel(at.client, other)
    assert at.create() not in {job, other}


def test_a_job_is_recognised_however_genesys_writes_times_and_what_goes_without_saying(
    scene: Callable[..., Scene],
) -> None:
    at = scene()
    job = at.create()
    told = at.genesys.recording_jobs[job].query
    told["conversationQuery"] |= {"interval": "2026-11-22T00:00:00+00:00/2026-11-23T00:00Z", "order": "asc"}
    told |= {"includeScreenRecordings": True, "clearExport": None}
    assert at.create() == job


@pytest.mark.parametrize("action", ["DELETE", "ARCHIVE", "delete", None])
def test_only_exporting_is_asked_for(scene: Callable[..., Scene], action: str | None) -> None:
    at = scene()
    with pytest.raises(ConfigurationError, match="neither deletes nor archives"):
        at.create(replace(REQUEST, options={**REQUEST.options, "action": action}))
    assert not at.genesys.recording_jobs


@pytest.mark.parametrize(
    ("given", "about"),
    [
        ({"options": {}}, "integrationId"),
        ({"options": {**REQUEST.options, "clearExport": True}}, "clearExport"),
        ({"options": {**REQUEST.options, "conversationQuery": {}}}, "conversationQuery"),
        (
            {"options": {**REQUEST.options, "agedConversationInterval": "2019-01-01/2019-06-01"}},
            "agedConversationInterval",
        ),
        ({"filters": {"interval": "x"}}, "interval"),
    ],
)
def test_what_a_job_does_not_take_is_refused(scene: Callable[..., Scene], given: dict[str, Any], about: str) -> None:
    at = scene()
    with pytest.raises(ConfigurationError, match=about):
        at.create(replace(REQUEST, **given))


def test_sensitive_recordings_need_a_permission_of_their_own(scene: Callable[..., Scene]) -> None:
    at = scene(recordings_each=1, sensitive=0.5)
    some = at.genesys.recording_jobs[at.create()].recordings
    sensitive = replace(REQUEST, options={**REQUEST.options, "includeRecordingsWithSensitiveData": True})
    with pytest.raises(PermissionDeniedError, match="recording:recording:viewSensitiveData"):
        at.create(sensitive)
    at.genesys.view_sensitive_data = True
    assert 0 < len(some) < len(at.genesys.recording_jobs[at.create(sensitive)].recordings) == 20


@pytest.mark.parametrize(
    ("outcome", "state"), [("FAILED", "FAILED"), ("CANCELLED", "CANCELLED"), ("MUSING", "UNKNOWN")]
)
def test_every_end_and_states_that_nobody_knows(scene: Callable[..., Scene], outcome: str, state: str) -> None:
    at = scene(outcome=outcome)
    job = at.create()
    status = JOBS.start(at.client, job)
    assert (status.state, status.raw_state) == (ExportState(state), outcome)
    assert status.message == ("The job failed." if outcome == "FAILED" else None)


def test_cancelling(scene: Callable[..., Scene]) -> None:
    at = scene()
    job = at.create()
    assert JOBS.cancel(at.client, job)
    assert not JOBS.cancel(at.client, job)
    assert not JOBS.cancel(at.client, "unknown")


@pytest.mark.parametrize("status", [400, 409])
def test_an_integration_that_is_not_active_is_told_in_genesys_words_and_not_waited_for(
    scene: Callable[..., Scene], status: int
) -> None:
    at = scene()
    told = {"message": "The integration integration-1 is not active.", "status": status}
    for state in ("mine", "PENDING", "PROCESSING"):
        assert state
        at.genesys.fail_next(PATH, status=200, body={"entities": []})
    at.genesys.fail_next(PATH, status=status, body=told)
    with pytest.raises(RequestRefusedError, match="integration-1 is not active"):
        at.create()
    assert not at.genesys.recording_jobs


def test_failures_come_in_pages_of_a_hundred_at_most(scene: Callable[..., Scene]) -> None:
    at = scene(conversations=150, recordings_each=1, failed_recordings=120)
    job = at.done()
    first = JOBS.page(at.client, job, JOBS.page(at.client, job, None, 500).cursor, 500)
    assert (len(first.ids), first.cursor is None) == (100, False)
    with pytest.raises(RequestRefusedError, match="pageSize"):
        at.client.request("GET", f"{PATH}/{job}/failedrecordings", params={"pageSize": 101})


def test_a_lost_answer_is_no_limit(scene: Callable[..., Scene]) -> None:
    at = scene()
    at.genesys.fail_next(PATH, status=200, body={"entities": []})
    at.genesys.fail_next(PATH, status=200, body={"entities": []})
    at.genesys.fail_next(PATH, status=200, body={"entities": []})
    at.genesys.fail_next(PATH, status=504)
    with pytest.raises(CloudUnavailableError) as lost:
        at.create()
    assert not isinstance(lost.value, JobLimitError)
