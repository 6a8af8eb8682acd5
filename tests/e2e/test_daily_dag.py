"""The DAG that everybody copies, run by Airflow against real PostgreSQL, a real HTTP Genesys and an S3 server."""

from __future__ import annotations

import gzip
import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.airflow_home import states

if TYPE_CHECKING:
    from conftest import Day, Warehouse

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


ROWS = "recording_id, conversation_id, timestamp, duration_ms, queue_id, queue_name, participants, media, metadata"


def test_a_day_arrives_whole_in_both_sinks(day: Day) -> None:
    assert day.states == SUCCESS
    expected = day.warehouse.genesys.expected()
    rows = day.warehouse.rows("recording_id, duration_ms, queue_id, participants, processed_at")
    assert len(rows) == expected.records - sum(expected.broken.values())
    assert all(isinstance(row[3], list) for row in rows)
    records = {record["recordingId"]: record for record in s3_records(day.warehouse)}
    assert {row[0]: row[1:4] for row in rows} == {
        key: (record["durationMs"], record["queueId"], record["participants"]) for key, record in records.items()
    }
    certificate = day.xcoms["certificate"]["return_value"]
    assert certificate["read"] == expected.records
    assert (certificate["window_start"], certificate["window_end"]) == (
        "2026-11-22T00:00:00+00:00",
        "2026-11-23T00:00:00+00:00",
    )
    for counts in certificate["sinks"].values():
        assert counts == {"written": len(rows), "dead_letters": sum(expected.broken.values()), "duplicates": 0}


def test_rejected_records_are_kept_with_their_reason(day: Day) -> None:
    broken = sum(day.warehouse.genesys.expected().broken.values())
    kept = day.warehouse.query("SELECT source_offset, rule, message FROM genesys_dead_letters ORDER BY source_offset")
    bodies = day.warehouse.objects("_dead_letters").values()
    letters = [json.loads(line) for body in bodies for line in body.splitlines()]
    assert len(kept) == len(letters) == broken
    assert {row[1] for row in kept} == {letter["rule"] for letter in letters}
    assert "not-json" in {row[1] for row in kept}


def test_days_loaded_again_change_nothing(warehouse: Warehouse) -> None:
    days = [DAY - timedelta(days=1), DAY]
    for one in days:
        assert states(warehouse.run(one)) == SUCCESS
    rows, records = warehouse.rows(ROWS), s3_records(warehouse)
    assert len(rows) == 2 * (warehouse.genesys.expected().records - 12)
    assert states(warehouse.run(days[0])) == SUCCESS
    assert warehouse.rows(ROWS) == rows
    again = s3_records(warehouse)
    assert [without_processed_at(record) for record in again] == [without_processed_at(record) for record in records]


def without_processed_at(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "processedAt"}


def test_a_json_array_gives_the_same_rows_as_ndjson(warehouse: Warehouse, loaded_day: Day) -> None:
    warehouse.genesys.compression = "gzip"
    assert states(warehouse.run(DAY, file_format="json")) == SUCCESS
    assert warehouse.rows(ROWS) == loaded_day.warehouse.rows(ROWS)


@pytest.mark.parametrize("task", ["load_into_postgres", "load_into_s3"])
def test_the_checkpoint_is_shown_while_and_after_the_task_runs(day: Day, task: str) -> None:
    checkpoint = day.xcoms[task]["checkpoint"]
    handle = day.xcoms["wait_for_export"]["return_value"]
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
    assert checkpoint["record_index"] == day.warehouse.genesys.records


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
