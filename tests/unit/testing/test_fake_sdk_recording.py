"""The official Python SDK of Genesys drives recording jobs on the fake: that keeps the fake honest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from tests.support.genesys_sdk import Sdk
from tests.unit.testing.sdk_login import logged_in

INTERVAL = "2026-11-22T00:00:00.000Z/2026-11-23T00:00:00.000Z"


@pytest.fixture
def genesys() -> Iterator[FakeGenesys]:
    with FakeGenesys(conversations=30, recordings_each=1, failed_recordings=2) as fake:
        yield fake


@pytest.fixture
def recording(genesys: FakeGenesys) -> Any:
    return Sdk.RecordingApi(logged_in(genesys))


def jobs_query(action: str = "EXPORT") -> Any:
    query = Sdk.RecordingJobsQuery()
    query.action, query.action_date, query.integration_id = action, "2026-11-25T00:00:00.000Z", "integration-1"
    query.conversation_query = Sdk.AsyncConversationQuery()
    query.conversation_query.interval = INTERVAL
    query.conversation_query.start_of_day_interval_matching = True
    return query


def test_the_sdk_creates_executes_and_reads_a_recording_job(recording: Any) -> None:
    job = recording.post_recording_jobs(jobs_query())
    assert recording.get_recording_job(job.id).state == "READY"
    execute = Sdk.ExecuteRecordingJobsQuery()
    execute.state = "PROCESSING"
    recording.put_recording_job(job.id, execute)
    done = recording.get_recording_job(job.id)
    assert (done.state, done.percent_progress, done.total_processed_recordings) == ("FULFILLED", 100, 28)
    assert done.recording_jobs_query.conversation_query.interval == INTERVAL
    failed = recording.get_recording_job_failedrecordings(job.id, page_size=1)
    assert (failed.total, len(failed.entities)) == (2, 1)
    assert failed.next_uri
    assert failed.entities[0].recording.id
    assert failed.entities[0].conversation.id


def test_the_sdk_lists_and_cancels_recording_jobs(recording: Any) -> None:
    job = recording.post_recording_jobs(jobs_query())
    listed = recording.get_recording_jobs(state="READY", show_only_my_jobs=True, job_type="EXPORT", include_total=False)
    assert [one.id for one in listed.entities] == [job.id]
    recording.delete_recording_job(job.id)
    assert recording.get_recording_job(job.id).state == "CANCELLED"
    assert recording.get_recording_jobs(state="READY").total == 0


def test_the_sdk_meets_the_limits_of_recording_jobs(genesys: FakeGenesys, recording: Any) -> None:
    genesys.job_polls = 1_000
    for _ in range(2):
        recording.post_recording_jobs(jobs_query())
    with pytest.raises(Sdk.rest.ApiException) as refused:
        recording.post_recording_jobs(jobs_query())
    assert refused.value.status == 400
    with pytest.raises(Sdk.rest.ApiException) as too_large:
        recording.get_recording_job_failedrecordings(next(iter(genesys.recording_jobs)), page_size=101)
    assert too_large.value.status == 400
    sensitive = jobs_query()
    sensitive.include_recordings_with_sensitive_data = True
    with pytest.raises(Sdk.rest.ApiException) as forbidden:
        recording.post_recording_jobs(sensitive)
    assert "viewSensitiveData" in forbidden.value.body
