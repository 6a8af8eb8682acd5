"""The daily DAG on a whole Airflow: scheduler, triggerer, LocalExecutor, and task processes that are killed."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from demo.embedded import BUCKET, Embedded, embedded
from demo.standalone import Standalone

DAG = "/dags/genesys_recordings_daily"
BIG, SMALL = 120_000, 2_000
COLUMNS = "recording_id, conversation_id, timestamp, duration_ms, queue_id, participants, media, metadata"


@pytest.fixture(scope="module")
def services() -> Iterator[Embedded]:
    with embedded(records=BIG, broken=50, seed=3, job_seconds=8) as running:
        yield running


@pytest.fixture(scope="module")
def airflow(services: Embedded) -> Iterator[Standalone]:
    with Standalone(services, {"AIRFLOW__CORE__PARALLELISM": "2"}) as running:
        running.wait()
        yield running


def query(dsn: str, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(sql, values).fetchall()


def until(found: Callable[[], Any], *, seconds: float = 120, what: str) -> Any:
    """Return the first result of ``found`` that is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := found():
            return result
        time.sleep(0.1)
    pytest.fail(f"{what} did not happen within {seconds} s")


def kill(services: Embedded, task: str) -> None:
    """Kill the process of a running task as the kernel would."""
    [(pid,)] = query(
        services.metadata_dsn, "SELECT pid FROM task_instance WHERE task_id = %s AND state = 'running'", task
    )
    os.kill(pid, signal.SIGKILL)


def ledger_entries(services: Embedded) -> int:
    listed = services.s3.client().list_objects_v2(Bucket=BUCKET, Prefix="recordings/_ledger/")
    return int(listed["KeyCount"])


def rows_loaded(services: Embedded) -> int:
    if not query(services.postgres.dsn, "SELECT to_regclass('genesys_recordings')")[0][0]:
        return 0
    return int(query(services.postgres.dsn, "SELECT count(*) FROM genesys_recordings")[0][0])


def states(airflow: Standalone, run_id: str) -> dict[str, str]:
    found = airflow.call("GET", f"{DAG}/dagRuns/{run_id}/taskInstances")["task_instances"]
    return {ti["task_id"]: ti["state"] for ti in found}


@pytest.mark.outcome(
    "processes",
    "the task's process is killed (SIGKILL), on a real scheduler",
    "recovers from the last committed batch or part, in the next try",
)
def test_a_killed_load_continues_in_the_next_try_for_both_sinks(airflow: Standalone, services: Embedded) -> None:
    until(lambda: _found(airflow), what="the DAG's parsing")
    airflow.call("PATCH", DAG, json={"is_paused": False})
    run = until(lambda: airflow.call("GET", f"{DAG}/dagRuns")["dag_runs"], what="the scheduled run")[0]
    run_id = run["dag_run_id"]
    until(lambda: states(airflow, run_id).get("wait_for_export") == "deferred", what="the deferral")

    half_way = {
        "load_into_postgres": lambda: rows_loaded(services) > 5_000,
        "load_into_s3": lambda: ledger_entries(services) >= 2,
    }

    def killed() -> bool:
        for task in [task for task, reached in half_way.items() if reached()]:
            kill(services, task)
            del half_way[task]
        return not half_way

    until(killed, what="both loads' half-way")

    def ended() -> dict[str, Any] | None:
        found: dict[str, Any] = airflow.call("GET", f"{DAG}/dagRuns/{run_id}")
        return found if found["state"] in ("success", "failed") else None

    assert until(ended, what="the run's end")["state"] == "success", airflow.log()[-3000:]
    tries = {
        ti["task_id"]: ti["try_number"]
        for ti in airflow.call("GET", f"{DAG}/dagRuns/{run_id}/taskInstances")["task_instances"]
    }
    assert tries["load_into_postgres"] == tries["load_into_s3"] == 2
    ranges = [seen.range for seen in services.genesys.requests if seen.path.startswith("/archive/")]
    resumed = [int(given.removeprefix("bytes=").removesuffix("-")) for given in ranges if given]
    assert len(ranges) == 4
    assert len(resumed) == 2
    assert min(resumed) > 1_000_000
    entry = airflow.call("GET", f"{DAG}/dagRuns/{run_id}/taskInstances/certificate/xcomEntries/return_value")
    certificate = entry["value"] if isinstance(entry["value"], dict) else json.loads(entry["value"])
    assert certificate["read"] == BIG
    assert all(
        counts == {"written": BIG - 50, "dead_letters": 50, "duplicates": 0} for counts in certificate["sinks"].values()
    )
    assert rows_loaded(services) == BIG - 50
    checkpoint = airflow.call("GET", f"{DAG}/dagRuns/{run_id}/taskInstances/load_into_postgres/xcomEntries/checkpoint")
    assert str(BIG) in str(checkpoint["value"])


@pytest.mark.outcome("processes", "a loaded task is cleared", "recovers, loading from the beginning")
def test_a_cleared_task_loads_from_the_beginning_and_changes_nothing(airflow: Standalone, services: Embedded) -> None:
    run_id = airflow.call("GET", f"{DAG}/dagRuns")["dag_runs"][0]["dag_run_id"]
    loaded = (
        f"SELECT md5(string_agg(t::text, '' ORDER BY recording_id)) FROM (SELECT {COLUMNS} FROM genesys_recordings) t"
    )
    before, asked = query(services.postgres.dsn, loaded), len(services.genesys.requests)
    clear = {"dry_run": False, "dag_run_id": run_id, "task_ids": ["load_into_postgres"], "only_failed": False}
    airflow.call("POST", f"{DAG}/clearTaskInstances", json=clear)
    ti = f"{DAG}/dagRuns/{run_id}/taskInstances/load_into_postgres"

    def loaded_again() -> bool:
        found = airflow.call("GET", ti)
        return bool(found["try_number"] == 3 and found["state"] == "success")

    until(loaded_again, what="the cleared task's end")
    fetched = [seen for seen in list(services.genesys.requests)[asked:] if seen.path.startswith("/archive/")]
    assert [seen.range for seen in fetched] == [None]
    assert query(services.postgres.dsn, loaded) == before


@pytest.mark.outcome("processes", "days are backfilled, and again", "recovers")
def test_a_backfill_and_its_repetition_give_the_same_rows(airflow: Standalone, services: Embedded) -> None:
    services.genesys.records, services.genesys.broken = SMALL, 5
    services.genesys.job_seconds = 0
    backfill(airflow, "none")
    first = days_loaded(services)
    assert len(first) == 3 * (SMALL - 5)
    backfill(airflow, "completed")
    assert days_loaded(services) == first


def backfill(airflow: Standalone, reprocess: str) -> None:
    """Backfill three days, and wait for the end."""
    asked = {
        "dag_id": "genesys_recordings_daily",
        "from_date": "2026-11-10T00:00:00Z",
        "to_date": "2026-11-12T00:00:00Z",
        "reprocess_behavior": reprocess,
        "max_active_runs": 2,
        "dag_run_conf": {},
    }
    number = airflow.call("POST", "/backfills", json=asked)["id"]
    until(lambda: airflow.call("GET", f"/backfills/{number}")["completed_at"], what="the backfill's end")
    found = airflow.call("GET", f"{DAG}/dagRuns", params={"run_type": "backfill"})["dag_runs"]
    assert [run["state"] for run in found] == ["success"] * 3


def days_loaded(services: Embedded) -> list[tuple[Any, ...]]:
    return query(
        services.postgres.dsn,
        f"SELECT {COLUMNS} FROM genesys_recordings WHERE timestamp < '2026-11-14' ORDER BY recording_id",
    )


def _found(airflow: Standalone) -> bool:
    return any(dag["dag_id"] == "genesys_recordings_daily" for dag in airflow.call("GET", "/dags")["dags"])
