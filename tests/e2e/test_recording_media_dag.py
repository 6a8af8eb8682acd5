"""The daily DAG of media, run by Airflow against an HTTP Genesys, PostgreSQL and an S3 server."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest
from airflow.sdk import DAG

from airflow_provider_genesys.testing.services import AzuriteServer
from airflow_provider_genesys.transfers.genesys_media_to_azure_blob import GenesysRecordingMediaToAzureBlobOperator
from airflow_provider_genesys.transfers.genesys_media_to_s3 import GenesysRecordingMediaToS3Operator
from demo import media
from tests.support.airflow_home import run_dag, states, xcoms
from tests.support.shipped_dag import shipped_dag

if TYPE_CHECKING:
    from conftest import Warehouse

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)
MEDIA = "/archive/media/"


def run(warehouse: Warehouse) -> Any:
    warehouse.genesys.conversations, warehouse.genesys.sensitive = 30, 0.04
    return run_dag(
        shipped_dag("genesys_recording_media_daily"), DAY + timedelta(days=1, hours=4), s3_bucket=warehouse.bucket
    )


def test_each_recording_of_a_day_is_in_s3_and_has_a_row_and_is_fetched_once(warehouse: Warehouse) -> None:
    first = run(warehouse)
    assert first.state == "success", states(first)
    genesys, objects = warehouse.genesys, warehouse.objects()
    rows = warehouse.query("SELECT media_key, media_bytes, media_sha256, id, conversation_id FROM recording_media")
    assert {(len(objects[key]), hashlib.sha256(objects[key]).hexdigest()) for key, *_ in rows} == {
        (size, sha256) for _, size, sha256, *_ in rows
    }
    assert len(rows) == len(genesys.media.files) > 15
    for key, _, sha256, recording, conversation in rows:
        assert key.startswith(f"recording_media/conversation_id={conversation}/{recording}.")
        described = json.loads(objects[f"{key.rpartition('.')[0]}.metadata.json"])
        assert described["recording"]["id"] == recording
        assert described["files"][0]["sha256"] == sha256
    summary = xcoms(first, "fetch_media")["return_value"]
    assert summary["rules"] == {"left-out": summary["counts"]["dead_letters"]} != {"left-out": 0}
    report = media.collect(warehouse.services(first))
    assert list(report.problems(len(rows) + report.dead_letters)) == []
    report.show()
    fetched = sum(seen.path.startswith(MEDIA) for seen in genesys.requests)
    assert fetched == len(rows)
    assert run(warehouse).state == "success"
    assert sum(seen.path.startswith(MEDIA) for seen in genesys.requests) == fetched
    assert "X-Amz-Signature" not in json.dumps([xcoms(first, task) for task in states(first)], default=str)
    ledger = warehouse.query("SELECT to_jsonb(l)::text FROM genesys_ledger AS l")
    assert "X-Amz-Signature" not in str(ledger)


def test_conversations_come_from_a_query_or_from_what_is_retained_too_and_media_go_to_azure(
    warehouse: Warehouse, azurite: AzuriteServer, container: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse.genesys.conversations, warehouse.genesys.recordings_each = 6, 1
    called = [str(UUID(int=number)) for number in (7, 8, 9)]
    with psycopg.connect(warehouse.dsn) as connection:
        connection.execute("CREATE TABLE calls AS SELECT now() AS at, unnest(%s::text[]) AS conversation_id", [called])
    window: dict[str, Any] = {"window_start": DAY, "window_end": DAY + timedelta(days=1), "batch_poll_interval": 0.05}
    azure = azurite.client().get_container_client(container)
    monkeypatch.setenv("AIRFLOW_CONN_WASB_DEFAULT", json.dumps(azurite.connection()))
    with DAG("media_of_others", schedule=None, params={"days": 30}, render_template_as_native_obj=True) as dag:
        GenesysRecordingMediaToS3Operator(
            task_id="named",
            conversations_sql="SELECT * FROM calls WHERE at > %(start)s -- 100%%",
            conversations_parameters={"start": "{{ data_interval_start }}"},
            s3_bucket=warehouse.bucket,
            **window,
        )
        GenesysRecordingMediaToAzureBlobOperator(
            task_id="retained",
            retention_threshold_days="{{ params.days }}",
            table="retained",
            container_name=container,
            **window,
        )
    done = run_dag(dag, DAY + timedelta(days=1))
    assert done.state == "success", states(done)
    assert sorted(warehouse.query("SELECT conversation_id FROM recording_media")) == [(one,) for one in called]
    rows = warehouse.query("SELECT DISTINCT conversation_id, media_key, media_sha256 FROM retained")
    assert len({conversation for conversation, *_ in rows}) == len(rows) == 6
    for conversation, key, sha256 in rows:
        assert key.startswith(f"recording_media/conversation_id={conversation}/")
        assert hashlib.sha256(azure.download_blob(key).readall()).hexdigest() == sha256
        described = json.loads(azure.download_blob(f"{key.rpartition('.')[0]}.metadata.json").readall())
        assert described["files"][0]["key"] == key
    exports = {xcoms(done, task)["return_value"]["export_id"].partition("-")[0] for task in states(done)}
    assert exports == {"query", "retention"}
    assert not any("/details/jobs" in seen.path for seen in warehouse.genesys.requests)
