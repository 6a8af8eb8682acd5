"""What Genesys, or something in its place, says is cleaned and cut before it reaches a log, an error or an event."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest
from scripted_server import Reply, ScriptedServer

from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.exports.base import ExportRequest, ExportState, ExportStatus
from airflow_provider_genesys.cloud.exports.registry import family
from airflow_provider_genesys.cloud.exports.waiting import Watch
from airflow_provider_genesys.cloud.http.client import CloudClient
from airflow_provider_genesys.cloud.presigned import check_host
from airflow_provider_genesys.exceptions import (
    CloudUnavailableError,
    ConfigurationError,
    ForeignAnswerError,
    GenesysError,
    RequestRefusedError,
    UntrustedHostError,
)
from tests.unit.cloud.test_cloud_recordings import END, ONE, PATH, START

NASTY = "one\r\n2026-11-29 INFO forged\x1b[31m\u202e https://s.example/k?X-Amz-Signature=5ec2e7 " + "x" * 100_000
JOBS = "/api/v2/analytics/conversations/details/jobs"
BULK = "/api/v2/recording/jobs"


def assert_clean(text: str, longest: int = 1500) -> None:
    assert text.isprintable()
    assert "5ec2e7" not in text
    assert len(text) <= longest


STATUSES = {
    "recordings": (ONE, {"status": NASTY, "message": NASTY, "errorMessage": NASTY, "progress": 10**400}),
    "conversation_details": (f"{JOBS}/export-1", {"state": NASTY, "errorMessage": NASTY}),
    "recording_bulk": (f"{BULK}/export-1", {"state": NASTY, "errorMessage": NASTY, "percentProgress": NASTY}),
}


@pytest.mark.outcome("jobs", "a status, a message or an id with line ends, escape sequences or 100 KB", "recovers")
@pytest.mark.parametrize("kind", STATUSES)
def test_a_status_in_nasty_words_is_clean_in_the_log(
    kind: str, config: CloudConfig, client: CloudClient, server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    path, answer = STATUSES[kind]
    server.on(f"GET {path}", Reply(200, answer))
    status = family(kind, config).status(client, "export-1")
    with caplog.at_level(logging.INFO):
        assert not Watch("export-1", 1, 1, logging.getLogger("test")).ended(status)
    assert_clean(caplog.messages[-1])
    assert_clean(status.message or "")
    assert (status.state, status.progress) == (ExportState.UNKNOWN, None)


@pytest.mark.parametrize("message", [{"a": ["b"]}, 5, [NASTY], True])
def test_a_message_that_is_no_text_is_shown_as_text(message: Any) -> None:
    assert_clean(ExportStatus("e", "recordings", ExportState.FAILED, "FAILED", message=message).message or "")


@pytest.mark.parametrize(
    "body",
    [
        {"message": NASTY, "code": NASTY, "contextId": NASTY},
        {"message": "m", "errors": [{"message": NASTY, "details": [{"fieldName": NASTY}]}]},
        {"message": "m", "messageParams": {"a": NASTY}, "limit": {"key": NASTY, "value": NASTY}},
        {"description": NASTY, "error": NASTY},
    ],
)
def test_an_error_in_nasty_words_is_clean(body: Any, client: CloudClient, server: ScriptedServer) -> None:
    server.on("GET /x", Reply(400, body, headers={"ININ-Correlation-Id": "\x1b" + "y" * 5000}))
    with pytest.raises(RequestRefusedError) as caught:
        client.request("GET", "/x")
    assert_clean(str(caught.value), 2000)


POSTS = {"recordings": (PATH, "exportId"), "conversation_details": (JOBS, "jobId")}


@pytest.mark.parametrize("kind", POSTS)
@pytest.mark.parametrize("found", ["x" * 2_000_000, "a\nb", "..", "\x1b[0m"])
def test_an_id_that_cannot_be_one_is_refused(
    kind: str, found: str, config: CloudConfig, client: CloudClient, server: ScriptedServer
) -> None:
    path, name = POSTS[kind]
    server.on(f"POST {path}", Reply(202, {name: found}))
    with pytest.raises(ConfigurationError, match="has an id that cannot be one") as caught:
        family(kind, config).create(client, ExportRequest(START, END))
    assert_clean(str(caught.value))


@pytest.mark.parametrize("piece", ["a", "a-", "a:", "a:b-", "view:", "-"])
def test_an_error_takes_no_longer_than_its_size(piece: str, client: CloudClient, server: ScriptedServer) -> None:
    body = {"message": piece * 500_000, "messageParams": {"a": piece * 500_000, "b": [piece] * 50_000}}
    server.on("GET /x", Reply(403, body))
    began = time.process_time()
    with pytest.raises(GenesysError):
        client.request("GET", "/x")
    assert time.process_time() - began < 1


def test_every_error_is_printable_and_has_an_end() -> None:
    error = GenesysError("CREATE TABLE a;\nALTER\x1b[31m TABLE\rb " + "x" * 100_000)
    assert all(line.isprintable() for line in str(error).split("\n"))
    assert str(error).startswith("CREATE TABLE a;\nALTER [31m TABLE b x")
    assert len(str(error)) == 8000


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ([], r"with something else than was asked for: \[\]"),
        (None, "asked for: null"),
        (5, "asked for: 5"),
        ("x", 'asked for: "x"'),
        ({}, "asked for: {}"),
        ({"a\n": 1}, "it has a[.] If"),
    ],
)
def test_an_answer_without_a_state_is_described(
    answer: Any, text: str, config: CloudConfig, client: CloudClient, server: ScriptedServer
) -> None:
    server.on(f"GET {ONE}", Reply(200, b"null" if answer is None else answer))
    with pytest.raises((ConfigurationError, CloudUnavailableError), match=text):
        family("recordings", config).status(client, "export-1")


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc/passwd",
        "nonsense",
        17,
        {"a": 1},
        ["x"],
        True,
        "\nhttps\n",
        "ftp://x/y",
        "https://x:0/y",
        "https://x:99999/y",
    ],
)
def test_a_file_uri_that_is_no_url_is_said_to_be_none(
    uri: Any, config: CloudConfig, client: CloudClient, server: ScriptedServer
) -> None:
    server.on(f"GET {ONE}", Reply(200, {"status": "COMPLETED", "fileUri": uri}))
    found = family("recordings", config).status(client, "export-1").file_uri
    with pytest.raises(UntrustedHostError, match=r"Genesys gave a file URL that .* 'uri_field'") as caught:
        check_host(found or "", config)
    assert "allow_insecure" not in str(caught.value)
    assert_clean(str(caught.value))


@pytest.mark.parametrize("status", [302, 307, 418, 451, 499])
def test_a_status_that_is_not_of_genesys_points_at_what_answers(
    status: int, client: CloudClient, server: ScriptedServer
) -> None:
    server.on("GET /x", Reply(status, b"", headers={"Location": "https://login.example/?token=5ec2e7"}))
    with pytest.raises(ForeignAnswerError, match=r"something else may have.*proxy.*captive portal") as caught:
        client.request("GET", "/x")
    assert "arguments" not in str(caught.value)
    assert_clean(str(caught.value))
