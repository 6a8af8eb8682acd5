"""The daily DAG on a whole Airflow: scheduler, triggerer, LocalExecutor, and task processes that are killed."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
from airflow import __version__ as airflow_version
from airflow import sdk

from airflow_provider_genesys.testing.fake_genesys.archive import Archive
from demo.embedded import BUCKET, ROOT, Embedded, embedded
from demo.standalone import Standalone
from tests.support.watching import COLUMNS, query, until

PARTITIONS = hasattr(sdk, "CronPartitionTimetable")
FIRST_PARTITION = 9 if airflow_version.startswith("3.2.") else 10
"""Of a backfill from the 10th with ``run_offset=-1``: Airflow 3.2 counts when runs are due, 3.3 what they are of."""
DAG = "/dags/genesys_recordings_daily"
REVIEW = "/dags/contract_review"
BIG, SMALL = 8_000, 500
PART = 2**20
DIGEST = f"""
SELECT count(*), md5(string_agg(t::text, '' ORDER BY recording_id))
FROM (SELECT {COLUMNS} FROM genesys_recordings WHERE timestamp >= %s AND timestamp < %s) t
"""

POLICY = f"""
from importlib import import_module

import sys

if "scheduler" in sys.argv or "standalone" in sys.argv:
    events = import_module("airflow.utils.event_scheduler").EventScheduler
    regularly = events.call_regular_interval

    def soon(self, delay, action, *arguments, **more):
        backfills = action.__name__ == "_mark_backfills_complete"
        regularly(self, 1 if backfills else delay, action, *arguments, **more)

    events.call_regular_interval = soon

def task_policy(task):
    import_module("airflow_provider_genesys.source.download")._BACKOFF = (0.1, 0.1)
    import_module("airflow_provider_genesys.cloud.http.client")._backoff = import_module("tenacity").wait_fixed(0.1)
    if hasattr(task, "poll_interval"):
        task.poll_interval = 0.2
    if hasattr(task, "outage_pause"):
        task.outage_pause = (4.0, 4.0)
    if hasattr(task, "part_size"):
        task.part_size = {PART}
        task.processes = 2
"""
"""A cluster policy, as $AIRFLOW_HOME/config may hold one: all pauses are short, and loads into S3 have workers.

Whether a backfill has ended the scheduler looks each second, not twice a minute.
"""

SELDOM = 0.5
"""Seconds between two looks at what stays: each is a request to an API server that has tasks to serve."""
BATCHES = "SELECT checkpoint FROM genesys_ledger WHERE state = 'loading' AND checkpoint IS NOT NULL"


@pytest.fixture(scope="module")
def services() -> Iterator[Embedded]:
    with embedded(records=BIG, broken=50, seed=3, job_seconds=0) as running:
        yield running


class Gate:
    """Lets the first half of each archive out, and the second when it is open."""

    def __init__(self) -> None:
        self._opened = threading.Event()
        self._opened.set()

    def close(self) -> None:
        self._opened.clear()

    def open(self) -> None:
        self._opened.set()

    def send(self, archive: Archive, connection: socket.socket, start: int, stop: int) -> None:
        half = max(start, archive.size // 2)
        for begin, end in (start, half), (half, stop):
            for chunk in archive.chunks(begin, end):
                connection.sendall(chunk)
            # It can be read when it has ended.
            while not (self._opened.is_set() or select.select([connection], [], [], 0.05)[0]):
                pass


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    made = Gate()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Archive, "send_to", lambda *given: made.send(*given))  # noqa: PLW0108 - it is bound to the archive
        yield made


class Forked(Standalone):
    program = (str(ROOT / "tests" / "support" / "forked_airflow.py"),)

    def fork_triggerer(self) -> None:
        """Start a triggerer in the place of the one that was killed; it ends with the rest."""
        os.kill(self._parts["standalone"].pid, signal.SIGUSR1)


@pytest.fixture(scope="module")
def airflow(services: Embedded) -> Iterator[Forked]:
    (services.home / "config").mkdir()
    (services.home / "config" / "airflow_local_settings.py").write_text(POLICY)
    settings = {
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "0",  # from which Airflow makes a second
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        # A triggerer that is silent for so long has its triggers taken over.
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(_bundles(services)),
    }
    with Forked(services, settings) as running:
        running.wait(600)
        yield running
        running.kill("standalone")  # what it would take its leave of is removed in a moment


def _bundles(services: Embedded) -> list[dict[str, Any]]:
    """The daily DAG as it is shipped, and those of the docs that are scheduled on drift and on partitions."""
    shipped, folder = services.home / "shipped", services.home / "reviews"
    shipped.mkdir()
    shutil.copy(ROOT / "dags" / "genesys_recordings_daily.py", shipped)
    folder.mkdir()
    (folder / "contract_review.py").write_text(_block("contracts.md", "contract_review"))
    if PARTITIONS:
        (folder / "partitions.py").write_text(_block("operators.md", "recordings_by_partition"))
    kind = "airflow.dag_processing.bundles.local.LocalDagBundle"
    paths = {"dags-folder": shipped, "reviews": folder}
    return [{"name": name, "classpath": kind, "kwargs": {"path": str(path)}} for name, path in paths.items()]


def _block(page: str, dag_id: str) -> str:
    """The code of a DAG in the docs."""
    text = (Path(__file__).parents[2] / "docs" / page).read_text()
    [code] = [one for one in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if f'"{dag_id}"' in one]
    return str(code)


def kill(services: Embedded, task: str) -> list[psutil.Process]:
    """Kill the process of a running task as the kernel would; return the processes that it had started."""
    [(pid,)] = query(
        services.metadata_dsn, "SELECT pid FROM task_instance WHERE task_id = %s AND state = 'running'", task
    )
    started = psutil.Process(pid).children(recursive=True)
    os.kill(pid, signal.SIGKILL)
    return started


def kill_triggerer(airflow: Standalone) -> None:
    """Kill the triggerer, which nobody starts again, and what it has started.

    Its log server would hold its connection to the database open, and so the locks of a transaction that broke off.
    """
    running = [psutil.Process(pid) for pid in airflow.processes("triggerer")]
    assert running
    for process in {*running, *(child for one in running for child in one.children(recursive=True))}:
        process.kill()


def clear(airflow: Standalone, run_id: str, task: str) -> None:
    wanted = {"dry_run": False, "dag_run_id": run_id, "task_ids": [task], "only_failed": False}
    airflow.call("POST", f"{DAG}/clearTaskInstances", json=wanted)


def tries(services: Embedded, run_id: str) -> dict[str, tuple[int, str]]:
    """Return each task's try number and state. The API server, which would tell both, has tasks to serve."""
    found = query(
        services.metadata_dsn, "SELECT task_id, try_number, state FROM task_instance WHERE run_id = %s", run_id
    )
    return {task: (number, state) for task, number, state in found}


def states(services: Embedded, run_id: str) -> dict[str, str]:
    return {task: state for task, (_, state) in tries(services, run_id).items()}


def ledger_entries(services: Embedded) -> int:
    listed = services.s3.client().list_objects_v2(Bucket=BUCKET, Prefix="recordings/_ledger/")
    return int(listed["KeyCount"])


def rows_loaded(services: Embedded) -> int:
    if not query(services.postgres.dsn, "SELECT to_regclass('genesys_recordings')")[0][0]:
        return 0
    return int(query(services.postgres.dsn, "SELECT count(*) FROM genesys_recordings")[0][0])


@pytest.mark.outcome(
    "processes",
    "the task's process is killed (SIGKILL), on a real scheduler",
    "recovers from the last committed batch or part, in the next try",
)
def test_a_killed_load_continues_in_the_next_try_for_both_sinks(
    airflow: Standalone, services: Embedded, gate: Gate
) -> None:
    gate.close()
    services.genesys.job_seconds = 3_600
    until(lambda: _found(airflow), pause=SELDOM, what="the DAG's parsing")
    for dag in (DAG, REVIEW):
        airflow.call("PATCH", dag, json={"is_paused": False})
    run = until(lambda: airflow.call("GET", f"{DAG}/dagRuns")["dag_runs"], pause=SELDOM, what="the scheduled run")[0]
    run_id = run["dag_run_id"]
    until(lambda: states(services, run_id).get("wait_for_export") == "deferred", what="the deferral")
    services.genesys.job_seconds = 0

    half_way = {
        "load_into_postgres": lambda: rows_loaded(services) > 0,
        "load_into_s3": lambda: ledger_entries(services) >= 2,
    }

    workers: list[psutil.Process] = []

    def killed() -> bool:
        for task in [task for task, reached in half_way.items() if reached()]:
            workers.extend(kill(services, task))
            del half_way[task]
        return not half_way

    until(killed, what="both loads' half-way")
    gate.open()
    assert len(workers) == 2, "those of the load into S3"
    assert not psutil.wait_procs(workers, timeout=60)[1], "they end with their task"

    def ended() -> str | None:
        [(state,)] = query(services.metadata_dsn, "SELECT state FROM dag_run WHERE run_id = %s", run_id)
        return state if state in ("success", "failed") else None

    assert until(ended, pause=SELDOM, what="the run's end") == "success", airflow.log()
    found = tries(services, run_id)
    assert found["load_into_postgres"] == found["load_into_s3"] == (2, "success")
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


def test_a_dag_that_is_scheduled_on_drift_runs_with_the_report(airflow: Standalone) -> None:
    """The DAG of docs/contracts.md: each load of the run before had records that differ from the contract."""

    def reviewed() -> list[dict[str, Any]]:
        runs = airflow.call("GET", f"{REVIEW}/dagRuns")["dag_runs"]
        return [run for run in runs if run["state"] == "success"]

    run = until(reviewed, pause=SELDOM, what="the review")[0]
    assert run["run_type"] == "asset_triggered"
    events = airflow.call("GET", f"{REVIEW}/dagRuns/{run['dag_run_id']}/upstreamAssetEvents")["asset_events"]
    assert {event["uri"] for event in events} == {"genesys://drift/recordings"}
    for event in events:
        report = event["extra"]
        assert {(drift["field"], drift["kind"]) for drift in report["drift"]} >= {("recordingId", "missing")}
        assert report["export_id"]
        assert event["source_task_id"] in ("load_into_postgres", "load_into_s3")
    airflow.call("PATCH", REVIEW, json={"is_paused": True})  # the next tests' loads need the slots


@pytest.mark.outcome(
    "processes",
    "Genesys is away for a while, on a real scheduler",
    "recovers: the load waits without a worker and goes on in the same try",
)
@pytest.mark.outcome("processes", "the triggerer is killed while a load waits", "recovers")
@pytest.mark.outcome("processes", "a load is cleared while it waits", "recovers, loading from the beginning")
def test_loads_wait_out_an_outage_without_a_worker(airflow: Forked, services: Embedded, gate: Gate) -> None:
    gate.close()
    earlier = airflow.call("GET", f"{DAG}/dagRuns")["dag_runs"][0]["dag_run_id"]
    window = {"window_start": "2026-10-01T00:00:00Z", "window_end": "2026-10-02T00:00:00Z"}
    asked = airflow.call("POST", f"{DAG}/dagRuns", json={"logical_date": None, "conf": window})
    run_id, before = asked["dag_run_id"], rows_loaded(services)
    loads = ("load_into_postgres", "load_into_s3")
    until(lambda: rows_loaded(services) > before + 1_000, what="the load's beginning")
    services.genesys.close()
    gate.open()
    until(lambda: "deferred" in states(services, run_id).values(), what="the first deferral")
    kill_triggerer(airflow)  # before the first goes on, which may be before the other waits
    until(lambda: {states(services, run_id)[load] for load in loads} == {"deferred"}, what="the deferrals")

    clear(airflow, earlier, "certificate")  # it finds a worker, of which there are two
    until(lambda: states(services, earlier)["certificate"] == "success", pause=SELDOM, what="another task's turn")
    assert states(services, run_id)["load_into_postgres"] == "deferred"
    services.genesys.start()
    clear(airflow, run_id, "load_into_s3")
    airflow.fork_triggerer()
    until(lambda: states(services, run_id).get("certificate") == "success", pause=SELDOM, what="the run's end")

    assert [tries(services, run_id)[load][0] for load in loads] == [1, 2]
    ledger = (
        "SELECT fence, attempts, state, certificate -> 'counts' ->> 'read' FROM genesys_ledger WHERE window_end = %s"
    )
    assert query(services.postgres.dsn, ledger, window["window_end"]) == [(2, 2, "complete", str(BIG))]
    uninterrupted = query(services.postgres.dsn, DIGEST, "2026-10-01", "2026-10-02")
    ranges = [seen.range for seen in services.genesys.requests if seen.path.startswith("/archive/")]
    assert sum(given is None for given in ranges[-2:]) == 1  # the cleared one began again, the other went on
    clear(airflow, run_id, "load_into_postgres")
    until(
        lambda: tries(services, run_id)["load_into_postgres"] == (2, "success"),
        pause=SELDOM,
        what="an uninterrupted load",
    )
    assert query(services.postgres.dsn, DIGEST, "2026-10-01", "2026-10-02") == uninterrupted


@pytest.mark.outcome("processes", "a loaded task is cleared", "recovers, loading from the beginning")
@pytest.mark.outcome("processes", "a load is cleared while it runs", "recovers, loading from the beginning")
def test_a_task_that_is_cleared_and_again_while_it_runs_loads_from_the_beginning_and_changes_nothing(
    airflow: Standalone, services: Embedded, gate: Gate
) -> None:
    gate.close()
    run_id = airflow.call("GET", f"{DAG}/dagRuns", params={"run_type": "scheduled"})["dag_runs"][0]["dag_run_id"]
    days = ("2026-10-03", "2100-01-01")
    before, asked = query(services.postgres.dsn, DIGEST, *days), len(services.genesys.requests)

    def downloads() -> list[str | None]:
        return [seen.range for seen in list(services.genesys.requests)[asked:] if seen.path.startswith("/archive/")]

    clear(airflow, run_id, "load_into_postgres")
    until(lambda: query(services.postgres.dsn, BATCHES), what="its first commit")
    clear(airflow, run_id, "load_into_postgres")
    until(lambda: len(downloads()) == 2, what="the download of the one that was cleared again")
    gate.open()
    until(
        lambda: tries(services, run_id)["load_into_postgres"] == (4, "success"),
        pause=SELDOM,
        what="the cleared task's end",
    )
    assert downloads() == [None, None]
    assert query(services.postgres.dsn, DIGEST, *days) == before


@pytest.mark.outcome("processes", "days are backfilled, and again", "recovers")
def test_a_backfill_and_its_repetition_give_the_same_rows(airflow: Standalone, services: Embedded) -> None:
    services.genesys.records, services.genesys.broken = SMALL, 5
    backfill(airflow, "none")
    first = days_loaded(services)
    assert len(first) == 2 * (SMALL - 5)
    backfill(airflow, "completed", first="2026-11-11")
    assert days_loaded(services) == first


@pytest.mark.skipif(not PARTITIONS, reason="partitions came with Airflow 3.2")
def test_partitions_are_backfilled_and_each_starts_the_dag_of_its_day(airflow: Standalone, services: Embedded) -> None:
    """The DAGs of docs/operators.md."""
    services.genesys.records, services.genesys.broken = SMALL, 0
    for dag in ("recordings_by_partition", "report_of_a_day"):
        airflow.call("PATCH", f"/dags/{dag}", json={"is_paused": False})
    backfill(airflow, "none", dag="recordings_by_partition")

    def reported() -> list[list[str]] | None:
        runs = airflow.call("GET", "/dags/report_of_a_day/dagRuns")["dag_runs"]
        ended = [run["dag_run_id"] for run in runs if run["state"] == "success"]
        path = "/dags/report_of_a_day/dagRuns/{}/taskInstances/report/xcomEntries/return_value"
        found = [airflow.call("GET", path.format(run))["value"] for run in ended]
        of_backfill = [one for one in found if one[0] < "2026-11-12"]  # the schedule may have made one of yesterday
        return of_backfill if len(of_backfill) == 2 else None

    days = [datetime(2026, 11, FIRST_PARTITION + place, tzinfo=timezone.utc) for place in range(3)]
    assert sorted(until(reported, pause=SELDOM, what="two reports")) == [
        [f"{start:%Y-%m-%d}", f"{start.isoformat()} to {end.isoformat()}"] for start, end in pairwise(days)
    ]
    rows = query(
        services.postgres.dsn,
        "SELECT count(*), min(timestamp)::date::text, max(timestamp)::date::text FROM recordings_by_partition "
        "WHERE timestamp < '2026-11-14'",
    )
    assert rows == [(2 * SMALL, f"{days[0]:%Y-%m-%d}", f"{days[1]:%Y-%m-%d}")]


def backfill(
    airflow: Standalone, reprocess: str, *, dag: str = "genesys_recordings_daily", first: str = "2026-11-10"
) -> None:
    """Backfill the 10th and the 11th, or the 11th alone, and wait for the end."""
    asked = {
        "dag_id": dag,
        "from_date": f"{first}T00:00:00Z",
        "to_date": "2026-11-11T23:00:00Z" if dag != "genesys_recordings_daily" else "2026-11-11T00:00:00Z",
        "reprocess_behavior": reprocess,
        "max_active_runs": 2,
        "dag_run_conf": {},
    }
    number = airflow.call("POST", "/backfills", json=asked)["id"]
    until(lambda: airflow.call("GET", f"/backfills/{number}")["completed_at"], pause=SELDOM, what="the backfill's end")
    found = airflow.call("GET", f"/dags/{dag}/dagRuns", params={"run_type": "backfill"})["dag_runs"]
    assert [run["state"] for run in found] == ["success"] * 2


def days_loaded(services: Embedded) -> list[tuple[Any, ...]]:
    return query(
        services.postgres.dsn,
        f"SELECT {COLUMNS} FROM genesys_recordings WHERE timestamp > '2026-11-01' AND timestamp < '2026-11-14' "
        "ORDER BY recording_id",
    )


def _found(airflow: Standalone) -> bool:
    found = {dag["dag_id"] for dag in airflow.call("GET", "/dags")["dags"]}
    return {"genesys_recordings_daily", "contract_review"} <= found
