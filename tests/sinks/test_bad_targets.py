"""Names that are hostile, too long or lead nowhere: what is written stays where it belongs, errors say what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import ConfigurationError, SinkRefusedError
from airflow_provider_genesys.pipeline.land import land
from airflow_provider_genesys.pipeline.run import Options
from airflow_provider_genesys.sinks.azure_blob import AzureBlobSink
from airflow_provider_genesys.sinks.gcs import GCSSink
from airflow_provider_genesys.sinks.local import LocalSink
from airflow_provider_genesys.sinks.s3 import S3Sink
from airflow_provider_genesys.stores.azure_blob import AzureStore
from airflow_provider_genesys.stores.base import ObjectStore
from airflow_provider_genesys.stores.folder import FolderStore
from airflow_provider_genesys.stores.gcs import GCSStore
from airflow_provider_genesys.stores.s3 import S3Store
from airflow_provider_genesys.testing.services import AzuriteServer, S3Server
from tests.sinks.batches import make_load
from tests.sinks.gcs import CIPHER
from tests.sinks.lake import batches_of, client_for, run
from tests.sinks.queues import Queues, dynamodb_store
from tests.unit.pipeline.sources import InMemory

HOSTILE = [
    "../../elsewhere",
    "/etc/passwd",
    "a\\..\\b",
    "a b?#%&+",
    "_ledger",
    "ü\u202e",
    "line\nbreak",
    "." * 3,
    "x" * 150,
]
ELSEWHERE = ("../../elsewhere", "ü\u202e")
"""What meets other stores than a folder without --long: names are quoted before a store sees them, in the same way."""
PLACES = ("local", "s3", "azure", "gcs")
Place = tuple[ObjectStore, Callable[[str], Any], Callable[[str], Any]]
"""The store, and what makes the sink and the landing below a prefix."""


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "local":
        folder = tmp_path / "raw"
        folder.mkdir()
        sink = LocalSink(folder, dead_letter_raw="keep")
        return FolderStore(tmp_path), lambda _: sink, lambda _: sink.landing()
    if request.param == "s3":
        client, bucket = request.getfixturevalue("client"), request.getfixturevalue("bucket")
        return (
            S3Store(client, bucket),
            lambda prefix: S3Sink(lambda: client, bucket, prefix, dead_letter_raw="keep"),
            lambda prefix: S3Sink(lambda: client, bucket, prefix, dead_letter_raw="keep").landing(),
        )
    if request.param == "gcs":
        gcs_bucket = request.getfixturevalue("gcs_bucket")
        return (
            GCSStore(gcs_bucket),
            lambda prefix: GCSSink(lambda: gcs_bucket, prefix, dead_letter_raw="keep"),
            lambda prefix: GCSSink(lambda: gcs_bucket, prefix, dead_letter_raw="keep", cipher=lambda: CIPHER).landing(),
        )
    blobs = request.getfixturevalue("azurite").client().get_container_client(request.getfixturevalue("container"))
    return (
        AzureStore(blobs),
        lambda prefix: AzureBlobSink(lambda: blobs, prefix, dead_letter_raw="keep"),
        lambda prefix: AzureBlobSink(lambda: blobs, prefix, dead_letter_raw="keep").landing(),
    )


@pytest.mark.parametrize(
    ("place", "name"),
    [
        pytest.param(place, name, marks=[] if place == "local" or name in ELSEWHERE else [pytest.mark.long])
        for place in PLACES
        for name in HOSTILE
    ],
    indirect=["place"],
)
def test_hostile_ids_lead_nowhere_else(place: Place, name: str) -> None:
    store, new_sink, new_landing = place
    load = make_load(name, load_id=name)
    certificate = run(new_sink("raw"), load, batches_of(load, 60, dead={3}))
    archive = land(make_load(name, load_id=f"{name}!"), {}, InMemory(b'{"a": 1}\n'), new_landing("raw"), Options())
    keys = [found.key for found in store.list_objects("")]
    assert len(keys) == 10
    assert all(key.startswith("raw/") and ".." not in key and key.isprintable() for key in keys)
    for done in (certificate, archive):
        assert {part["key"].removeprefix("raw/") for part in done.parts} <= {key.removeprefix("raw/") for key in keys}
        folder = done.location.removeprefix(store.url).lstrip("/").removeprefix("raw/")
        manifest = store.get(f"raw/{folder}_manifest.json")
        assert json.loads(manifest or b"")["export_id"] == name


@pytest.mark.outcome("object stores", "a name that the store does not take", "ConfigurationError")
@pytest.mark.outcome("object stores", "a name that the store does not take", "SinkRefusedError")
@pytest.mark.parametrize("prefix", ["a//b", "../up", "a\x07b", "p" * 1000])
def test_a_prefix_that_makes_no_keys_is_refused_before_anything_is_written(
    client: Any, bucket: str, azurite: AzuriteServer, container: str, prefix: str
) -> None:
    blobs = azurite.client().get_container_client(container)
    for sink in (S3Sink, lambda *_, **more: AzureBlobSink(lambda: blobs, prefix, **more)):
        with pytest.raises(ConfigurationError, match=r"prefix.*(Correct|Shorten) the prefix"):
            sink(lambda: client, bucket, prefix, dead_letter_raw="keep").open(make_load(), restart=False)
    assert "Contents" not in client.list_objects_v2(Bucket=bucket)
    assert list(blobs.list_blobs()) == []


@pytest.mark.parametrize("name", ["UPPER", "ab", "x" * 64, "not/a/bucket"])
def test_a_bucket_or_container_that_cannot_be_is_told(s3: S3Server, azurite: AzuriteServer, name: str) -> None:
    client = client_for(s3.endpoint_url)
    with pytest.raises(SinkRefusedError, match=r"(?s)export-1.*([Ii]nvalid.?[Bb]ucket.?[Nn]ame|Create the bucket)"):
        S3Sink(lambda: client, name, "raw", dead_letter_raw="keep").open(make_load(), restart=False)
    blobs = azurite.client().get_container_client(name)
    with pytest.raises(SinkRefusedError, match=r"export-1.*(C|c)ontainer"):
        AzureBlobSink(lambda: blobs, "raw", dead_letter_raw="keep").open(make_load(), restart=False)


def test_a_right_that_is_missing_in_the_middle_leaves_nothing_that_counts(client: Any, bucket: str) -> None:
    load = make_load()

    def deny(params: dict[str, Any], **_: Any) -> None:
        if "_manifest.json" in params["url_path"]:
            params["url"] = params["url"].replace(bucket, "another-bucket-not-ours")

    client.meta.events.register("before-call.s3.PutObject", deny)
    with pytest.raises(
        SinkRefusedError, match=r"export-1, finishing the load: put_object .*_manifest.json was refused"
    ):
        run(S3Sink(lambda: client, bucket, "raw", dead_letter_raw="keep"), load, batches_of(load, 60))
    keys = [found["Key"] for found in client.list_objects_v2(Bucket=bucket)["Contents"]]
    assert not [key for key in keys if key.endswith("_manifest.json")]


@pytest.mark.parametrize("which", ["records", "letters"])
def test_a_queue_that_is_not_there_is_told_before_anything_is_sent(s3: S3Server, which: str) -> None:
    queues = Queues(s3.endpoint_url)
    gone = getattr(queues, which)
    gone.url += "-gone"
    with pytest.raises(SinkRefusedError, match=r"export-1.*(NonExistentQueue|QueueDoesNotExist).*Create the queue"):
        queues.sink(lambda: dynamodb_store(s3, "unused")).open(make_load(), restart=False)
