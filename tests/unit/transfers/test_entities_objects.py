"""Listings loaded as snapshots into real object stores, S3 and Azure Blob."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from airflow.exceptions import AirflowFailException

from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from airflow_provider_genesys.transfers.genesys_entities_to_azure_blob import GenesysEntitiesToAzureBlobOperator
from airflow_provider_genesys.transfers.genesys_entities_to_gcs import GenesysEntitiesToGCSOperator
from airflow_provider_genesys.transfers.genesys_entities_to_s3 import GenesysEntitiesToS3Operator
from tests.sinks.lake import client_for
from tests.support.task_context import run
from tests.unit.transfers.listings import fail_below, genesys, members, on

__all__ = ["genesys"]


@dataclass
class Store:
    """An object store, and how listings are loaded into it."""

    operator: type[Any]
    place: dict[str, str]
    get: Callable[[str], bytes]
    list: Callable[[], list[str]]

    def load(self, entity: str, day: int, **options: Any) -> dict[str, Any]:
        given = {"dead_letter_raw": "drop", "output_format": "ndjson", **self.place, **options}
        return dict(run(self.operator(task_id="load", entity=entity, **given), on(day)))

    def pointer(self, entity: str) -> dict[str, Any]:
        return dict(json.loads(self.get(f"raw/{entity}/_latest.json")))

    def snapshot(self, entity: str) -> list[dict[str, Any]]:
        """Return the rows of the newest complete snapshot."""
        manifest = json.loads(self.get(self.pointer(entity)["manifest"].partition("/raw/")[2].join(["raw/", ""])))
        return [json.loads(line) for part in manifest["parts"] for line in self.get(part["key"]).splitlines()]


@pytest.fixture(params=["s3", "azure", "gcs"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Store:
    get = request.getfixturevalue
    if request.param == "s3":
        bucket, server = get("bucket"), get("s3")
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(server.connection()))
        client = client_for(server.endpoint_url)
        return Store(
            GenesysEntitiesToS3Operator,
            {"s3_bucket": bucket, "s3_prefix": "raw"},
            lambda key: bytes(client.get_object(Bucket=bucket, Key=key)["Body"].read()),
            lambda: [found["Key"] for found in client.list_objects_v2(Bucket=bucket)["Contents"]],
        )
    if request.param == "gcs":
        bucket = get("gcs_bucket")
        monkeypatch.setenv("AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT", json.dumps(get("gcs").connection()))
        return Store(
            GenesysEntitiesToGCSOperator,
            {"gcs_bucket": bucket.name, "gcs_prefix": "raw"},
            lambda key: bytes(bucket.blob(key).download_as_bytes()),
            lambda: [blob.name for blob in bucket.list_blobs()],
        )
    container, azurite = get("container"), get("azurite")
    monkeypatch.setenv("AIRFLOW_CONN_WASB_DEFAULT", json.dumps(azurite.connection()))
    blobs = azurite.client().get_container_client(container)
    return Store(
        GenesysEntitiesToAzureBlobOperator,
        {"container_name": container, "blob_prefix": "raw"},
        lambda key: bytes(blobs.download_blob(key).readall()),
        lambda: list(blobs.list_blob_names()),
    )


def test_a_run_has_one_snapshot_and_the_pointer_names_the_newest(genesys: FakeGenesys, store: Store) -> None:
    table = genesys.listings.organisation.table("queues")
    for day in (0, 2, 1):
        table.create(f"Queue of day {day}")
        summary = store.load("queues", day)
        pointer = store.pointer("queues")
        assert (pointer["export_id"], pointer["submitted_at"]) == (f"queues@day-{day}", summary["submitted_at"])
        assert pointer["rows"] == summary["counts"]["written"] == len(table)
        assert {row["id"]: row["name"] for row in store.snapshot("queues")} == {one.id: one.name for one in table}
    assert len({key.split("/")[2] for key in store.list() if key.startswith("raw/queues/dt=")}) == 3


def test_a_walk_that_began_before_the_newest_snapshot_leaves_the_pointer(genesys: FakeGenesys, store: Store) -> None:
    last = max(queue.id for queue in genesys.listings.organisation.table("queues"))
    fail_below(genesys, last)
    settings: dict[str, Any] = {"part_size": 500, "page_size": 5, "retries": 2, "on_clear": "resume"}
    with pytest.raises(AirflowFailException, match="409"):
        store.load("queue_members", 0, **settings)
    store.load("queue_members", 1, **settings)
    asked = len(genesys.requests)
    summary = store.load("queue_members", 0, **settings)
    assert len(genesys.requests) - asked < 8  # it went on near the end
    assert summary["attempts"] == 2
    pointer = store.pointer("queue_members")
    assert pointer["export_id"] == "queue_members@day-1"
    assert summary["submitted_at"] < pointer["submitted_at"]
    assert {row["key"] for row in store.snapshot("queue_members")} == members(genesys)


def test_a_listing_has_no_archive_to_land(genesys: FakeGenesys, store: Store) -> None:
    with pytest.raises(AirflowFailException, match="raw"):
        store.load("queues", 0, output_format="raw")
