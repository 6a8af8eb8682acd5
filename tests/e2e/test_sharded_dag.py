"""The DAG that loads an archive by several mapped tasks, run by Airflow."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from tests.support.airflow_home import run_dag, xcoms
from tests.support.shipped_dag import shipped_dag

if TYPE_CHECKING:
    from conftest import Day, Warehouse

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)
COLUMNS = "recording_id, conversation_id, timestamp, duration_ms, queue_id, participants, media, metadata"


def run(warehouse: Warehouse, **conf: Any) -> Any:
    dag = shipped_dag("genesys_recordings_sharded")
    return run_dag(dag, DAY + timedelta(days=1), s3_bucket=warehouse.bucket, **conf)


def ended(run: Any) -> dict[str, list[str]]:
    """States of the tasks, those of mapped ones in their order."""
    found: dict[str, list[str]] = {}
    for task in sorted(run.get_task_instances(), key=lambda task: task.map_index):
        found.setdefault(task.task_id, []).append(task.state)
    return found


def manifest(warehouse: Warehouse) -> dict[str, Any]:
    [body] = [body for key, body in warehouse.objects().items() if key.endswith("/_manifest.json")]
    return json.loads(body)


def test_an_archive_is_loaded_by_several_tasks_as_by_one(warehouse: Warehouse, loaded_day: Day) -> None:
    length = manifest(loaded_day.warehouse)["source"]["length"]

    done = run(warehouse, shard_gb=length / 3.5 / 1e9)

    assert ended(done)["load_into_postgres"] == ended(done)["load_into_s3"] == ["success"] * 3
    assert warehouse.rows(COLUMNS) == loaded_day.warehouse.rows(COLUMNS)
    certificate = xcoms(done, "certificate")["return_value"]
    assert certificate["read"] == 1_200
    for counts in certificate["sinks"].values():
        assert counts == {"written": 1_188, "dead_letters": 12, "duplicates": 0}
    in_s3 = manifest(warehouse)
    [(in_postgres,)] = warehouse.query("SELECT certificate FROM genesys_ledger WHERE shard = 0")
    assert in_s3["digest"] == in_postgres["digest"] == certificate["digest"]
    assert [one["end"] for one in in_s3["shards"]][-1] == length


def test_a_short_archive_is_loaded_by_one_task(warehouse: Warehouse) -> None:
    done = run(warehouse)
    assert ended(done)["load_into_postgres"] == ended(done)["load_into_s3"] == ["success"]
    assert xcoms(done, "plan_shards")["return_value"] == [None]
    assert xcoms(done, "certificate")["return_value"]["read"] == 1_200
