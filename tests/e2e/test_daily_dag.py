"""The DAG that everybody copies, run by Airflow against real PostgreSQL, a real HTTP Genesys and an S3 server."""

from __future__ import annotations

import gzip
import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.airflow_home import states, xcoms

if TYPE_CHECKING:
    from conftest import Warehouse

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)
SUCCESS = dict.fromkeys(
    ["create_export", "wait_for_export", "load_into_postgres", "load_into_s3", "certificate"], "success"
)


def s3_records(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Every record of the parts that the manifests list."""
    objects = warehouse.objects()
    manifests = [json.loads(body) for key, body in objects.items() if key.endswith("_manifest.json")]
    keys = [part["key"] for manifest in manifests for part in manifest["parts"]]
    return [json.loads(line) for key in keys for line in gzip.decompress(objects[key]).splitlines()]


def test_a_day_arrives_whole_in_both_sinks(warehouse: Warehouse) -> None:
    warehouse.genesys.job_polls = 3
    run = warehouse.run(DAY)
    assert states(run) == SUCCESS
    expected = warehouse.genesys.expected()
    rows = warehouse.rows("recording_id, duration_ms, queue_id, participants, processed_at")
    assert len(rows) == expected.records - sum(expected.broken.values())
    assert all(isinstance(row[3], list) for row in rows)
    records = {record["recordingId"]: record for record in s3_records(warehouse)}
    assert {row[0]: row[1:4] for row in rows} == {
        key: (record["durationMs"], record["queueId"], record["participants"]) for key, record in records.items()
    }
    certificate = xcoms(run, "certificate")["return_value"]
    assert certificate["read"] == expected.records
    assert (certificate["window_start"], certificate["window_end"]) == (
        "2026-11-22T00:00:00+00:00",
        "2026-11-23T00:00:00+00:00",
    )
    for counts in certificate["sinks"].values():
        assert counts == {"written": len(rows), "dead_letters": sum(expected.broken.values()), "duplicates": 0}


def test_rejected_records_are_kept_with_their_reason(warehouse: Warehouse) -> None:
    warehouse.run(DAY)
    broken = sum(warehouse.genesys.expected().broken.values())
    kept = warehouse.query("SELECT source_offset, rule, message FROM genesys_dead_letters ORDER BY source_offset")
    letters = [json.loads(line) for body in warehouse.objects("_dead_letters").values() for line in body.splitlines()]
    assert len(kept) == len(letters) == broken
    assert {row[1] for row in kept} == {letter["rule"] for letter in letters}
    assert "not-json" in {row[1] for row in kept}


def test_three_days_loaded_again_change_nothing(warehouse: Warehouse) -> None:
    days = [DAY - timedelta(days=offset) for offset in (2, 1, 0)]
    columns = (
        "recording_id, conversation_id, timestamp, duration_ms, queue_id, queue_name, participants, media, metadata"
    )
    for day in days:
        assert states(warehouse.run(day)) == SUCCESS
    rows, records = warehouse.rows(columns), s3_records(warehouse)
    assert len(rows) == 3 * (warehouse.genesys.expected().records - 12)
    for day in days:
        assert states(warehouse.run(day)) == SUCCESS
    assert warehouse.rows(columns) == rows
    again = s3_records(warehouse)
    assert [without_processed_at(record) for record in again] == [without_processed_at(record) for record in records]


def without_processed_at(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "processedAt"}


def test_a_json_array_gives_the_same_rows_as_ndjson(warehouse: Warehouse) -> None:
    warehouse.run(DAY)
    rows = warehouse.rows("recording_id, duration_ms, participants, metadata")
    warehouse.genesys.compression = "gzip"
    assert states(warehouse.run(DAY, file_format="json")) == SUCCESS
    assert warehouse.rows("recording_id, duration_ms, participants, metadata") == rows


@pytest.mark.parametrize("task", ["load_into_postgres", "load_into_s3"])
def test_the_checkpoint_is_shown_while_and_after_the_task_runs(warehouse: Warehouse, task: str) -> None:
    run = warehouse.run(DAY)
    checkpoint = xcoms(run, task)["checkpoint"]
    handle = xcoms(run, "wait_for_export")["return_value"]
    assert list(checkpoint)[:4] == ["percent", "records", "per_second", "seconds_left"]  # what people read comes first
    assert set(checkpoint) - {"percent", "records", "per_second", "seconds_left"} == {
        "kind",
        "window_start",
        "window_end",
        "byte_offset",
        "record_index",
        "last_record_id",
        "committed_at",
        "file_uri",
        "expires_at",
    }
    assert checkpoint["file_uri"] == handle["file_uri"]
    assert checkpoint["byte_offset"] == handle["size"]
    assert checkpoint["record_index"] == warehouse.genesys.records


def test_an_export_that_fails_ends_the_run_with_its_reason(
    warehouse: Warehouse, capfd: pytest.CaptureFixture[str]
) -> None:
    warehouse.genesys.outcome = "FAILED"
    run = warehouse.run(DAY)
    assert states(run)["wait_for_export"] == "failed"
    assert states(run)["load_into_postgres"] == "upstream_failed"
    assert "FAILED" in "".join(capfd.readouterr())


def test_a_window_without_length_is_an_error_that_says_so(
    warehouse: Warehouse, capfd: pytest.CaptureFixture[str]
) -> None:
    run = warehouse.run(DAY, window_start="2026-11-22T00:00:00Z", window_end="2026-11-22T00:00:00Z")
    assert states(run)["create_export"] == "failed"
    assert "is empty" in "".join(capfd.readouterr())


def test_an_empty_export_is_no_success(warehouse: Warehouse, capfd: pytest.CaptureFixture[str]) -> None:
    warehouse.genesys.records = 0
    warehouse.genesys.broken = 0
    run = warehouse.run(DAY)
    assert states(run)["load_into_postgres"] == "failed"
    assert "allow_empty=True" in "".join(capfd.readouterr())
    assert not warehouse.query("SELECT 1 FROM genesys_ledger WHERE state = 'complete'")
