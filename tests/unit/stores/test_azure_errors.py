"""What errors of Azure Blob lead to, as Azure answers them over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import azure.core.exceptions as azure
import pytest
from azure.storage.blob import BlobServiceClient

from airflow_provider_genesys.exceptions import SinkError, SinkRefusedError, SinkUnavailableError
from airflow_provider_genesys.stores.azure_blob import AzureStore
from airflow_provider_genesys.stores.azure_errors import code_of, explained, is_transient
from airflow_provider_genesys.testing.services.azure import connection_string
from tests.unit.cloud.scripted_server import Reply, ScriptedServer

TRIES = 2
BLOB = "/account/lake/a"
OPERATIONS: dict[str, tuple[str, Callable[[AzureStore], Any]]] = {
    "upload_blob": (f"PUT {BLOB}", lambda store: store.put("a", b"x")),
    "stage_block": (f"PUT {BLOB}", lambda store: store.upload("a").send(b"x")),
    "download_blob": (f"GET {BLOB}", lambda store: store.get("a")),
    "list_blobs": ("GET /account/lake", lambda store: list(store.list_objects("a"))),
    "delete_blob": (f"DELETE {BLOB}", lambda store: store.delete("a")),
}
PAGE = {"Content-Type": "text/html"}


def said(status: int, code: str, detail: str = "") -> Reply:
    """Return an error as Azure writes it."""
    more = f"<AuthenticationErrorDetail>{detail}</AuthenticationErrorDetail>" if detail else ""
    text = f"<Code>{code}</Code><Message>Azure says so.\nRequestId:1\nTime:now</Message>{more}"
    headers = {"Content-Type": "application/xml", "x-ms-error-code": code}
    return Reply(status, f'<?xml version="1.0" encoding="utf-8"?><Error>{text}</Error>'.encode(), headers)


@pytest.fixture
def store(server: ScriptedServer) -> AzureStore:
    service = BlobServiceClient.from_connection_string(connection_string(f"{server.url}/account"))
    return AzureStore(service.get_container_client("lake"), retries=TRIES - 1)


def failed(server: ScriptedServer, store: AzureStore, reply: Reply, operation: str = "upload_blob") -> SinkError:
    """Answer ``operation`` with ``reply`` for ever; return the error."""
    request, action = OPERATIONS[operation]
    server.on(request, reply)
    with pytest.raises(SinkError) as raised:
        action(store)
    assert "az://lake/a" in str(raised.value)
    assert "RequestId" not in str(raised.value)
    return raised.value


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("reply", "wording"),
    [
        (said(503, "ServerBusy"), "load fewer windows"),
        (said(500, "OperationTimedOut"), "OperationTimedOut: Azure says so"),
        (Reply(503, b"<html>", PAGE), "proxy or a login page"),
    ],
    ids=["busy", "timeout", "503 page"],
)
def test_what_may_pass_is_tried_again(
    server: ScriptedServer, store: AzureStore, operation: str, reply: Reply, wording: str
) -> None:
    error = failed(server, store, reply, operation)
    assert type(error) is SinkUnavailableError
    assert wording in str(error)
    assert server.count(OPERATIONS[operation][0]) == TRIES


@pytest.mark.parametrize("reply", [said(400, "Md5Mismatch"), said(409, "ContainerBeingDeleted"), Reply(429)])
def test_what_passes_by_its_code_is_tried_again(server: ScriptedServer, store: AzureStore, reply: Reply) -> None:
    assert type(failed(server, store, reply)) is SinkUnavailableError


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_page_of_a_proxy_is_neither_a_blob_nor_written(
    server: ScriptedServer, store: AzureStore, operation: str
) -> None:
    error = failed(server, store, Reply(200, b"<html>Sign in</html>", PAGE), operation)
    assert type(error) is SinkUnavailableError
    assert "proxy or a login page" in str(error)


def test_a_success_without_an_etag_is_not_azures(server: ScriptedServer, store: AzureStore) -> None:
    assert "has no ETag" in str(failed(server, store, Reply(201)))
    with pytest.raises(SinkUnavailableError, match="has no ETag"):
        store.put_if_absent("a", b"x")


@pytest.mark.parametrize(
    ("reply", "advice"),
    [
        (said(403, "AuthenticationFailed", "Request date header too old: 'x'"), "clock is wrong"),
        (said(403, "AuthenticationFailed", "Signature not valid in the specified time frame"), "Give the Azure"),
        (said(403, "AuthenticationFailed"), "Correct the account key"),
        (said(403, "AuthorizationFailure"), "firewall"),
        (said(403, "AuthorizationPermissionMismatch"), "docs/azure-blob.md"),
        (Reply(403, b"<html>", PAGE), "proxy or a login page"),
        (said(404, "ContainerNotFound"), "Create the container"),
        (said(400, "InvalidResourceName"), "3 to 63 lower-case letters"),
        (said(400, "OutOfRangeInput"), "3 to 63 lower-case letters"),
        (said(409, "BlobImmutableDueToPolicy"), "immutability policy"),
        (said(403, "AccountIsDisabled"), "Enable the storage account"),
        (said(409, "SkuNotSupported"), "general-purpose v2"),
        (said(409, "InvalidBlobType"), "append blob"),
        (said(409, "LeaseAlreadyPresent"), "lease break"),
        (said(412, "LeaseIdMissing"), "lease break"),
        (said(413, "RequestBodyTooLarge"), "takes no body of this length"),
        (said(412, "ConditionNotMet"), "correct the settings or the store"),
        (said(400, "SomethingNew"), "correct the settings or the store"),
    ],
    ids=lambda given: str(given.status) if isinstance(given, Reply) else "",
)
def test_what_stays_is_refused_with_what_to_do(
    server: ScriptedServer, store: AzureStore, reply: Reply, advice: str
) -> None:
    error = failed(server, store, reply)
    assert type(error) is SinkRefusedError
    assert advice in str(error)
    assert error.code == reply.headers.get("x-ms-error-code", error.code)
    assert server.count(f"PUT {BLOB}") == 1


@pytest.mark.parametrize("reply", [said(409, "BlobAlreadyExists"), said(412, "ConditionNotMet")])
def test_only_a_condition_that_fails_means_taken(server: ScriptedServer, store: AzureStore, reply: Reply) -> None:
    server.on(f"PUT {BLOB}", reply)
    assert store.put_if_absent("a", b"x") is False


@pytest.mark.parametrize("code", ["InvalidBlockList", "InvalidBlobOrBlock"])
def test_blocks_that_are_gone_are_sent_again_by_the_next_try(
    server: ScriptedServer, store: AzureStore, code: str
) -> None:
    error = failed(server, store, said(400, code))
    assert type(error) is SinkUnavailableError
    assert "no longer there" in str(error)


@pytest.mark.parametrize(
    "error",
    [
        azure.ServiceRequestError("no route"),
        azure.ServiceResponseError("cut off"),
        azure.DecodeError(response=SimpleNamespace(reason="OK", status_code=200)),  # type: ignore[arg-type]
    ],
    ids=code_of,
)
def test_a_connection_that_breaks_is_tried_again(error: Any) -> None:
    assert is_transient(error)


def test_a_certificate_that_is_not_trusted_is_no_outage() -> None:
    error = explained(azure.ServiceRequestError("CERTIFICATE_VERIFY_FAILED"), "upload_blob az://lake/a")
    assert type(error) is SinkRefusedError
    assert "not trusted" in str(error)


def test_folders_of_a_hierarchical_namespace_are_no_blobs() -> None:
    def blob(name: str, metadata: dict[str, str] | None) -> SimpleNamespace:
        return SimpleNamespace(name=name, size=0, etag="0x1", metadata=metadata)

    listed = [blob("raw/dt=2026-11-01", {"hdi_isfolder": "true"}), blob("raw/a", None), blob("raw/b", {"by": "us"})]
    pages = SimpleNamespace(by_page=lambda: iter([listed]))
    container: Any = SimpleNamespace(url="https://x/lake", container_name="lake", list_blobs=lambda **_: pages)
    assert [found.key for found in AzureStore(container).list_objects("raw/")] == ["raw/a", "raw/b"]
