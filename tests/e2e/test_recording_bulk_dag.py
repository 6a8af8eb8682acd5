"""The DAG of recording jobs, run by Airflow against an HTTP Genesys and PostgreSQL."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_genesys.cloud.exports.recording_jobs import PATH
from demo import bulk
from tests.support.airflow_home import run_dag, states, xcoms
from tests.support.shipped_dag import shipped_dag

if TYPE_CHECKING:
    from conftest import Warehouse

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)
COUNTS = (
    "SELECT total_recordings, total_processed_recordings, total_skipped_recordings, explanation FROM recording_bulk"
)


def run(warehouse: Warehouse) -> Any:
    warehouse.genesys.conversations, warehouse.genesys.recordings_each = 40, 1
    dag = shipped_dag("genesys_recording_bulk_export")
    for one in dag.tasks:
        if hasattr(one, "max_poll_interval"):
            one.max_poll_interval = 0.2
    return run_dag(dag, DAY + timedelta(days=3, hours=3), integration_id="integration-1")


def asked(warehouse: Warehouse) -> int:
    """Return how often the jobs were listed."""
    return sum(seen.method == "GET" and seen.path == PATH for seen in warehouse.genesys.requests)


def test_a_day_is_exported_once_and_what_failed_is_rejected(
    warehouse: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    genesys = warehouse.genesys
    genesys.job_polls, genesys.failed_recordings = 2, 3
    first = run(warehouse)
    assert first.state == "success", states(first)
    [job] = genesys.recording_jobs.values()
    interval = job.query["conversationQuery"]["interval"]
    assert interval == "2026-11-22T00:00:00.000Z/2026-11-23T00:00:00.000Z"
    [(total, exported, skipped, explanation)] = warehouse.query(COUNTS)
    assert (total, exported, skipped) == (40, 37, 0)
    assert explanation.startswith("37 of 40 recordings")
    letters = warehouse.query("SELECT stage, rule, count(*) FROM genesys_dead_letters GROUP BY 1, 2")
    assert letters == [("source", "not-exported", 3)]
    summary = xcoms(first, "report")["return_value"]
    assert summary["counts"] == {"read": 4, "written": 1, "dead_letters": 3, "duplicates": 0}
    report = bulk.collect(warehouse.services(first))
    assert list(report.problems(40)) == []
    report.show()
    assert f"recording {report.failed[0]}" in capsys.readouterr().out


def test_the_create_task_waits_for_its_turn_and_the_sensor_starts_the_job(warehouse: Warehouse) -> None:
    genesys = warehouse.genesys
    run(warehouse)
    [done] = genesys.recording_jobs.values()
    for number in range(2):
        other = type(done)(done.query, [], 0, set(), genesys, "COMPLETED", mine=False, id=f"other-{number}")
        other.process()
        other.settings = type(genesys)(job_polls=10)
        genesys.recording_jobs[other.id] = other
    listed = asked(warehouse)

    def end_one_later() -> None:
        while asked(warehouse) < listed + 5:  # three make up a look for room: here the task has looked twice
            time.sleep(0.05)
        genesys.recording_jobs["other-0"].cancel()

    ending = threading.Thread(target=end_one_later)
    ending.start()
    again = run(warehouse)
    ending.join()
    assert again.state == "success", states(again)
    rows = warehouse.query(COUNTS)
    assert sorted(skipped for _, _, skipped, _ in rows) == [0, 40]
