"""One day into every sink, some of them from where its archive was landed, run by Airflow on real servers."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG

from airflow_provider_genesys.contracts.contract import RECORDINGS
from airflow_provider_genesys.operators.export import GenesysCreateExportOperator
from airflow_provider_genesys.sensors.export import GenesysExportSensor
from airflow_provider_genesys.testing.services import AzuriteServer, GCSServer
from airflow_provider_genesys.transfers.genesys_to_azure_blob import GenesysExportToAzureBlobOperator
from airflow_provider_genesys.transfers.genesys_to_gcs import GenesysExportToGCSOperator
from airflow_provider_genesys.transfers.genesys_to_postgres import GenesysExportToPostgresOperator
from airflow_provider_genesys.transfers.genesys_to_s3 import GenesysExportToS3Operator
from airflow_provider_genesys.transfers.genesys_to_sqs import GenesysExportToSqsOperator
from tests.sinks.queues import Queues, dynamodb_store
from tests.support.airflow_home import run_dag, states, xcoms

if TYPE_CHECKING:
    from conftest import Warehouse

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)
WINDOW = {"window_start": DAY.isoformat(), "window_end": (DAY + timedelta(days=1)).isoformat()}


@pytest.fixture
def queues(warehouse: Warehouse) -> Queues:
    store = dynamodb_store(warehouse.s3, "genesys_checkpoints")
    store.prepare()
    store.close()
    return Queues(warehouse.s3.endpoint_url)


@pytest.fixture
def blobs(azurite: AzuriteServer, container: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AIRFLOW_CONN_WASB_DEFAULT", json.dumps(azurite.connection()))
    return azurite.client().get_container_client(container)


@pytest.fixture
def in_google(gcs: GCSServer, gcs_bucket: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT", json.dumps(gcs.connection()))
    return gcs_bucket


def without_queues() -> Any:
    """Return the contract as it is after a change: fewer columns."""
    columns = tuple(column for column in RECORDINGS.columns if not column.name.startswith("queue"))
    return replace(RECORDINGS, columns=columns, version=RECORDINGS.version + 1)


def a_dag(bucket: str, container: str, google: str, queues: Queues) -> DAG:
    with DAG("every_sink", schedule=None) as dag:
        create = GenesysCreateExportOperator(task_id="create", **WINDOW)
        wait = GenesysExportSensor(task_id="wait", export_id=create.output, poll_interval=0.05)
        to_azure = {"container_name": container, "blob_prefix": "lake"}
        in_s3 = GenesysExportToS3Operator(
            task_id="land_in_s3", handle=wait.output, s3_bucket=bucket, s3_prefix="raw", output_format="raw"
        )
        in_azure = GenesysExportToAzureBlobOperator(
            task_id="land_in_azure", handle=wait.output, output_format="raw", **to_azure
        )
        GenesysExportToAzureBlobOperator(task_id="to_azure", handle=wait.output, **to_azure)
        in_gcs = GenesysExportToGCSOperator(
            task_id="land_in_gcs", handle=wait.output, output_format="raw", gcs_bucket=google, gcs_prefix="raw"
        )
        GenesysExportToGCSOperator(
            task_id="to_gcs", handle=in_gcs.output, gcs_bucket=google, gcs_prefix="lake", lists=("bigquery",)
        )
        in_azure >> GenesysExportToSqsOperator(
            task_id="to_sqs",
            handle="{{ ti.xcom_pull('land_in_azure')['location'] }}",
            queue_url=queues.records.url,
            dead_letter_queue_url=queues.letters.url,
            checkpoint_conn_id="aws_default",
        )
        GenesysExportToPostgresOperator(
            task_id="to_postgres", handle=in_s3.output, table="genesys_recordings", contract=without_queues()
        )
    return dag


def test_a_day_into_every_sink_and_from_where_it_was_landed(
    warehouse: Warehouse, blobs: Any, container: str, in_google: Any, queues: Queues
) -> None:
    warehouse.genesys.records = 300  # moto takes long to find a message among many
    run = run_dag(a_dag(warehouse.bucket, container, in_google.name, queues), DAY + timedelta(days=1))
    assert set(states(run).values()) == {"success"}, states(run)
    certificates = {name: xcoms(run, name)["return_value"] for name in states(run) if "to_" in name or "land" in name}
    expected = warehouse.genesys.expected()
    broken = sum(expected.broken.values())

    landed = certificates["land_in_s3"]
    [archive] = [body for key, body in warehouse.objects().items() if "archive-" in key]
    assert (landed["contract"], landed["bytes_read"]) == ("raw", len(archive))
    assert landed["location"].startswith(f"s3://{warehouse.bucket}/raw/dt=2026-11-22/")

    [manifest] = [body for key, body in warehouse.objects().items() if key.endswith("_manifest.json")]
    assert b"file_uri" not in manifest
    assert b"Signature" not in manifest

    loads = [certificates[name] for name in ("to_azure", "to_sqs", "to_postgres", "to_gcs")]
    assert [load["counts"]["read"] for load in loads] == [expected.records] * 4
    assert [load["counts"]["dead_letters"] for load in loads] == [broken] * 4
    assert len({(load["export_id"], load["digest"], load["source"]["etag"]) for load in loads}) == 1
    assert [load["delivery"] for load in loads] == ["exactly-once", "at-least-once", "exactly-once", "exactly-once"]

    assert [load["duplicates"] for load in loads] == ["not computed", "not computed", "counted", "not computed"]

    assert len(warehouse.rows("recording_id, duration_ms")) == expected.records - broken
    assert len(queues.records.drain().bodies) == expected.records - broken
    assert len(rows_in(blobs, certificates["to_azure"]["location"])) == expected.records - broken
    [listed] = [json.loads(one.download_as_bytes()) for one in in_google.list_blobs() if "_list-" in one.name]
    assert listed["source_uris"] == [[f"gs://{in_google.name}/{key}" for key in parts_in(in_google)]]
    downloads = [seen for seen in warehouse.genesys.requests if seen.path.startswith("/archive/")]
    assert len(downloads) == 4, "what was landed is read from there"


def parts_in(google: Any) -> list[str]:
    [manifest] = [one for one in google.list_blobs(prefix="lake/") if one.name.endswith("_manifest.json")]
    return [part["key"] for part in json.loads(manifest.download_as_bytes())["parts"]]


def rows_in(blobs: Any, location: str) -> list[bytes]:
    folder = location.split("/", 3)[3]
    manifest = json.loads(blobs.download_blob(f"{folder}_manifest.json").readall())
    bodies = [gzip.decompress(blobs.download_blob(part["key"]).readall()) for part in manifest["parts"]]
    return b"".join(bodies).splitlines()
