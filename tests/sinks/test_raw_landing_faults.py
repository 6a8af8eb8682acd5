"""A landing, and the reading of what was landed, through stores that fail."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient

from airflow_provider_genesys.exceptions import (
    SinkRefusedError,
    SinkUnavailableError,
    SourceRefusedError,
    SourceUnavailableError,
)
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.land import land
from airflow_provider_genesys.pipeline.run import Options
from airflow_provider_genesys.sinks.azure_blob import AzureBlobSink
from airflow_provider_genesys.sinks.s3 import S3Sink
from airflow_provider_genesys.source.landed import LandedArchive, find_landed
from airflow_provider_genesys.source.position import PROVEN, Identity
from airflow_provider_genesys.stores import piece_writer
from airflow_provider_genesys.stores.azure_blob import AzureStore
from airflow_provider_genesys.stores.base import ObjectStore
from airflow_provider_genesys.stores.s3 import S3Store
from airflow_provider_genesys.testing.services import AzuriteServer
from airflow_provider_genesys.testing.services.azure import connection_string
from tests.sinks.batches import make_load
from tests.sinks.flaky import FAULTS, SHORT_STALL, FlakyProxy, flaky_proxy
from tests.sinks.lake import MEBIBYTE, client_for
from tests.unit.pipeline.sources import InMemory

LOAD = make_load()
PIECE = 5 * MEBIBYTE
DATA = b'{"recordingId": "a"}\n' + b"x" * (2 * PIECE + MEBIBYTE)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piece_writer, "PIECE", PIECE)


@pytest.fixture
def azure_proxy(azurite: AzuriteServer) -> Iterator[FlakyProxy]:
    with flaky_proxy(azurite.account_url, SHORT_STALL) as running:
        yield running


def in_s3(proxy: FlakyProxy, bucket: str, tries: int = 3) -> Any:
    client = partial(client_for, proxy.endpoint_url)
    return S3Sink(client, bucket, "raw", part_size=PIECE, retries=tries, dead_letter_raw="drop").landing()


def in_azure(proxy: FlakyProxy, azurite: AzuriteServer, container: str) -> Any:
    account = BlobServiceClient.from_connection_string(connection_string(f"{proxy.endpoint_url}/{azurite.account}"))
    blobs = partial(account.get_container_client, container)
    return AzureBlobSink(blobs, "raw", part_size=PIECE, dead_letter_raw="drop").landing()


class Breaking(InMemory):
    """Breaks behind the second piece."""

    def read(self, start: int) -> Iterator[bytes]:
        for number, chunk in enumerate(super().read(start)):
            if number * self.chunk > 2 * PIECE + 200_000:
                raise SourceUnavailableError("the network is gone")
            yield chunk


def broken_off(landing: Any) -> None:
    with pytest.raises(SourceUnavailableError):
        land(LOAD, {}, Breaking(DATA), landing, Options())


def landed(landing: Any) -> Certificate:
    return land(LOAD, {}, InMemory(DATA), landing, Options())


def read(store: ObjectStore, certificate: Certificate) -> bytes:
    folder = certificate.location.split("/", 3)[3]
    return b"".join(LandedArchive(store, find_landed(store, folder), identity=Identity()).read(0))


@pytest.mark.parametrize("turn", [FAULTS.index("slow-down"), FAULTS.index("lose-answer")])
def test_each_request_of_s3_that_fails_once_is_repeated(proxy: FlakyProxy, bucket: str, client: Any, turn: int) -> None:
    requests = [
        ("PUT", "partNumber=3"),
        ("GET", "uploadId="),  # what was sent
        ("POST", "uploadId="),  # the object appears
        ("PUT", "_manifest.json"),
        ("GET", "archive-"),  # it is read back
    ]
    broken_off(in_s3(proxy, bucket))
    left = proxy.fail_each(requests, turn)
    certificate = landed(in_s3(proxy, bucket))
    assert not left
    assert min(proxy.count(*request) for request in requests) >= 2
    assert certificate.attempts == 2
    assert read(S3Store(client, bucket), certificate) == DATA


def test_each_request_of_azure_that_fails_once_is_repeated(
    azure_proxy: FlakyProxy, azurite: AzuriteServer, container: str
) -> None:
    requests = [("PUT", "comp=blocklist"), ("GET", "comp=blocklist"), ("GET", "archive-")]
    broken_off(in_azure(azure_proxy, azurite, container))
    left = azure_proxy.fail_each(requests, FAULTS.index("refuse"))
    certificate = landed(in_azure(azure_proxy, azurite, container))
    assert not left
    assert min(azure_proxy.count(*request) for request in requests) >= 2
    assert certificate.attempts == 2
    assert read(AzureStore(azurite.client().get_container_client(container)), certificate) == DATA


def test_an_object_that_appeared_though_nobody_was_told_is_taken_up(
    proxy: FlakyProxy, bucket: str, client: Any
) -> None:
    broken_off(in_s3(proxy, bucket))
    proxy.rule = lambda method, path: "lose-answer" if method == "POST" and "uploadId=" in path else None
    with pytest.raises(SinkUnavailableError, match=r"export-1, landing its archive.*complete_multipart_upload"):
        landed(in_s3(proxy, bucket, tries=1))
    assert not [key for key in keys(client, bucket) if key.endswith("_manifest.json")]
    proxy.rule = lambda _method, _path: None
    again = InMemory(DATA)
    certificate = land(LOAD, {}, again, in_s3(proxy, bucket), Options())
    assert again.read_from == 10 * MEBIBYTE - PROVEN  # the last piece is read again, and not sent
    assert read(S3Store(client, bucket), certificate) == DATA
    assert len([key for key in keys(client, bucket) if "archive-" in key]) == 1


def test_a_right_that_is_missing_is_told_and_nothing_is_visible(proxy: FlakyProxy, bucket: str, client: Any) -> None:
    proxy.fail("PUT", "partNumber=2", "deny")
    with pytest.raises(SinkRefusedError, match=rf"export-1, landing its archive from byte {PIECE} .*AccessDenied"):
        landed(in_s3(proxy, bucket))
    assert [key for key in keys(client, bucket) if "_ledger" not in key] == []


@pytest.mark.parametrize(
    ("fault", "error", "told"),
    [
        ("slow-down", SourceUnavailableError, "cannot be read from byte 0 on.*SlowDown"),
        ("deny", SourceRefusedError, "cannot be read from byte 0 on.*AccessDenied.*docs/s3.md"),
    ],
)
def test_a_bucket_that_does_not_give_what_was_landed_is_a_source_that_fails(
    proxy: FlakyProxy, bucket: str, fault: Any, error: Any, told: str
) -> None:
    certificate = landed(in_s3(proxy, bucket))
    store, folder = S3Store(client_for(proxy.endpoint_url), bucket, retries=1), certificate.location.split("/", 3)[3]
    found = find_landed(store, folder)
    archive = LandedArchive(store, found, identity=Identity())
    proxy.rule = lambda _method, path: fault if "archive-" in path else None
    with pytest.raises(error, match=f"(?s){told}"):
        [*archive.read(0)]
    proxy.rule = lambda _method, _path: fault
    with pytest.raises(error, match="get_object"):
        find_landed(store, folder)
    archive.stop()
    with pytest.raises(SourceUnavailableError, match="being stopped"):
        [*archive.read(0)]


def keys(client: Any, bucket: str) -> list[str]:
    return [found["Key"] for found in client.list_objects_v2(Bucket=bucket).get("Contents", [])]
