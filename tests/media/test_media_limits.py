"""Genesys' limits and errors around recordings and their media, as facts of the API tell them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import tenacity

from airflow_provider_genesys.cloud.exports.base import ExportRequest
from airflow_provider_genesys.cloud.exports.registry import family
from airflow_provider_genesys.cloud.exports.results import page_reader
from airflow_provider_genesys.exceptions import (
    ExportGoneError,
    ForeignAnswerError,
    PermissionDeniedError,
    SourceUnavailableError,
    WindowTooLargeError,
)
from airflow_provider_genesys.media.batches import PATH, MediaBatches, Patience, Recording
from airflow_provider_genesys.media.index import Index, of_pages, recording_metadata
from airflow_provider_genesys.testing.fake_genesys import missing_permissions
from tests.media.test_media import IDS, Scene, Scenes, scene

__all__ = ["scene"]

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)
METADATA, SETTINGS = "/api/v2/conversations/", "/api/v2/recording/settings"


def recordings(at: Scene, *conversations: str) -> list[Recording]:
    found = [(one, metadata) for one in conversations for metadata in recording_metadata(at.client, one) or []]
    return [Recording(conversation, metadata["id"]) for conversation, metadata in found]


def asked(at: Scene, path: str, method: str = "GET") -> int:
    return sum(seen.method == method and seen.path.startswith(path) for seen in at.genesys.requests)


def details(at: Scene) -> Index:
    """Return the index of a details job's conversations, ten to a page."""
    jobs = family("recording_media", at.client.config)
    request = ExportRequest(DAY, DAY + timedelta(days=1), options={"startOfDayIntervalMatching": True})
    handle = {"export_id": jobs.create(at.client, request), "kind": "recording_media"}
    found = page_reader(handle, at.client, page_size=10)
    assert found
    return of_pages(found[0])


@pytest.mark.parametrize("path", [METADATA, PATH, f"{PATH}/", SETTINGS])
@pytest.mark.parametrize("status", [429, 503])
def test_what_asks_for_patience_is_asked_again(scene: Scenes, path: str, status: int) -> None:
    at = scene()
    at.client._patience = 60  # a busy machine takes its time
    at.genesys.fail_next(path, status=status if path != PATH else 429, times=2, headers={"Retry-After": "0"})
    assert at.batches._lifetime == timedelta(minutes=60)
    records, refused = at.outcome(IDS[:3])
    assert (len(records), refused) == (3, [])
    assert len(at.genesys.media.batches) == 1


def test_a_batch_whose_answer_is_lost_is_asked_for_again(scene: Scenes) -> None:
    at = scene()
    wanted = recordings(at, "c1")
    at.genesys.fail_next(PATH, status=504)
    assert len(at.batches.results(wanted)) == 1, "a batch that nobody looks at costs nothing"
    assert asked(at, PATH, "POST") == 2


@pytest.mark.outcome("jobs", "a batch request is gone while it is waited for", "SourceUnavailableError")
def test_a_batch_that_is_gone_is_made_anew_by_the_next_try(scene: Scenes) -> None:
    at = scene()
    wanted = recordings(at, "c1")
    at.genesys.fail_next(f"{PATH}/", status=404)
    with pytest.raises(SourceUnavailableError, match=r"was gone before it ended.*next try makes another"):
        at.batches.results(wanted)
    assert len(at.batches.results(wanted)) == 1


def test_only_the_state_ends_a_batch_whatever_its_counts_say(scene: Scenes) -> None:
    at = scene()
    wanted = recordings(at, "c1", "c2")
    for expected in (1, 0, 5):
        counts = {"expectedResultCount": expected, "resultCount": 1, "errorCount": 0, "results": []}
        at.genesys.fail_next(f"{PATH}/", status=200, body={"status": "InProgress", **counts})
    assert {result.recording for result in at.batches.results(wanted)} == set(wanted)


@pytest.mark.parametrize(
    ("settings", "minutes"),
    [
        ({"recordingBatchDownloadUrlTtl": 2}, 2),
        ({"recordingBatchDownloadUrlTtl": 60}, 60),
        ({"recordingBatchDownloadUrlTtl": 1}, 2),
        ({"recordingBatchDownloadUrlTtl": 1_440}, 60),
        ({"recordingBatchDownloadUrlTtl": 0}, 2),
        ({}, 2),
    ],
)
def test_a_url_lives_two_to_sixty_minutes_and_two_where_nobody_says(
    scene: Scenes, settings: dict[str, Any], minutes: int
) -> None:
    at = scene()
    at.genesys.fail_next(SETTINGS, status=200, body=settings)
    assert at.batches._lifetime == timedelta(minutes=minutes)


@pytest.mark.parametrize("path", [METADATA, PATH])
def test_a_permission_to_see_recordings_that_is_missing_is_named(scene: Scenes, path: str) -> None:
    at = scene()
    at.genesys.fail_next(path, status=403, body=missing_permissions("recording:recording:view"))
    with pytest.raises(PermissionDeniedError, match="lacks the permission recording:recording:view"):
        at.outcome(IDS[:1])


def test_a_client_that_may_see_sensitive_recordings_has_them_all(scene: Scenes) -> None:
    at = scene(sensitive=1.0)
    _, refused = at.outcome(IDS[:4])
    assert {error.rule for error in refused} == {"left-out"}
    at.genesys.view_sensitive_data = True
    records, refused = at.outcome(IDS[:4])
    assert (len(records), refused) == (4, [])


def test_an_answer_without_url_or_error_is_an_error_in_our_words(scene: Scenes) -> None:
    at = scene()
    one = {"conversationId": "c", "recordingId": "r", "contentType": "audio/ogg"}
    at.genesys.fail_next(f"{PATH}/", status=200, body={"status": "Completed", "results": [None, 7, one, []]})
    [result] = at.batches.results([Recording("c", "r")])  # what is no result is left out
    assert (result.url, result.error) == (None, "Genesys gives neither a URL nor an error.")


def test_looks_at_a_batch_are_further_and_further_apart(scene: Scenes) -> None:
    at = scene(job_polls=4)
    wanted, pauses = recordings(at, "c1"), []

    class Stopped:
        """Notes for how long it is waited."""

        def wait(self, seconds: float) -> bool:
            pauses.append(seconds)
            return False

    MediaBatches(at.client, Patience(1, 15, 1_800), Stopped()).results(wanted)  # type: ignore[arg-type]
    assert len(pauses) == 4
    assert pauses[-1] > 2 * pauses[0]
    assert max(pauses) <= 15


def test_a_cap_on_the_conversations_is_never_taken_for_their_end(scene: Scenes) -> None:
    at = scene(conversations=40, pagination_cap=20)
    with pytest.raises(WindowTooLargeError, match="more results than Genesys delivers"):
        at.pages(index=details(at))


def test_conversations_that_have_expired_are_not_taken_for_none(scene: Scenes) -> None:
    at = scene(conversations=40)
    index = details(at)
    index(0, None)
    for job in at.genesys.jobs.values():
        job.outcome = "EXPIRED"
    with pytest.raises(ExportGoneError):
        at.pages(index=index)


def test_a_conversation_that_overlaps_two_days_has_its_media_fetched_once(scene: Scenes) -> None:
    at = scene(conversations=40)
    first, _ = at.outcome(IDS[:4])
    again, _ = at.outcome(IDS[2:6])
    assert [one["mediaKey"] for one in first[2:]] == [one["mediaKey"] for one in again[:2]]
    assert at.fetched() == 6


def test_a_recording_that_comes_late_is_fetched_by_the_next_load_and_no_other(scene: Scenes) -> None:
    at = scene()
    early, _ = at.outcome(IDS[:4])
    at.genesys.recordings_each = 2
    late, refused = at.outcome(IDS[:4])
    assert [one for one in late if one in early] == early
    assert (len(late), refused, at.fetched()) == (8, [], 8)


@pytest.mark.parametrize("answer", [{}, {"id": None}, {"id": ""}, []])
def test_a_batch_without_an_id_is_not_looked_for(scene: Scenes, answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_genesys.cloud.http.client._backoff", tenacity.wait_none())
    at = scene()
    at.genesys.fail_next(PATH, status=200, body=answer, times=99)
    with pytest.raises(ForeignAnswerError, match="something else than was asked for"):
        at.batches.results([Recording("c", "r")])
    assert asked(at, f"{PATH}/") == 0
