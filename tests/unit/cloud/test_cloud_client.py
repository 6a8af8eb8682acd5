from __future__ import annotations

import logging
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import tenacity
import trustme
from fake_clock import Clock
from scripted_server import TOKEN_PATH, Reply, ScriptedServer

from airflow_provider_genesys import __version__
from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.http import client as client_module
from airflow_provider_genesys.cloud.http import shared as shared_module
from airflow_provider_genesys.cloud.http import transport
from airflow_provider_genesys.cloud.http.client import ATTEMPTS, CloudClient
from airflow_provider_genesys.cloud.http.pacing import Pacer
from airflow_provider_genesys.exceptions import (
    AuthenticationError,
    CircuitOpenError,
    CloudError,
    CloudUnavailableError,
    ConfigurationError,
    ForeignAnswerError,
    NotFoundError,
    PermissionDeniedError,
    RequestRefusedError,
)

PATH = "/api/v2/thing"
ASK = f"POST {TOKEN_PATH}"
OK = Reply(body={"ok": True})
HTML = {"Content-Type": "text/html"}


def test_a_request_carries_its_token_its_sender_and_its_arguments(
    client: CloudClient, server: ScriptedServer, secrets: list[str]
) -> None:
    server.on(f"POST {PATH}", Reply(202, {"id": "x"}))
    assert client.request("post", PATH, json={"a": ["ü"]}, params={"q": "1&2"}) == {"id": "x"}
    _, request = server.requests
    assert (request.method, request.path, request.json) == ("POST", f"{PATH}?q=1%262", {"a": ["ü"]})
    assert request.headers["Authorization"] == "Bearer token-1"
    assert request.headers["User-Agent"] == f"airflow-provider-genesys/{__version__}"
    assert secrets == ["token-1"]


@pytest.mark.parametrize("reply", [Reply(204), Reply(200, b""), Reply(202, b" \n")])
def test_an_empty_answer_is_none(client: CloudClient, server: ScriptedServer, reply: Reply) -> None:
    server.on(f"DELETE {PATH}", reply)
    assert client.request("DELETE", PATH) is None


@pytest.mark.parametrize("error", [{"message": "busy", "status": 503}, {"errors": [{"code": "x"}]}, {"error": "no"}])
def test_an_error_with_status_200_is_no_answer(
    client: CloudClient, server: ScriptedServer, error: dict[str, Any]
) -> None:
    server.on(f"GET {PATH}", Reply(200, error), Reply(200, {"id": "x", "message": "of a thing"}))
    assert client.request("GET", PATH) == {"id": "x", "message": "of a thing"}
    server.on(f"POST {PATH}", Reply(200, error))
    with pytest.raises(CloudUnavailableError, match="answered 200 with an error"):
        client.request("POST", PATH)


def test_a_packed_answer_is_unpacked(client: CloudClient, server: ScriptedServer) -> None:
    import gzip

    server.on(f"GET {PATH}", Reply(200, gzip.compress(b'{"ok": 1}'), {"Content-Encoding": "gzip"}))
    assert client.request("GET", PATH) == {"ok": 1}


@pytest.mark.parametrize("path", ["@evil.example/", "https://evil.example/", "evil", ""])
def test_a_path_cannot_lead_the_token_elsewhere(client: CloudClient, server: ScriptedServer, path: str) -> None:
    with pytest.raises(ConfigurationError, match="must begin with '/'"):
        client.request("GET", path)
    assert not server.requests


def test_all_clients_of_one_oauth_client_share_its_token(
    make_config: Callable[..., CloudConfig], server: ScriptedServer, secrets: list[str]
) -> None:
    server.on(f"GET {PATH}", OK)
    for _ in range(3):
        with CloudClient(make_config(), on_secret=secrets.append) as client:
            client.request("GET", PATH)
    assert server.count(ASK) == 1
    assert secrets == ["token-1"] * 3, "each client's own log has to mask it"
    with CloudClient(make_config(client_secret="rotated")) as client:  # noqa: S106 -- not a secret
        client.request("GET", PATH)
    assert server.count(ASK) == 2


# Retries.


@pytest.mark.outcome("tokens", "408, 425, 429, 5xx, a cut answer or an HTML page from the API, in between", "recovers")
@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    "failure",
    [*(Reply(status) for status in (408, 425, 429, 500, 502, 503, 504)), Reply(cut=True), Reply(200, b"{", HTML)],
)
def test_what_can_be_repeated_is_repeated(
    client: CloudClient, server: ScriptedServer, method: str, failure: Reply
) -> None:
    server.on(f"{method} {PATH}", failure, failure, OK)
    assert client.request(method, PATH) == {"ok": True}
    assert server.count(f"{method} {PATH}") == 3


def test_head_is_repeated(client: CloudClient, server: ScriptedServer) -> None:
    server.on(f"HEAD {PATH}", Reply(503), Reply(200))
    assert client.request("HEAD", PATH) is None


@pytest.mark.outcome(
    "jobs", "the POST that creates the export is answered with 5xx, late, or not at all", "CloudUnavailableError"
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize("failure", [Reply(408), Reply(500), Reply(503), Reply(cut=True), Reply(200, b"{")])
def test_what_may_have_been_done_is_not_repeated(
    client: CloudClient, server: ScriptedServer, method: str, failure: Reply
) -> None:
    server.on(f"{method} {PATH}", failure, OK)
    with pytest.raises(CloudUnavailableError):
        client.request(method, PATH, json={})
    assert server.count(f"{method} {PATH}") == 1


@pytest.mark.outcome(
    "jobs", "the POST that creates the export is answered with 5xx, late, or not at all", "CloudUnavailableError"
)
def test_a_post_that_is_answered_too_late_is_not_repeated(
    make_config: Callable[..., CloudConfig], server: ScriptedServer
) -> None:
    server.on(f"POST {PATH}", Reply(200, {}, wait=0.4), OK)
    with (
        CloudClient(make_config(timeout=0.1)) as client,
        pytest.raises(CloudUnavailableError, match=rf"POST .*{PATH} got no answer: ReadTimeout"),
    ):
        client.request("POST", PATH)
    assert server.count(f"POST {PATH}") == 1


@pytest.mark.outcome("jobs", "the POST that creates the export could not be sent, or met 429", "recovers")
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_429_says_that_nothing_was_done_so_that_even_a_post_is_repeated(
    client: CloudClient, server: ScriptedServer, method: str
) -> None:
    server.on(f"{method} {PATH}", Reply(429, headers={"Retry-After": "0"}), OK)
    assert client.request(method, PATH) == {"ok": True}


@pytest.mark.outcome("jobs", "the POST that creates the export could not be sent, or met 429", "recovers")
def test_a_post_that_could_not_be_sent_is_repeated(
    make_config: Callable[..., CloudConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as not_yet:
        port = not_yet.getsockname()[1]
    late: list[ScriptedServer] = []

    def start_server(_: tenacity.RetryCallState) -> float:
        late.append(ScriptedServer(port))
        late[0].on(f"POST {PATH}", OK)
        return 0.0

    monkeypatch.setattr(client_module, "_backoff", start_server)
    with CloudClient(make_config(api_url=f"http://127.0.0.1:{port}")) as client:
        assert client.request("POST", PATH) == {"ok": True}
    assert late[0].count(f"POST {PATH}") == 1
    late[0].close()


def test_a_host_that_is_not_there_is_named(make_config: Callable[..., CloudConfig]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with (
        CloudClient(make_config(api_url=url)) as client,
        pytest.raises(CloudUnavailableError, match=f"GET {url}{PATH} got no answer: ConnectError"),
    ):
        client.request("GET", PATH)


def test_a_post_whose_token_could_not_be_had_at_first_is_sent_once(client: CloudClient, server: ScriptedServer) -> None:
    server.on(ASK, Reply(503), Reply(400, {"error": "rate limit exceeded"}), Reply(body={"access_token": "t"}))
    server.on(f"POST {PATH}", OK)
    assert client.request("POST", PATH) == {"ok": True}
    assert server.count(f"POST {PATH}") == 1


@pytest.mark.outcome("tokens", "the same for good", "CloudUnavailableError")
def test_attempts_end(client: CloudClient, server: ScriptedServer) -> None:
    server.on(f"GET {PATH}", Reply(503))
    with pytest.raises(CloudUnavailableError) as caught:
        client.request("GET", PATH)
    assert caught.value.status == 503
    assert server.count(f"GET {PATH}") == ATTEMPTS


@pytest.mark.parametrize("status", [400, 403, 404, 405, 409, 410, 413, 422, 501])
def test_what_no_retry_heals_is_asked_once(client: CloudClient, server: ScriptedServer, status: int) -> None:
    server.on(f"GET {PATH}", Reply(status))
    with pytest.raises(CloudError) as caught:
        client.request("GET", PATH)
    assert caught.value.status == status
    assert not caught.value.retryable
    assert server.count(f"GET {PATH}") == 1


@pytest.mark.outcome("tokens", "`Retry-After` in seconds, as a date, past, huge, fractional or missing", "recovers")
def test_retry_after_is_waited_for(client: CloudClient, server: ScriptedServer) -> None:
    server.on(f"GET {PATH}", Reply(429, headers={"Retry-After": "0.3"}), OK)
    begun = time.monotonic()
    client.request("GET", PATH)
    assert time.monotonic() - begun >= 0.3


def test_retry_after_counts_for_everybody_who_uses_the_oauth_client(
    client: CloudClient, config: CloudConfig, server: ScriptedServer
) -> None:
    server.on(f"POST {PATH}", Reply(429, headers={"Retry-After": "3000"}))
    server.on("GET /other", OK)
    with pytest.raises(CloudUnavailableError):
        client.request("POST", PATH)
    with (
        CloudClient(config) as other,
        pytest.raises(CloudUnavailableError, match="limit of this OAuth client is used up for another"),
    ):
        other.request("GET", "/other")
    assert server.count("GET /other") == 0


@pytest.mark.outcome("tokens", "`Retry-After` in seconds, as a date, past, huge, fractional or missing", "recovers")
@pytest.mark.parametrize(("asked", "least"), [("0", 0.0), ("Sun, 01 Nov 2015 00:00:00 GMT", 0.8)])
def test_a_date_that_has_passed_is_no_leave_to_hammer(
    client: CloudClient, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, asked: str, least: float
) -> None:
    monkeypatch.setattr(client_module, "_backoff", tenacity.wait_fixed(0.8))
    pauses: list[float] = []
    monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=pauses.append))
    server.on(f"GET {PATH}", Reply(503, headers={"Retry-After": asked}), OK)
    client.request("GET", PATH)
    assert pauses == [least]


@pytest.mark.outcome("tokens", "`Retry-After` is longer than the request may wait", "CloudUnavailableError")
@pytest.mark.parametrize(("asked", "told"), [("3000", 3000.0), ("999999", 3600.0)])
def test_what_is_wanted_later_than_we_have_patience_is_handed_up_at_once(
    client: CloudClient, server: ScriptedServer, asked: str, told: float
) -> None:
    server.on(f"GET {PATH}", Reply(503, headers={"Retry-After": asked}))
    with pytest.raises(CloudUnavailableError) as caught:
        client.request("GET", PATH)
    assert caught.value.retry_after == told
    assert server.count(f"GET {PATH}") == 1


def test_patience_bounds_the_whole_call(
    config: CloudConfig, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    for module in ("tenacity.time", "tenacity.nap.time"):
        monkeypatch.setattr(module, SimpleNamespace(sleep=clock.sleep, monotonic=clock))
    monkeypatch.setattr(client_module, "_backoff", tenacity.wait_fixed(2))
    server.on(f"GET {PATH}", Reply(503))
    with CloudClient(config, patience=5) as client, pytest.raises(CloudUnavailableError):
        client.request("GET", PATH)
    assert clock.slept == [2, 2], "the third would end after the patience, and before the sixth attempt"
    assert server.count(f"GET {PATH}") == 3


def test_without_retry_after_the_pauses_grow_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(client_module, "_FIRST_WAIT", 1.0)
    state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
    state.set_exception((CloudUnavailableError, CloudUnavailableError("x"), None))
    for attempt, ceiling in ((1, 1.0), (3, 4.0), (9, 30.0)):
        state.attempt_number = attempt
        pauses = [client_module._wait(state) for _ in range(200)]
        assert ceiling / 2 < max(pauses) <= ceiling
        assert min(pauses) < ceiling / 2


def test_an_answer_that_trickles_is_cut(
    make_config: Callable[..., CloudConfig], server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "SLOWEST", 0.005)
    server.on(f"POST {PATH}", Reply(200, b" " * 100 + b"{}", drip=0.05))  # 5 s at least
    with (
        CloudClient(make_config(timeout=60)) as client,  # for one read; for all of them 0.3 s
        pytest.raises(CloudUnavailableError, match="too slowly"),
    ):
        client.request("POST", PATH)


def test_the_budget_paces_requests(make_config: Callable[..., CloudConfig], server: ScriptedServer) -> None:
    server.on(f"GET {PATH}", OK)
    config = make_config(requests_per_minute=600)
    begun = time.monotonic()
    with CloudClient(config) as one, CloudClient(config) as two:
        for client in (one, two) * 12:
            client.request("GET", PATH)
    assert time.monotonic() - begun > 0.35, "24 requests, of which 20 may come at once, at ten a second"


def test_genesys_own_count_paces_requests(make_config: Callable[..., CloudConfig], server: ScriptedServer) -> None:
    limits = {"inin-ratelimit-count": "300", "inin-ratelimit-allowed": "300", "inin-ratelimit-reset": "0.4"}
    server.on(f"GET {PATH}", Reply(200, {}, limits), OK)
    with CloudClient(make_config()) as client:
        client.request("GET", PATH)
        begun = time.monotonic()
        client.request("GET", PATH)
    assert time.monotonic() - begun > 0.35


# Tokens.


@pytest.mark.outcome("tokens", "the API refuses a token before its time", "recovers")
def test_a_token_that_dies_early_is_renewed_once(
    client: CloudClient, server: ScriptedServer, secrets: list[str]
) -> None:
    server.on(f"POST {PATH}", Reply(401, {"code": "bad.credentials"}), OK)
    assert client.request("POST", PATH) == {"ok": True}
    assert [one.headers["Authorization"] for one in server.requests if one.path == PATH] == [
        "Bearer token-1",
        "Bearer token-2",
    ]
    assert secrets == ["token-1", "token-2"]


@pytest.mark.outcome("tokens", "a 401 that no new token heals", "AuthenticationError")
def test_a_401_that_never_heals_is_an_authentication_error(client: CloudClient, server: ScriptedServer) -> None:
    server.on(f"GET {PATH}", Reply(401, {"message": "Invalid login credentials."}))
    with pytest.raises(AuthenticationError, match=r"401.*Invalid login.*region"):
        client.request("GET", PATH)
    assert server.count(f"GET {PATH}") == 2
    assert server.count(ASK) == 2


@pytest.mark.outcome("tokens", "the secret is rotated and the token has died", "AuthenticationError")
def test_a_rotated_secret_is_an_authentication_error(client: CloudClient, server: ScriptedServer) -> None:
    server.on(ASK, Reply(body={"access_token": "t"}), Reply(401, {"error": "invalid_client"}))
    server.on(f"GET {PATH}", OK, Reply(401))
    client.request("GET", PATH)
    with pytest.raises(AuthenticationError, match="invalid_client"):
        client.request("GET", PATH)


def test_a_dead_token_endpoint_opens_the_circuit_for_all_clients(
    client: CloudClient, config: CloudConfig, server: ScriptedServer
) -> None:
    server.on(ASK, Reply(503))
    server.on(f"GET {PATH}", OK)
    with pytest.raises(CircuitOpenError):
        client.request("GET", PATH)
    with CloudClient(config) as other, pytest.raises(CircuitOpenError):
        other.request("GET", PATH)
    assert server.count(ASK) == 5


# Errors.


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RequestRefusedError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (410, NotFoundError),
        (409, RequestRefusedError),
        (302, ForeignAnswerError),
        (418, ForeignAnswerError),
        (511, ForeignAnswerError),
        (999, ForeignAnswerError),
        (501, RequestRefusedError),
        (429, CloudUnavailableError),
        (599, CloudUnavailableError),
    ],
)
def test_an_error_has_its_class_and_its_facts(
    client: CloudClient, server: ScriptedServer, status: int, kind: type[CloudError]
) -> None:
    body = {"message": "It is so", "code": "it.is.so", "status": status, "contextId": "context-1"}
    server.on(f"POST {PATH}", Reply(status, body, {"Retry-After": "500"}))
    with pytest.raises(kind) as caught:
        client.request("POST", PATH)
    assert (caught.value.status, caught.value.code, caught.value.correlation_id) == (status, "it.is.so", "context-1")
    message = str(caught.value)
    assert message.startswith(f"POST {PATH} was answered {status} it.is.so: It is so. ")
    assert "context-1" in message


def test_the_correlation_id_of_the_header_wins(client: CloudClient, server: ScriptedServer) -> None:
    server.on(f"GET {PATH}", Reply(400, {"contextId": "b"}, {"ININ-Correlation-Id": "a-1"}))
    with pytest.raises(RequestRefusedError, match=r"Correlation id for Genesys' support: a-1\.") as caught:
        client.request("GET", PATH)
    assert caught.value.correlation_id == "a-1"


@pytest.mark.outcome("tokens", "the OAuth client lacks a permission", "PermissionDeniedError")
@pytest.mark.parametrize(
    "body",
    [
        {
            "code": "missing.any.permissions",
            "message": "Unable to perform the requested action. You are missing the following permission(s): "
            "recording:recording:view, recording:recordingSegment:view",
        },
        {
            "code": "missing.any.permissions",
            "message": "Unable to perform the requested action. You are missing the following permission(s): "
            "{permissions}",
            "messageParams": {"permissions": "[recording:recording:view, recording:recordingSegment:view]"},
        },
    ],
)
def test_a_missing_permission_is_named(client: CloudClient, server: ScriptedServer, body: dict[str, Any]) -> None:
    server.on(f"GET {PATH}", Reply(403, body))
    with pytest.raises(
        PermissionDeniedError, match="lacks the permission recording:recording:view, recording:recordingSegment:view"
    ) as caught:
        client.request("GET", PATH)
    assert "Give the OAuth client a role" in str(caught.value)


def test_details_and_nested_errors_are_told(client: CloudClient, server: ScriptedServer) -> None:
    body = {
        "message": "Invalid request.",
        "details": [{"fieldName": "filter.dateTo", "errorCode": "invalid.date"}],
        "errors": [{"message": "dateTo lies before dateFrom"}, "odd", None],
    }
    server.on(f"POST {PATH}", Reply(400, body))
    with pytest.raises(
        RequestRefusedError,
        match=r"Invalid request; dateTo lies before dateFrom; filter\.dateTo invalid\.date\. Genesys will not accept",
    ):
        client.request("POST", PATH)


def test_the_limit_that_was_met_is_named(client: CloudClient, server: ScriptedServer) -> None:
    limit = {"key": "client.credentials.token.rate.per.minute", "namespace": "platform.api", "value": 300}
    message = "Rate limit exceeded the maximum. Retry the request in [900] seconds"
    server.on(f"GET {PATH}", Reply(429, {"message": message, "code": "too.many.requests", "limit": limit}))
    with pytest.raises(
        CloudUnavailableError, match=r"the limit is client\.credentials\.token\.rate\.per\.minute = 300"
    ) as met:
        client.request("GET", PATH)
    assert (met.value.code, met.value.retry_after) == ("too.many.requests", 900)


PAGE = b"<html><script>token=abc123</script>" + b"<p>Bad gateway</p>" * 1000


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (PAGE, HTML),
        (b"", {}),
        (b"[" * 100_000, {}),
        (b"\xff\xfe", {}),
        ([1, 2], {}),
        ({"message": 5, "code": [], "errors": "x", "details": {}, "messageParams": 1}, {}),
        ({"limit": [], "message": None}, {}),
        ({"limit": {"key": "a\r\nb", "value": "9" * 1_000}}, {}),
        ({"message": "line\r\nforged log line\x1b[31m " + "long " * 1000}, {}),
    ],
)
def test_no_error_body_breaks_or_floods_the_message(
    client: CloudClient, server: ScriptedServer, body: Any, headers: dict[str, str]
) -> None:
    server.on(f"POST {PATH}", Reply(502, body, headers))
    with pytest.raises(CloudUnavailableError) as caught:
        client.request("POST", PATH)
    message = str(caught.value)
    assert len(message) < 700
    assert message.isprintable()
    assert "<" not in message
    assert "abc123" not in message


def test_a_redirect_is_not_followed_with_the_token(client: CloudClient, server: ScriptedServer) -> None:
    server.on(f"GET {PATH}", Reply(302, b"", {"Location": f"{server.url}/elsewhere?sig=abc123"}))
    with pytest.raises(ForeignAnswerError, match=r"a redirect to .*/elsewhere, which is not followed") as caught:
        client.request("GET", PATH)
    assert "abc123" not in str(caught.value)
    assert server.count("GET /elsewhere") == 0


@pytest.mark.outcome("tokens", "the same for good", "CloudUnavailableError")
def test_html_instead_of_json_points_to_the_host(client: CloudClient, server: ScriptedServer) -> None:
    server.on(f"GET {PATH}", Reply(200, PAGE, HTML))
    with pytest.raises(CloudUnavailableError, match=r"18035 bytes of text/html instead of JSON.*host \(http") as caught:
        client.request("GET", PATH)
    assert caught.value.status == 200


# Certificates.


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_server(authority: trustme.CA) -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server.http.socket = context.wrap_socket(server.http.socket, server_side=True)
    yield server
    server.close()


def over_tls(server: ScriptedServer, verify: bool | str) -> CloudClient:
    url = server.url.replace("http://", "https://")
    return CloudClient(CloudConfig("client", "secret", url, url, timeout=5, verify=verify))


def test_an_untrusted_certificate_is_a_matter_of_configuration(tls_server: ScriptedServer) -> None:
    with (
        over_tls(tls_server, verify=True) as client,
        pytest.raises(ConfigurationError, match=r"certificate is not trusted.*'verify_tls'"),
    ):
        client.request("GET", PATH)


def test_a_certificate_authority_of_ones_own_is_trusted(
    tls_server: ScriptedServer, authority: trustme.CA, tmp_path: Path
) -> None:
    tls_server.on(f"GET {PATH}", OK)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with over_tls(tls_server, str(tmp_path / "ca.pem")) as client:
        assert client.request("GET", PATH) == {"ok": True}
    with over_tls(tls_server, verify=False) as client:
        assert client.request("GET", PATH) == {"ok": True}


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_certificates_that_cannot_be_read_are_named(
    tls_server: ScriptedServer, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "ca.pem"
    if content:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"'verify_tls' is '.*ca\.pem'"):
        over_tls(tls_server, str(path))


# Logs.


def test_no_log_shows_a_token_or_a_signature(
    client: CloudClient, config: CloudConfig, server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.on(f"GET {PATH}", Reply(401), OK)
    # Airflow, where it is loaded, quiets httpx; a deployment's own logging may not.
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, logger="httpx"):
        client.request("GET", PATH, params={"cursor": "c" * 30})
        httpx.get(f"{server.url}{PATH}?X-Amz-Signature=abcdef0123456789")
    assert f"GET {server.url}{PATH}?..." in caplog.text, "httpx logs at all, or this test shows nothing"
    for secret in ("abcdef0123456789", "c" * 30, "token-1", "token-2", config.client_secret, "Basic "):
        assert secret not in caplog.text


def test_the_log_filter_is_installed_once() -> None:
    filters = logging.getLogger("httpx").filters
    assert [type(one).__name__ for one in filters].count("_HideQueries") == 1


def test_signatures_are_reported_as_secrets(client: CloudClient, secrets: list[str]) -> None:
    client.note_url("https://b.s3.amazonaws.com/k?X-Amz-Date=20261101T000000Z&X-Amz-Signature=abcdef")
    assert secrets == ["abcdef"]


# What clients share.


def test_clients_share_connections_and_the_last_one_closes_them(
    make_config: Callable[..., CloudConfig], server: ScriptedServer
) -> None:
    server.on(f"GET {PATH}", OK)
    clients = [CloudClient(make_config(client_id=str(number), timeout=7.0)) for number in range(3)]
    for client in clients:
        client.request("GET", PATH)
    http = clients[0]._pool.http
    assert [client._pool.http for client in clients] == [http] * 3
    clients[0].close()
    del clients[1]
    assert not http.is_closed
    clients[1].close()
    del client
    assert http.is_closed


def test_clients_of_one_oauth_client_share_its_budget_and_the_newest_one_counts(
    make_config: Callable[..., CloudConfig],
) -> None:
    with (
        CloudClient(make_config(requests_per_minute=600)) as one,
        CloudClient(make_config(requests_per_minute=30)) as two,
    ):
        assert one._shared.pacer is two._shared.pacer
        assert one._shared.pacer._budget == 30


def test_processes_with_a_share_each_stay_within_the_budget_together(
    make_config: Callable[..., CloudConfig], clock: Clock
) -> None:
    config = make_config(requests_per_minute=120, request_share=0.25)
    granted: list[float] = []
    for _ in range(4):  # each process has a pacer of its own
        clock.now = 0.0
        pacer = Pacer(config.request_budget, clock=clock, sleep=clock.sleep)
        for _ in range(60):
            pacer.acquire(60)
            granted.append(clock.now)
    assert shared_module.shared(config).pacer._budget == 30
    assert max(sum(start <= at < start + 60 for at in granted) for start in granted) <= 120 + 4


def test_a_closed_client_opens_again_when_it_is_used(client: CloudClient, server: ScriptedServer) -> None:
    server.on(f"GET {PATH}", OK)
    client.close()
    client.close()
    assert client.request("GET", PATH) == {"ok": True}


def test_other_settings_have_other_connections(make_config: Callable[..., CloudConfig]) -> None:
    with CloudClient(make_config()) as one, CloudClient(make_config(timeout=6.0)) as two:
        assert one._pool.http is not two._pool.http


def test_no_cookie_is_kept(client: CloudClient, server: ScriptedServer) -> None:
    server.on(f"GET {PATH}", Reply(200, {}, {"Set-Cookie": "session=abc; Path=/"}))
    client.request("GET", PATH)
    client.request("GET", PATH)
    assert "Cookie" not in server.requests[-1].headers
