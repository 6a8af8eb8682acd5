"""What errors of Azure Blob lead to; those that Azurite does not raise are made here as the SDK makes them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import azure.core.exceptions as azure
import pytest

from airflow_provider_genesys.exceptions import SinkRefusedError, SinkUnavailableError
from airflow_provider_genesys.stores.azure_blob import AzureStore
from airflow_provider_genesys.stores.azure_errors import code_of, explained, is_transient

REQUEST = "upload_blob az://lake/key"


def answer(code: str, status: int, message: str = "Azure says so.") -> Any:
    """Return the error that the SDK raises for an answer."""
    kind = azure.ClientAuthenticationError if status in (401, 403) else azure.HttpResponseError
    error = kind(f"{message}\nRequestId:1\nTime:now")
    error.status_code, error.error_code = status, code  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    "error",
    [
        answer("ServerBusy", 503),
        answer("InternalError", 500),
        answer("OperationTimedOut", 500),
        answer("Md5Mismatch", 400),
        answer("ContainerBeingDeleted", 409),
        answer("", 429),
        azure.ServiceRequestError("no route"),
        azure.ServiceResponseError("cut off"),
        azure.DecodeError(response=SimpleNamespace(reason="OK", status_code=200)),  # type: ignore[arg-type]
    ],
    ids=code_of,
)
def test_what_passes_is_tried_again(error: Any) -> None:
    assert is_transient(error)
    assert type(explained(error, REQUEST)) is SinkUnavailableError


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (answer("AuthenticationFailed", 403, "Request date header too old: 'x'"), "clock is wrong"),
        (
            answer("AuthenticationFailed", 403, "Signature not valid in the specified time frame"),
            "Give the Azure connection",
        ),
        (answer("AuthenticationFailed", 403), "Correct the account key"),
        (answer("AuthorizationFailure", 403), "firewall"),
        (answer("AuthorizationPermissionMismatch", 403), "docs/azure-blob.md"),
        (answer("ContainerNotFound", 404), "Create the container"),
        (answer("InvalidResourceName", 400), "3 to 63 lower-case letters"),
        (answer("OutOfRangeInput", 400), "3 to 63 lower-case letters"),
        (answer("BlobImmutableDueToPolicy", 409), "immutability policy"),
        (answer("AccountIsDisabled", 403), "Enable the storage account"),
        (answer("SkuNotSupported", 400), "general-purpose v2"),
        (answer("InvalidBlobType", 409), "append blob"),
        (answer("LeaseAlreadyPresent", 409), "lease break"),
        (answer("SomethingNew", 400), "correct the settings or the store"),
        (azure.ServiceRequestError("CERTIFICATE_VERIFY_FAILED"), "not trusted"),
    ],
)
def test_what_stays_is_refused_with_what_to_do(error: Any, advice: str) -> None:
    told = explained(error, REQUEST)
    assert type(told) is SinkRefusedError
    assert told.code == code_of(error)
    assert REQUEST in str(told)
    assert advice in str(told)
    assert "RequestId" not in str(told)


@pytest.mark.parametrize("code", ["InvalidBlockList", "InvalidBlobOrBlock"])
def test_blocks_that_are_gone_are_sent_again_by_the_next_try(code: str) -> None:
    told = explained(answer(code, 400), REQUEST)
    assert type(told) is SinkUnavailableError
    assert "no longer there" in str(told)


def test_folders_of_a_hierarchical_namespace_are_no_blobs() -> None:
    def blob(name: str, metadata: dict[str, str] | None) -> SimpleNamespace:
        return SimpleNamespace(name=name, size=0, etag="0x1", metadata=metadata)

    listed = [blob("raw/dt=2026-11-01", {"hdi_isfolder": "true"}), blob("raw/a", None), blob("raw/b", {"by": "us"})]
    pages = SimpleNamespace(by_page=lambda: iter([listed]))
    container: Any = SimpleNamespace(url="https://x/lake", container_name="lake", list_blobs=lambda **_: pages)
    assert [found.key for found in AzureStore(container).list_objects("raw/")] == ["raw/a", "raw/b"]
