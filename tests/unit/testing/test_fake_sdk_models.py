"""Every answer of the fake has the members that the models of Genesys' own SDK have, of their types, and no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fake_client import Client

from tests.unit.testing.sdk_models import strangers

INTERVAL = "2026-11-22T00:00:00.000Z/2026-11-23T00:00:00.000Z"
ASKED = {"interval": INTERVAL, "startOfDayIntervalMatching": True}
JOB = {"action": "EXPORT", "integrationId": "integration-1", "conversationQuery": ASKED}
JOBS, BATCHES = "/api/v2/recording/jobs", "/api/v2/recording/batchrequests"
CONVERSATIONS, USERS = (f"/api/v2/analytics/{kind}/details/jobs" for kind in ("conversations", "users"))


@pytest.fixture
def genesys(start: Callable[..., Client]) -> Client:
    """Serve 61 conversations, one of each pattern, two recordings each, and a failure in every place."""
    return start(conversations=61, recordings_each=2, failed_recordings=1, outcome="FAILED", requests_per_minute=1_000)


def created(genesys: Client, path: str, asked: dict[str, Any]) -> str:
    made = genesys.post(path, json=asked).raise_for_status().json()
    return f"{path}/{made.get('jobId') or made['id']}"


def details(genesys: Client, path: str, asked: dict[str, Any]) -> str:
    genesys.genesys.outcome = "COMPLETED"
    return created(genesys, path, asked)


def bulk(genesys: Client) -> str:
    job = created(genesys, JOBS, JOB)
    genesys.put(job, json={"state": "PROCESSING"}).raise_for_status()
    return job


def batch(genesys: Client) -> str:
    conversation, _ = conversation_of(genesys)
    refused = genesys.get(f"{conversation}/recordingmetadata").json()[0]["id"]
    genesys.genesys.media.errors[refused] = "The recording is being archived."
    return created(
        genesys, BATCHES, {"batchDownloadRequestList": [{"conversationId": conversation.rpartition("/")[2]}]}
    )


def conversation_of(genesys: Client) -> tuple[str, str]:
    """Return the path of a conversation, and of the metadata of one of its recordings."""
    page = genesys.get("/api/v2/recordings/retention/query", params={"retentionThresholdDays": 30}).json()
    one = page["entities"][0]
    path = f"/api/v2/conversations/{one['conversationId']}"
    return path, f"{path}/recordingmetadata/{one['recordingId']}"


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("AsyncQueryStatus", lambda at: created(at, CONVERSATIONS, ASKED)),
        ("AsyncQueryStatus", lambda at: details(at, USERS, {"interval": INTERVAL})),
        (
            "AnalyticsConversationAsyncQueryResponse",
            lambda at: details(at, CONVERSATIONS, ASKED) + "/results?pageSize=60",
        ),
        ("AnalyticsConversationAsyncQueryResponse", lambda at: details(at, CONVERSATIONS, ASKED) + "/results"),
        ("AnalyticsUserDetailsAsyncQueryResponse", lambda at: details(at, USERS, {"interval": INTERVAL}) + "/results"),
        ("DataAvailabilityResponse", lambda _: f"{CONVERSATIONS}/availability"),
        ("RecordingJob", lambda at: created(at, JOBS, JOB)),
        ("RecordingJob", bulk),
        ("RecordingJobEntityListing", lambda at: bulk(at) and JOBS),
        ("FailedRecordingEntityListing", lambda at: bulk(at) + "/failedrecordings"),
        ("BatchDownloadJobStatusResult", batch),
        ("list[RecordingMetadata]", lambda at: conversation_of(at)[0] + "/recordingmetadata"),
        ("RecordingMetadata", lambda at: conversation_of(at)[1]),
        (
            "RecordingRetentionCursorEntityListing",
            lambda _: "/api/v2/recordings/retention/query?retentionThresholdDays=1",
        ),
        ("RecordingSettings", lambda _: "/api/v2/recording/settings"),
        ("Organization", lambda _: "/api/v2/organizations/me"),
    ],
)
def test_an_answer_holds_what_the_sdk_knows(genesys: Client, kind: str, path: Callable[[Client], str]) -> None:
    answer = genesys.get(path(genesys)).raise_for_status().json()
    assert answer
    assert list(strangers(kind, answer)) == []


@pytest.mark.parametrize(
    ("kind", "path", "asked"),
    [
        ("AsyncQueryResponse", CONVERSATIONS, ASKED),
        ("RecordingJob", JOBS, JOB),
        ("BatchDownloadJobSubmissionResult", BATCHES, {"batchDownloadRequestList": [{"conversationId": "any"}]}),
    ],
)
def test_what_is_made_is_told_as_the_sdk_knows_it(genesys: Client, kind: str, path: str, asked: dict[str, Any]) -> None:
    assert list(strangers(kind, genesys.post(path, json=asked).raise_for_status().json())) == []


@pytest.mark.parametrize(
    "refused",
    [
        lambda at: at.get(f"{JOBS}/unknown"),
        lambda at: at.post(CONVERSATIONS, json={"interval": "tomorrow"}),
        lambda at: at.post(JOBS, json={**JOB, "includeRecordingsWithSensitiveData": True}),
        lambda at: at.post(BATCHES, json={}),
        lambda at: at.get("/api/v2/recording/settings", headers={"Authorization": ""}),
    ],
)
def test_an_error_holds_what_the_sdk_knows(genesys: Client, refused: Callable[[Client], Any]) -> None:
    answer = refused(genesys)
    assert answer.is_client_error
    assert list(strangers("ErrorBody", answer.json())) == []


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"recordingid": "one"}, "$.recordingid is unknown"),
        ({"id": 7}, "$.id is 7, not str"),
        ({"archiveMedium": "TAPE"}, "$.archiveMedium is 'TAPE', which is none of its words"),
        ({"annotations": [{"reason": "Hold", "type": 1}]}, "$.annotations[0].type is 1, not str"),
    ],
)
def test_a_stranger_is_found(value: dict[str, Any], found: str) -> None:
    assert list(strangers("RecordingMetadata", value)) == [found]
