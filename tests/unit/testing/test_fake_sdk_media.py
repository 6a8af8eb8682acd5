"""The official Python SDK of Genesys finds recordings on the fake, asks for their media, and meets the limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from tests.support.genesys_sdk import Sdk
from tests.unit.testing.sdk_login import logged_in


@pytest.fixture
def genesys() -> Iterator[FakeGenesys]:
    with FakeGenesys(conversations=30, recordings_each=2, requests_per_minute=1_000) as fake:
        yield fake


@pytest.fixture
def recording(genesys: FakeGenesys) -> Any:
    return Sdk.RecordingApi(logged_in(genesys))


def retained(recording: Any) -> list[tuple[str, str]]:
    """Return (conversation, recording) of all that is retained, read page by page."""
    found, more = [], {}
    while True:
        page = recording.get_recordings_retention_query(30, page_size=25, **more)
        found += [(one.conversation_id, one.recording_id) for one in page.entities]
        if not page.next_uri:
            return found
        more = {"cursor": parse_qs(urlsplit(page.next_uri).query)["cursor"][0]}


def submission(*wanted: tuple[str, str | None]) -> Any:
    asked = Sdk.BatchDownloadJobSubmission()
    asked.batch_download_request_list = []
    for conversation, one in wanted:
        item = Sdk.BatchDownloadRequest()
        item.conversation_id, item.recording_id = conversation, one
        asked.batch_download_request_list.append(item)
    return asked


def completed(recording: Any, asked: Any) -> Any:
    """Submit a batch request, look at it until it has ended, and return it."""
    job = recording.post_recording_batchrequests(asked)
    for _ in range(20):
        found = recording.get_recording_batchrequest(job.id)
        if found.status == "Completed":
            return found
        assert (found.status, found.result_count, found.results) == ("InProgress", 0, [])
    raise AssertionError(f"{job.id} did not end")


def test_the_sdk_lists_what_is_retained(recording: Any) -> None:
    found = retained(recording)
    assert len(set(found)) == len(found) == 60


def test_the_sdk_reads_the_metadata_of_recordings(recording: Any) -> None:
    conversation, _ = retained(recording)[0]
    found = recording.get_conversation_recordingmetadata(conversation)
    assert len(found) == 2
    for one in found:
        assert one.conversation_id == conversation
        assert (one.file_state, one.media_subtype in {"Trunk", "Screen"}) == ("AVAILABLE", True)
        assert one.start_time < one.end_time
        again = recording.get_conversation_recordingmetadata_recording_id(conversation, one.id)
        assert again.to_dict() == one.to_dict()


def test_the_sdk_asks_for_media_and_its_urls_lead_to_it(genesys: FakeGenesys, recording: Any) -> None:
    genesys.job_polls = 2
    (conversation, first), (_, second), (other, third), *_ = retained(recording)
    found = completed(recording, submission((conversation, None), (other, third)))
    assert {(one.conversation_id, one.recording_id) for one in found.results} == {
        (conversation, first),
        (conversation, second),
        (other, third),
    }
    assert (found.expected_result_count, found.result_count, found.error_count) == (3, 3, 0)
    for one in found.results:
        media = httpx.get(one.result_url).raise_for_status()
        assert media.headers["Content-Type"] == one.content_type
        assert len(media.content) == int(media.headers["Content-Length"]) > 0


def test_the_sdk_reads_what_cannot_be_had(genesys: FakeGenesys, recording: Any) -> None:
    (conversation, refused), *_ = retained(recording)
    genesys.media.errors[refused] = "The recording is being archived."
    found = completed(recording, submission((conversation, None)))
    assert (found.result_count, found.error_count) == (2, 1)
    assert {one.recording_id: one.error_msg for one in found.results if not one.result_url} == {
        refused: "The recording is being archived."
    }


def test_the_sdk_is_told_nothing_of_sensitive_recordings(genesys: FakeGenesys, recording: Any) -> None:
    genesys.sensitive = 1.0
    (conversation, _), *_ = retained(recording)
    assert completed(recording, submission((conversation, None))).results == []
    genesys.view_sensitive_data = True
    assert len(completed(recording, submission((conversation, None))).results) == 2


def test_the_sdk_reads_how_long_urls_live(genesys: FakeGenesys, recording: Any) -> None:
    genesys.batch_url_minutes = 2
    assert recording.get_recording_settings().recording_batch_download_url_ttl == 2
    (conversation, one), *_ = retained(recording)
    [result] = completed(recording, submission((conversation, one))).results
    assert parse_qs(urlsplit(result.result_url).query)["X-Amz-Expires"] == ["120"]


@pytest.mark.parametrize("items", [0, 101])
def test_the_sdk_meets_the_size_of_a_batch(recording: Any, items: int) -> None:
    with pytest.raises(Sdk.rest.ApiException) as refused:
        recording.post_recording_batchrequests(submission(*[("conversation", None)] * items))
    assert refused.value.status == 400


def test_the_sdk_meets_unknown_batches_and_too_large_pages(genesys: FakeGenesys, recording: Any) -> None:
    with pytest.raises(Sdk.rest.ApiException) as unknown:
        recording.get_recording_batchrequest("unknown")
    assert unknown.value.status == 404
    with pytest.raises(Sdk.rest.ApiException) as large:
        recording.get_recordings_retention_query(30, page_size=501)
    assert large.value.status == 400
    conversation, _ = retained(recording)[0]
    genesys.media.gone.add(conversation)
    with pytest.raises(Sdk.rest.ApiException) as gone:
        recording.get_conversation_recordingmetadata(conversation)
    assert gone.value.status == 404
