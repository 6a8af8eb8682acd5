"""What errors of Google Cloud Storage lead to, as Google answers them over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests
from google.auth.exceptions import RefreshError, TransportError

from airflow_provider_genesys.exceptions import SinkError, SinkRefusedError, SinkUnavailableError
from airflow_provider_genesys.stores.gcs import GCSStore
from airflow_provider_genesys.stores.gcs_errors import describe, explained, is_transient
from airflow_provider_genesys.stores.gcs_upload import UploadSession
from airflow_provider_genesys.testing.services.gcs import client_for
from tests.unit.cloud.scripted_server import Reply, ScriptedServer

TRIES = 2
URL = "https://storage.googleapis.com/upload/storage/v1/b/lake/o?upload_id=secret"

OPERATIONS: dict[str, tuple[str, Callable[[GCSStore], Any]]] = {
    "upload": ("POST /upload/storage/v1/b/lake/o", lambda store: store.put("a", b"x")),
    "begin": ("POST /upload/storage/v1/b/lake/o", lambda store: store.upload("a")),
    "download": ("GET /download/storage/v1/b/lake/o/a", lambda store: store.get("a")),
    "list": ("GET /storage/v1/b/lake/o", lambda store: list(store.list_objects("a"))),
    "delete": ("DELETE /storage/v1/b/lake/o/a", lambda store: store.delete("a")),
}
PAGE = Reply(200, b"<html>Sign in</html>", {"Content-Type": "text/html"})


def said(status: int, reason: str, message: str = "Google says so.") -> Reply:
    """Return an error as Google writes it."""
    errors = [{"reason": reason, "domain": "global", "message": message}]
    return Reply(status, {"error": {"code": status, "message": message, "errors": errors}})


@pytest.fixture
def store(server: ScriptedServer) -> GCSStore:
    return GCSStore(client_for(server.url).bucket("lake"), retries=TRIES - 1)


def failed(server: ScriptedServer, store: GCSStore, reply: Reply, operation: str) -> SinkError:
    """Answer ``operation`` with ``reply`` for ever; return the error."""
    request, action = OPERATIONS[operation]
    server.on(request, reply)
    with pytest.raises(SinkError) as raised:
        action(store)
    assert "gs://lake/a" in str(raised.value)
    return raised.value


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("reply", "wording"),
    [
        (said(403, "rateLimitExceeded"), "403 rateLimitExceeded: Google says so.*load fewer windows"),
        (said(429, "userRateLimitExceeded"), "429 userRateLimitExceeded: Google says so.*load fewer windows"),
        (said(503, "backendError"), "503 backendError: Google says so. The next try continues"),
        (Reply(503, b"<html>"), "503. The next try .*proxy or a login page"),
    ],
    ids=["403 rate", "429", "503", "503 page"],
)
def test_what_may_pass_is_tried_again(
    server: ScriptedServer, store: GCSStore, operation: str, reply: Reply, wording: str
) -> None:
    error = failed(server, store, reply, operation)
    assert type(error) is SinkUnavailableError
    assert server.count(OPERATIONS[operation][0]) == TRIES
    with pytest.raises(SinkUnavailableError, match=wording):
        raise error


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("reply", "advice"),
    [
        (said(403, "forbidden"), "docs/gcs.md"),
        (said(403, "retentionPolicyNotMet"), "retention policy"),
        (said(403, "quotaExceeded"), "A quota is used up"),
        (said(403, "accountDisabled"), "billing"),
        (said(403, "objectUnderActiveHold"), "release it"),
        (said(400, "invalid"), "Correct the bucket"),
        (said(413, "uploadTooLarge"), "takes no body of this length"),
        (said(412, "orgPolicyConstraintFailed"), "correct the settings or the store"),
    ],
    ids=lambda given: str(given.status) if isinstance(given, Reply) else "",
)
def test_what_no_retry_helps_says_what_to_do(
    server: ScriptedServer, store: GCSStore, operation: str, reply: Reply, advice: str
) -> None:
    error = failed(server, store, reply, operation)
    assert type(error) is SinkRefusedError
    assert advice in str(error)
    assert "Google says so." in str(error)
    assert "{" not in str(error)
    assert server.count(OPERATIONS[operation][0]) == 1


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_page_of_a_proxy_is_neither_an_object_nor_written(
    server: ScriptedServer, store: GCSStore, operation: str
) -> None:
    error = failed(server, store, PAGE, operation)
    assert type(error) is SinkUnavailableError
    assert "proxy or a login page" in str(error)


@pytest.mark.parametrize("body", [{}, b"[]", b""])
def test_what_is_no_list_is_not_empty(server: ScriptedServer, store: GCSStore, body: Any) -> None:
    assert type(failed(server, store, Reply(200, body), "list")) is SinkUnavailableError
    server.on(OPERATIONS["list"][0], Reply(200, {"kind": "storage#objects"}))
    assert list(store.list_objects("a")) == []


def test_a_bucket_that_is_not_there_and_wrong_credentials(server: ScriptedServer, store: GCSStore) -> None:
    assert "Create the bucket" in str(failed(server, store, said(404, "notFound"), "upload"))
    assert "Correct the credentials" in str(failed(server, store, said(401, "authError"), "upload"))


def test_only_a_condition_that_fails_means_taken_or_another_one(server: ScriptedServer, store: GCSStore) -> None:
    server.on(OPERATIONS["upload"][0], said(412, "conditionNotMet"))
    assert store.put_if_absent("a", b"x") is False
    server.on(OPERATIONS["download"][0], said(412, "conditionNotMet"))
    assert store.read("a", 0, 1, etag="7") is None


@pytest.mark.parametrize("body", [{}, b"[]"])
def test_an_upload_that_ends_without_a_generation_is_not_googles(server: ScriptedServer, body: Any) -> None:
    server.on("PUT /session", Reply(200, body))
    with pytest.raises(SinkUnavailableError, match="no generation"):
        UploadSession(f"{server.url}/session", "gs://lake/a", 0).send(b"abc", 0, 3, {})


def test_an_upload_goes_on_after_an_error_with_what_is_missing(server: ScriptedServer) -> None:
    held = Reply(308, headers={"Range": "bytes=0-0"})
    server.on("PUT /session", said(503, "backendError"), held, Reply(200, {"generation": "17"}))
    assert UploadSession(f"{server.url}/session", "gs://lake/a", 1).send(b"abc", 0, 3, {}) == "17"
    assert [one.headers["Content-Range"] for one in server.requests] == ["bytes 0-2/3", "bytes */*", "bytes 1-2/3"]


def test_an_upload_that_is_gone_is_for_the_next_try(server: ScriptedServer) -> None:
    server.on("PUT /session", Reply(410))
    with pytest.raises(SinkUnavailableError, match="the upload is no longer there"):
        UploadSession(f"{server.url}/session", "gs://lake/a", 3).send(b"abc", 0, None, {})
    assert server.count("PUT /session") == 1


@pytest.mark.parametrize(
    "error", [requests.ConnectionError("cut off"), requests.ReadTimeout("late"), TransportError("no token server")]
)
def test_a_connection_that_breaks_is_tried_again(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (RefreshError("invalid_grant: account not found"), "Correct the credentials"),
        (requests.exceptions.SSLError("CERTIFICATE_VERIFY_FAILED"), "not trusted"),
    ],
)
def test_what_fails_before_a_request_says_what_to_do(error: Exception, advice: str) -> None:
    assert not is_transient(error)
    refused = explained(error, "upload gs://lake/a")
    assert isinstance(refused, SinkRefusedError)
    assert advice in str(refused)


def test_no_message_holds_the_address_of_an_upload() -> None:
    assert "secret" not in describe(requests.ConnectionError(f"no route to {URL}"))
