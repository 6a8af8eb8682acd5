from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from scripted_server import Reply, ScriptedServer

from airflow_provider_genesys.cloud.config import ArchiveApi, CloudConfig
from airflow_provider_genesys.cloud.exports.base import ExportFamily, ExportRequest, ExportState, ExportStatus
from airflow_provider_genesys.cloud.exports.registry import family
from airflow_provider_genesys.cloud.http.client import CloudClient
from airflow_provider_genesys.exceptions import (
    ConfigurationError,
    ForeignAnswerError,
    NotFoundError,
    PermissionDeniedError,
    RequestRefusedError,
    WindowError,
)

PATH = "/api/v2/recordings/exports"
ONE = f"{PATH}/export-1"
START = datetime(2026, 11, 1, tzinfo=timezone.utc)
END = datetime(2026, 11, 2, tzinfo=timezone.utc)
URL = "https://store.s3.amazonaws.com/archive?X-Amz-Signature=abcdef0123456789"


@pytest.fixture
def recordings(config: CloudConfig) -> ExportFamily:
    return family("recordings", config)


def test_an_export_is_created_as_specified(
    recordings: ExportFamily, client: CloudClient, server: ScriptedServer
) -> None:
    server.on(f"POST {PATH}", Reply(202, {"exportId": "export-1", "status": "QUEUED"}))
    request = ExportRequest(
        START.astimezone(timezone(timedelta(hours=-5))), END, {"status": "AVAILABLE"}, ("media", "participants"), "json"
    )
    assert recordings.create(client, request) == "export-1"
    assert server.requests[-1].json == {
        "exportType": "recordings",
        "filter": {"dateFrom": "2026-11-01T00:00:00.000Z", "dateTo": "2026-11-02T00:00:00.000Z", "status": "AVAILABLE"},
        "format": "json",
        "include": ["media", "participants"],
    }


def test_options_become_members_of_the_body_and_nothing_is_sent_for_nothing(
    recordings: ExportFamily, client: CloudClient, server: ScriptedServer
) -> None:
    server.on(f"POST {PATH}", Reply(200, {"exportId": 17}))
    request = ExportRequest(START, END, options={"compression": "gzip", "exportType": "calls"})
    assert recordings.create(client, request) == "17"
    body = server.requests[-1].json
    assert (body["compression"], body["exportType"], body["format"]) == ("gzip", "calls", "ndjson")
    assert "include" not in body


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (ExportRequest(START, END, filters={"dateFrom": "2020"}), "filters must not hold dateFrom: use window_start"),
        (ExportRequest(START, END, options={"filter": {}}), "options must not hold filter: use filters, window_start"),
    ],
)
def test_the_window_cannot_be_replaced_behind_its_back(
    recordings: ExportFamily, client: CloudClient, server: ScriptedServer, request_: ExportRequest, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        recordings.create(client, request_)
    assert not server.requests


def test_an_answer_without_an_id_says_what_to_set(
    recordings: ExportFamily, client: CloudClient, server: ScriptedServer
) -> None:
    server.on(f"POST {PATH}", Reply(202, {"jobId": "x", "a": 1}))
    with pytest.raises(ConfigurationError, match=r"no member 'exportId'; it has a, jobId\..*'archive'.*id_field"):
        recordings.create(client, ExportRequest(START, END))


def test_a_completed_export_is_read_whole(
    recordings: ExportFamily, client: CloudClient, server: ScriptedServer, secrets: list[str]
) -> None:
    answer = {
        "exportId": "export-1",
        "status": "COMPLETED",
        "fileUri": URL,
        "expiresAt": "2026-11-03T00:00:00Z",
        "fileSize": 5_000_000_000,
        "etag": '"abc"',
        "recordCount": "12",
        "submittedDate": "2026-11-02T00:10:00Z",
        "percentComplete": 100,
        "filter": {"dateFrom": "2026-11-01T00:00:00Z", "dateTo": "2026-11-02T00:00:00Z"},
    }
    server.on(f"GET {ONE}", Reply(200, answer))
    status = recordings.status(client, "export-1")
    assert status == ExportStatus(
        export_id="export-1",
        kind="recordings",
        state=ExportState.COMPLETED,
        raw_state="COMPLETED",
        file_uri=URL,
        expires_at=datetime(2026, 11, 3, tzinfo=timezone.utc),
        size=5_000_000_000,
        etag='"abc"',
        records=12,
        submitted_at=datetime(2026, 11, 2, 0, 10, tzinfo=timezone.utc),
        window_start=START,
        window_end=END,
        progress=100.0,
    )
    assert secrets[-1] == "abcdef0123456789"
    assert "abcdef" not in repr(status)


def test_a_window_beside_the_filter_is_read_too(
    recordings: ExportFamily, client: CloudClient, server: ScriptedServer
) -> None:
    server.on(f"GET {ONE}", Reply(200, {"status": "RUNNING", "dateFrom": "2026-11-01T00:00:00Z"}))
    assert recordings.status(client, "export-1").window_start == START


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("QUEUED", ExportState.QUEUED),
        ("Running", ExportState.RUNNING),
        ("completed", ExportState.COMPLETED),
        ("FAILED", ExportState.FAILED),
        ("CANCELLED", ExportState.CANCELLED),
        ("Canceled", ExportState.CANCELLED),
        ("EXPIRED", ExportState.EXPIRED),
        ("DEFROSTING", ExportState.UNKNOWN),
        ("UNKNOWN", ExportState.UNKNOWN),
    ],
)
def test_states_are_understood_however_they_are_spelt(
    recordings: ExportFamily, client: CloudClient, server: ScriptedServer, said: str, state: ExportState
) -> None:
    server.on(f"GET {ONE}", Reply(200, {"status": said, "errorMessage": "why"}))
    status = recordings.status(client, "export-1")
    assert (status.state, status.raw_state, status.message) == (state, said, "why")


def test_four_states_are_terminal() -> None:
    assert {state.value for state in ExportState if state.terminal} == {"COMPLETED", "FAILED", "CANCELLED", "EXPIRED"}


@pytest.mark.parametrize("odd", [None, [], {}, True, -1, "x", 1e400, "9" * 5000])
def test_odd_values_are_left_out(
    recordings: ExportFamily, client: CloudClient, server: ScriptedServer, odd: Any
) -> None:
    names = ("expiresAt", "fileSize", "recordCount", "submittedDate", "filter", "dateFrom")
    server.on(f"GET {ONE}", Reply(200, {"status": "RUNNING", **dict.fromkeys(names, odd)}))
    status = recordings.status(client, "export-1")
    assert (status.size, status.records, status.expires_at, status.window_start) == (None, None, None, None)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"status": None}, ConfigurationError),
        ({"status": {}}, ConfigurationError),
        ({"id": "export-1", "state": "DONE"}, ConfigurationError),
    ],
)
def test_an_answer_without_a_state_says_what_to_set(
    recordings: ExportFamily, client: CloudClient, server: ScriptedServer, answer: Any, kind: type[Exception]
) -> None:
    server.on(f"GET {ONE}", Reply(200, answer))
    with pytest.raises(kind, match=r"no (member|text in the member) 'status'.*state_field"):
        recordings.status(client, "export-1")


@pytest.mark.parametrize(
    "answer", [{}, [], None, {"fault": {"faultstring": "x"}}, {"title": "Bad Gateway", "status": 502}]
)
def test_an_answer_that_is_none_is_asked_for_again(
    recordings: ExportFamily, client: CloudClient, server: ScriptedServer, answer: Any
) -> None:
    server.on(f"GET {ONE}", Reply(200, answer), Reply(200, {"status": "RUNNING"}))
    assert recordings.status(client, "export-1").raw_state == "RUNNING"
    server.on(f"GET {ONE}", Reply(200, answer))
    with pytest.raises(ForeignAnswerError, match="whether a proxy answers in place of Genesys"):
        recordings.status(client, "export-1")


def test_an_unknown_export_is_not_found(recordings: ExportFamily, client: CloudClient) -> None:
    with pytest.raises(NotFoundError):
        recordings.status(client, "export-1")


def test_cancelling(recordings: ExportFamily, client: CloudClient, server: ScriptedServer) -> None:
    server.on(f"DELETE {ONE}", Reply(204))
    assert recordings.cancel(client, "export-1") is True


@pytest.mark.parametrize("status", [404, 405, 409, 410])
def test_what_cannot_be_cancelled_is_no_error(
    recordings: ExportFamily, client: CloudClient, server: ScriptedServer, status: int
) -> None:
    server.on(f"DELETE {ONE}", Reply(status))
    assert recordings.cancel(client, "export-1") is False


@pytest.mark.parametrize(("status", "error"), [(400, RequestRefusedError), (403, PermissionDeniedError)])
def test_what_may_not_be_cancelled_is_an_error(
    recordings: ExportFamily, client: CloudClient, server: ScriptedServer, status: int, error: type[Exception]
) -> None:
    server.on(f"DELETE {ONE}", Reply(status))
    with pytest.raises(error):
        recordings.cancel(client, "export-1")


@pytest.mark.parametrize(
    ("export_id", "path"),
    [("a/b", "a%2Fb"), ("a?b#c", "a%3Fb%23c"), ("../users", "..%2Fusers"), ("a b", "a%20b"), ("ü", "%C3%BC")],
)
def test_an_id_stays_one_step_of_the_path(
    recordings: ExportFamily, client: CloudClient, server: ScriptedServer, export_id: str, path: str
) -> None:
    server.on(f"GET {PATH}/{path}", Reply(200, {"status": "RUNNING"}))
    assert recordings.status(client, export_id).export_id == export_id


@pytest.mark.parametrize("export_id", ["", ".", ".."])
def test_an_id_that_would_lead_to_another_resource_is_refused(
    recordings: ExportFamily, client: CloudClient, server: ScriptedServer, export_id: str
) -> None:
    for call in (recordings.status, recordings.cancel):
        with pytest.raises(ConfigurationError, match="is not the id of an export"):
            call(client, export_id)
    assert not server.requests


def test_path_and_names_are_settings(make_config: Callable[..., CloudConfig], server: ScriptedServer) -> None:
    names = {name: f"my-{name}" for name in vars(ArchiveApi())}
    api = ArchiveApi(**{**names, "path": "/gateway/exports"})
    server.on("POST /gateway/exports", Reply(200, {"my-id_field": "x"}))
    server.on("GET /gateway/exports/x", Reply(200, {"my-state_field": "COMPLETED", "my-uri_field": URL}))
    config = make_config(archive=api)
    with CloudClient(config) as client:
        mine = family("recordings", config)
        assert mine.create(client, ExportRequest(START, END, include=("media",))) == "x"
        assert server.requests[-1].json == {
            "my-type_field": "my-export_type",
            "my-filter_field": {
                "my-from_field": "2026-11-01T00:00:00.000Z",
                "my-to_field": "2026-11-02T00:00:00.000Z",
            },
            "my-format_field": "ndjson",
            "my-include_field": ["media"],
        }
        status = mine.status(client, "x")
    assert (status.state, status.file_uri) == ("COMPLETED", URL)


def test_an_unknown_kind_is_answered_with_those_known(config: CloudConfig) -> None:
    with pytest.raises(
        ConfigurationError, match=r"named 'recordngs'. Known kinds: recordings, conversation_details, user_details"
    ):
        family("recordngs", config)


# Requests.


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (START.replace(tzinfo=None), END, "no time zone"),
        (START, END.replace(tzinfo=None), "no time zone"),
        (START, START, "is empty"),
        (END, START, "is empty"),
    ],
)
def test_a_window_is_aware_and_has_length(start: datetime, end: datetime, message: str) -> None:
    with pytest.raises(WindowError, match=message):
        ExportRequest(start, end)


def test_the_same_request_has_the_same_fingerprint() -> None:
    one = ExportRequest(START, END, {"a": 1, "b": [1, 2]}, ("media", "metadata"))
    same = ExportRequest(
        START.astimezone(timezone(timedelta(hours=2))), END, {"b": [1, 2], "a": 1}, ("metadata", "media")
    )
    assert one.fingerprint("recordings") == same.fingerprint("recordings") == one.fingerprint("recordings")
    assert (
        one.fingerprint("recordings") == "a76210eb947203576a84357a5409dbf7"
    )  # kept by running tasks: changing it orphans exports


@pytest.mark.parametrize(
    "other",
    [
        ExportRequest(START, END + timedelta(seconds=1)),
        ExportRequest(START - timedelta(seconds=1), END),
        ExportRequest(START, END, filters={"a": 1}),
        ExportRequest(START, END, include=("media",)),
        ExportRequest(START, END, file_format="json"),
        ExportRequest(START, END, options={"a": 1}),
    ],
)
def test_another_request_has_another_fingerprint(other: ExportRequest) -> None:
    assert other.fingerprint("recordings") != ExportRequest(START, END).fingerprint("recordings")


def test_another_kind_has_another_fingerprint() -> None:
    one = ExportRequest(START, END)
    assert one.fingerprint("recordings") != one.fingerprint("media")
