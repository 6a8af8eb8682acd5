from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
from fake_client import EXPORTS, ORDER

from airflow_provider_genesys.testing.fake_genesys import error_body, missing_permissions

ERROR_FIELDS = {"message", "code", "status", "messageParams", "details", "errors"}


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Return status and code of an ErrorBody, which has to be whole."""
    body = answer.json()
    assert set(body) >= ERROR_FIELDS
    assert body["status"] == answer.status_code
    assert answer.headers["ININ-Correlation-Id"]
    return answer.status_code, body["code"]


def test_a_token_is_given_for_the_right_secret_only(start: Any) -> None:
    client = start(token_seconds=600)
    assert client.login().json() | {"access_token": ""} == {
        "access_token": "",
        "token_type": "bearer",
        "expires_in": 600,
    }
    form = {"grant_type": "client_credentials"}
    wrong = client.post("/oauth/token", data=form, auth=(client.genesys.client_id, "wrong"))
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
    assert set(wrong.json()) == {"error", "description", "error_description"}
    right = (client.genesys.client_id, client.genesys.client_secret)
    other_grant = client.post("/oauth/token", data={"grant_type": "password"}, auth=right)
    assert (other_grant.status_code, other_grant.json()["error"]) == (400, "unsupported_grant_type")


def test_calls_without_a_good_token_are_refused(start: Any) -> None:
    client = start()
    nothing = httpx.get(f"{client.genesys.url}/api/v2/organizations/me")
    assert problem(nothing) == (401, "authentication.required")
    assert client.get("/api/v2/organizations/me").json()["state"] == "active"
    client.genesys.revoke_tokens()
    assert problem(client.get("/api/v2/organizations/me")) == (401, "bad.credentials")
    client.login()
    assert client.get("/api/v2/organizations/me").status_code == 200


def test_a_token_dies_with_its_lifetime(start: Any) -> None:
    client = start(token_seconds=0.05)
    time.sleep(0.06)
    assert problem(client.get("/api/v2/organizations/me")) == (401, "bad.credentials")


def test_an_export_completes_with_all_that_a_client_needs(start: Any) -> None:
    client = start(records=7)
    answer = client.post(EXPORTS, json=ORDER)
    assert answer.status_code == 202
    assert answer.json()["status"] == "QUEUED"
    status = client.status(answer.json()["exportId"])
    archive = client.genesys.exports[status["exportId"]].archive
    assert {name: status[name] for name in ("status", "percentComplete", "dateFrom", "dateTo", "recordCount")} == {
        "status": "COMPLETED",
        "percentComplete": 100,
        "dateFrom": "2026-11-22T00:00:00.000Z",
        "dateTo": "2026-11-23T00:00:00.000Z",
        "recordCount": 7,
    }
    assert (status["fileSize"], status["etag"]) == (archive.size, archive.etag)
    assert status["fileUri"].startswith(f"{client.genesys.url}/archive/{status['exportId']}.ndjson?X-Amz-Algorithm=")
    assert client.create() != client.create()


def test_states_advance_with_every_look(start: Any) -> None:
    client = start(job_polls=3)
    export_id = client.create()
    looks = [client.status(export_id) for _ in range(5)]
    assert [look["status"] for look in looks] == ["QUEUED", "RUNNING", "RUNNING", "COMPLETED", "COMPLETED"]
    assert [look["percentComplete"] for look in looks] == [0, 33, 66, 100, 100]
    assert "fileUri" not in looks[2]


def test_states_advance_with_time(start: Any) -> None:
    client = start(job_seconds=1_000)
    export_id, seen = client.create(), []
    for _ in range(3):
        seen.append(client.status(export_id))
        client.genesys.exports[export_id]._born -= 500
    assert [(look["status"], look["percentComplete"]) for look in seen] == [
        ("QUEUED", 0),
        ("RUNNING", 50),
        ("COMPLETED", 100),
    ]


@pytest.mark.parametrize("outcome", ["FAILED", "CANCELLED", "EXPIRED", "PAUSED_BY_MOONLIGHT"])
def test_an_export_ends_as_it_is_told(start: Any, outcome: str) -> None:
    client = start(outcome=outcome)
    status = client.status(client.create())
    assert status["status"] == outcome
    assert "fileUri" not in status


def test_a_single_export_can_be_given_another_end(start: Any) -> None:
    client = start()
    one, other = client.create(), client.create()
    client.genesys.exports[one].outcome = "FAILED"
    assert (client.status(one)["status"], client.status(other)["status"]) == ("FAILED", "COMPLETED")


def test_an_export_that_expires_takes_its_file_along(start: Any) -> None:
    client = start()
    status = client.completed()
    client.genesys.exports[status["exportId"]].outcome = "EXPIRED"
    assert client.status(status["exportId"])["status"] == "EXPIRED"
    assert client.download(status["fileUri"]).status_code == 404


def test_delete_cancels_what_has_not_ended(start: Any) -> None:
    client = start(job_polls=5)
    export_id = client.create()
    assert client.delete(f"{EXPORTS}/{export_id}").status_code == 204
    assert client.status(export_id)["status"] == "CANCELLED"
    client.genesys.job_polls = None
    done = client.completed()["exportId"]
    assert client.delete(f"{EXPORTS}/{done}").status_code == 204
    assert client.status(done)["status"] == "COMPLETED"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"exportType": "users"}, "exportType"),
        ({"format": "csv"}, "format"),
        ({"include": ["media", "passwords"]}, "include[1]"),
        ({"filter": {}}, "filter"),
        ({"filter": {"dateFrom": "yesterday", "dateTo": "2026-11-23T00:00:00Z"}}, "filter.dateFrom"),
        ({"filter": {"dateFrom": "2026-11-22T00:00:00", "dateTo": "2026-11-23T00:00:00Z"}}, "filter.dateFrom"),
        ({"filter": {"dateFrom": "2026-11-22T00:00:00Z", "dateTo": "2026-11-22T00:00:00Z"}}, "filter.dateFrom"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_with_its_field(
    start: Any, changes: dict[str, Any], field: str
) -> None:
    client = start()
    answer = client.post(EXPORTS, json=ORDER | changes)
    assert problem(answer) == (400, "bad.request")
    assert answer.json()["details"] == [{"errorCode": "invalid.value", "fieldName": field}]
    assert not client.genesys.exports


def test_other_requests_are_refused_as_the_api_refuses_them(start: Any) -> None:
    client = start()
    assert problem(client.get(f"{EXPORTS}/no-such-export")) == (404, "not.found")
    assert problem(client.get("/api/v2/no/such/path")) == (404, "not.found")
    assert problem(client.put(EXPORTS, json={})) == (405, "method.not.allowed")
    assert problem(client.post(EXPORTS, content=b"{")) == (400, "bad.request")
    assert problem(client.post(EXPORTS, content=b" " * 512_001)) == (413, "request.entity.too.large")


def test_a_token_that_spends_too_much_is_held_back(start: Any) -> None:
    client = start(requests_per_minute=3)
    answers = [client.get("/api/v2/organizations/me") for _ in range(4)]
    assert [answer.headers["inin-ratelimit-count"] for answer in answers] == ["1", "2", "3", "4"]
    assert {answer.headers["inin-ratelimit-allowed"] for answer in answers} == {"3"}
    assert all(0 < int(answer.headers["inin-ratelimit-reset"]) <= 60 for answer in answers)
    assert problem(answers[3]) == (429, "too.many.requests")
    assert answers[3].headers["Retry-After"] == answers[3].headers["inin-ratelimit-reset"]
    assert answers[3].json()["limit"]["value"] == 3
    client.login()
    assert client.get("/api/v2/organizations/me").status_code == 200, "the budget belongs to the token"


def test_scripted_failures_come_in_order_and_end(start: Any) -> None:
    client = start()
    client.genesys.fail_next(EXPORTS, status=429, headers={"Retry-After": "7"})
    client.genesys.fail_next("/api/v2", status=502, times=2, body=b"<html>Bad Gateway</html>")
    first, second, third, last = (client.get(f"{EXPORTS}/x") for _ in range(4))
    assert problem(first) == (429, "too.many.requests")
    assert first.headers["Retry-After"] == "7"
    assert (second.status_code, third.status_code, third.text) == (502, 502, "<html>Bad Gateway</html>")
    assert last.status_code == 404


def test_a_scripted_failure_speaks_as_the_service_it_stands_for(start: Any) -> None:
    client = start()
    status = client.completed()
    client.genesys.fail_next("/", status=400)
    assert client.login().json()["error"] == "rate limit exceeded"
    client.genesys.fail_next("/", status=503)
    assert "<Code>SlowDown</Code>" in client.download(status["fileUri"]).text
    client.genesys.fail_next("/", status=403)
    assert client.get(EXPORTS).json() == missing_permissions("recording:recording:view")


def test_a_missing_permission_can_be_named(start: Any) -> None:
    client = start()
    client.genesys.fail_next(EXPORTS, status=403, body=missing_permissions("recording:job:add"))
    answer = client.post(EXPORTS, json=ORDER)
    assert problem(answer) == (403, "missing.permissions")
    assert answer.json()["messageParams"] == {"permissions": "[recording:job:add]"}
    client.genesys.fail_next(EXPORTS, status=400, body=error_body(400, "Too many jobs", "too.many.jobs"))
    assert problem(client.post(EXPORTS, json=ORDER)) == (400, "too.many.jobs")


def test_the_log_shows_what_was_asked_without_secrets(start: Any, caplog: pytest.LogCaptureFixture) -> None:
    client = start()
    with caplog.at_level("INFO", logger="airflow_provider_genesys"):
        status = client.completed()
        client.download(status["fileUri"], Range="bytes=0-9")
    seen = [
        (one.method, one.path.replace(status["exportId"], "ID"), one.range, one.status)
        for one in client.genesys.requests
    ]
    assert seen == [
        ("POST", "/oauth/token", None, 200),
        ("POST", EXPORTS, None, 202),
        ("GET", f"{EXPORTS}/ID", None, 200),
        ("GET", "/archive/ID.ndjson", "bytes=0-9", 206),
    ]
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("airflow_provider_genesys")]
    assert len(ours) >= 3  # the last answer is logged once it is sent: perhaps not yet
    assert not any("Signature" in line for line in ours)
