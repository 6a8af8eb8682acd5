"""Azure Blob, on Azurite: what its faults lead to, and what is left behind."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas

from airflow_provider_genesys.exceptions import SinkRefusedError, SinkUnavailableError
from airflow_provider_genesys.sinks.azure_blob import AzureBlobSink
from airflow_provider_genesys.stores import azure_blob as azure_store
from airflow_provider_genesys.stores import piece_writer
from airflow_provider_genesys.testing.services import AzuriteServer
from airflow_provider_genesys.testing.services.azure import connection_string
from airflow_provider_genesys.testing.sink_conformance.source import written
from tests.sinks.batches import LENGTH, make_batches, make_load, recording_row
from tests.sinks.flaky import FAULTS, SHORT_STALL, FlakyProxy, flaky_proxy
from tests.sinks.lake import CUT, MEBIBYTE, batches_of, ids, run
from tests.support.watching import until

LOAD = make_load()
PART = "-000000000120000-"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piece_writer, "PIECE", MEBIBYTE)


@pytest.fixture
def client(azurite: AzuriteServer, container: str) -> Any:
    return azurite.client().get_container_client(container)


@pytest.fixture
def proxy(azurite: AzuriteServer) -> Iterator[FlakyProxy]:
    with flaky_proxy(azurite.account_url, SHORT_STALL) as running:
        yield running


@pytest.fixture
def through_proxy(proxy: FlakyProxy, azurite: AzuriteServer, container: str) -> Any:
    account = f"{proxy.endpoint_url}/{azurite.account}"
    return BlobServiceClient.from_connection_string(connection_string(account)).get_container_client(container)


def sink_on(client: Any, **settings: Any) -> AzureBlobSink:
    chosen = {"prefix": "raw", "part_size": CUT, "dead_letter_raw": "keep", **settings}
    return AzureBlobSink(lambda: client, **chosen)


def bulky(records: int, *, size: int) -> Any:
    """Rows of a mebibyte each, so that a part is staged in several blocks."""
    return make_batches(LOAD, records, size=size, row=partial(recording_row, metadata=b'"%s"' % (b"x" * MEBIBYTE)))


def in_blocks(client: Any, **settings: Any) -> AzureBlobSink:
    return sink_on(client, output_format="ndjson", part_size=20 * LENGTH, **settings)


def read(client: Any, location: str) -> list[str]:
    """Read a load as docs/azure-blob.md tells readers to."""
    page = (Path(__file__).parents[2] / "docs" / "azure-blob.md").read_text()
    shown: dict[str, Any] = {}
    [code] = [code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "def rows" in code]
    exec(code, shown)  # noqa: S102 - our own page
    service = type("Service", (), {"get_container_client": staticmethod(lambda _: client)})
    return [row["recordingId"] for row in shown["rows"](service, location)]


def names(client: Any, **options: Any) -> list[str]:
    return [blob.name for blob in client.list_blobs(name_starts_with="raw", **options)]


@pytest.mark.outcome(
    "object stores", "any request is refused, times out, meets 500 or SlowDown, or loses its answer", "recovers"
)
@pytest.mark.parametrize("turn", range(len(FAULTS)))
def test_each_request_that_fails_once_is_repeated(
    client: Any, through_proxy: Any, proxy: FlakyProxy, turn: int
) -> None:
    requests = [
        ("PUT", "/_ledger/load-1/00000/00000001.json"),  # claim
        ("PUT", "/_ledger/load-1/00000/00000002.json"),  # entry behind a part
        ("PUT", PART),
        ("PUT", "_manifest.json"),
        ("GET", "/_ledger/load-1/00000/00000002.json"),  # fence
        ("GET", "comp=list"),
    ]
    left = proxy.fail_each(requests, turn)
    certificate = run(sink_on(through_proxy), LOAD, batches_of(LOAD, 130))
    assert not left
    assert min(proxy.count(*request) for request in requests) >= 2
    assert read(client, certificate.location) == ids(range(130))


@pytest.mark.outcome(
    "object stores", "any request is refused, times out, meets 500 or SlowDown, or loses its answer", "recovers"
)
@pytest.mark.parametrize("turn", range(len(FAULTS)))
def test_a_block_and_its_commit_that_fail_once_are_repeated(
    client: Any, through_proxy: Any, proxy: FlakyProxy, turn: int
) -> None:
    requests = [("PUT", "comp=block&"), ("PUT", "comp=blocklist")]
    left = proxy.fail_each(requests, turn)
    assert run(in_blocks(through_proxy), LOAD, bulky(6, size=3)).counts.written == 6
    assert not left
    assert min(proxy.count(*request) for request in requests) >= 2
    assert names(client, include=["uncommittedblobs"]) == names(client)


@pytest.mark.outcome("object stores", "an upload was completed, and its answer never comes", "recovers")
def test_a_commit_whose_answers_are_all_lost_is_read_back(client: Any, through_proxy: Any, proxy: FlakyProxy) -> None:
    proxy.rule = lambda method, path: "lose-answer" if method == "PUT" and "comp=blocklist" in path else None
    assert run(in_blocks(through_proxy, retries=1), LOAD, bulky(6, size=3)).counts.written == 6


@pytest.mark.outcome("object stores", "an unfinished upload of an earlier attempt", "recovers")
def test_blocks_of_an_attempt_that_died_are_thrown_away_by_the_next(client: Any) -> None:
    dying = in_blocks(client)
    dying.open(LOAD, restart=False)
    dying.write(next(bulky(3, size=3)))
    # Its threads live on here: all three blocks are there before the next attempt begins.
    [unfinished] = set(names(client, include=["uncommittedblobs"])) - set(names(client))
    until(lambda: len(client.get_blob_client(unfinished).get_block_list("uncommitted")[1]) == 3, what="three blocks")

    sink_on(client).open(LOAD, restart=True)

    assert names(client, include=["uncommittedblobs"]) == names(client)


@pytest.mark.outcome("object stores", "somebody holds a lease on a blob", "SinkRefusedError")
def test_a_lease_is_told(client: Any) -> None:
    sink = sink_on(client)
    sink.open(LOAD, restart=False)
    batches = list(batches_of(LOAD, 100))
    written(sink, batches[0])
    written(sink, batches[1])
    [part] = [name for name in names(client) if name.endswith(".gz")]
    lease = client.get_blob_client(part).acquire_lease(-1)
    sink.abort()
    with pytest.raises(SinkRefusedError, match=r"export-1.*LeaseIdMissing.*az storage blob lease break"):
        run(sink_on(client), LOAD, batches, restart=True)
    lease.release()


@pytest.mark.outcome("object stores", "more blocks than Azure takes", "SinkRefusedError")
def test_more_blocks_than_a_blob_takes_are_refused(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(azure_store, "MOST_BLOCKS", 2)
    with pytest.raises(SinkRefusedError, match=r"export-1.*more than 2 blocks.*smaller part_size"):
        run(in_blocks(client), LOAD, bulky(6, size=3))
    assert not [name for name in names(client) if name.endswith(".ndjson")]


@pytest.mark.outcome("object stores", "no such container", "SinkRefusedError")
def test_a_container_that_is_not_there_is_refused_with_what_to_do(azurite: AzuriteServer) -> None:
    with pytest.raises(SinkRefusedError, match=r"export-1.*ContainerNotFound.*Create the container"):
        sink_on(azurite.client().get_container_client("nowhere")).open(LOAD, restart=False)


@pytest.mark.outcome("object stores", "wrong credentials, or no right to the bucket", "SinkRefusedError")
def test_a_wrong_key_is_refused_with_what_to_do(azurite: AzuriteServer, container: str) -> None:
    wrong = azurite.connection_string.replace("Eby8", "AAAA")
    client = BlobServiceClient.from_connection_string(wrong).get_container_client(container)
    with pytest.raises(SinkRefusedError, match=r"export-1.*Correct the account key"):
        sink_on(client).open(LOAD, restart=False)


def with_sas(azurite: AzuriteServer, container: str, url: str, *, hours: int = 1, rights: str = "racwdl") -> Any:
    expiry = datetime.now(timezone.utc) + timedelta(hours=hours)
    rights_ = ContainerSasPermissions.from_string(rights)
    start = expiry - timedelta(hours=5)
    sas = generate_container_sas(
        azurite.account, container, azurite.key, permission=rights_, expiry=expiry, start=start
    )
    return BlobServiceClient(url, credential=sas).get_container_client(container), sas


def test_a_load_needs_no_more_than_a_sas_with_the_rights_of_the_docs(azurite: AzuriteServer, container: str) -> None:
    client, _ = with_sas(azurite, container, azurite.account_url)
    assert run(sink_on(client), LOAD, batches_of(LOAD, 130)).counts.written == 130


@pytest.mark.outcome("object stores", "a right is missing, or credentials have expired", "SinkRefusedError")
@pytest.mark.parametrize(
    ("sas", "advice"),
    [({"hours": -1}, "not valid yet or no longer|Correct the account key"), ({"rights": "rl"}, "docs/azure-blob.md")],
)
def test_a_sas_that_is_over_or_lacks_a_right_is_refused(
    azurite: AzuriteServer, container: str, sas: dict[str, Any], advice: str
) -> None:
    client, _ = with_sas(azurite, container, azurite.account_url, **sas)
    with pytest.raises(SinkRefusedError, match=f"export-1.*({advice})"):
        sink_on(client).open(LOAD, restart=False)


def test_the_signature_of_a_sas_is_in_no_message_and_no_log(
    azurite: AzuriteServer, container: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client, sas = with_sas(azurite, container, f"http://127.0.0.1:9/{azurite.account}")
    with pytest.raises(SinkUnavailableError) as raised:
        sink_on(client, retries=1).open(LOAD, restart=False)
    signature = sas.partition("sig=")[2].partition("&")[0]
    told, error = caplog.text, raised.value
    while error:
        told += str(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert signature not in told
