"""The DAG of many tasks to an archive, on CeleryExecutor with two workers, one of which is lost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from typing import Any

import psycopg
import pytest

from airflow_provider_genesys.testing.services import RedisServer
from demo.embedded import Embedded, embedded
from tests.support.celery_airflow import WORKERS, CeleryAirflow
from tests.support.watching import COLUMNS, query, until

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

DAG = "/dags/genesys_recordings_sharded"
DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)
RECORDS, BROKEN, SHARDS = 120_000, 50, 3
LOADS = ("load_into_postgres", "load_into_s3")
POLICY = """
def task_policy(task):
    if task.task_id == "load_into_s3":
        task.partial_kwargs["processes"] = 2
"""
"""A cluster policy: loads into S3 have worker processes."""


@pytest.fixture(scope="module")
def services() -> Iterator[Embedded]:
    with embedded(records=RECORDS, broken=BROKEN, seed=5, job_seconds=0) as running:
        yield running


@pytest.fixture(scope="module")
def airflow(services: Embedded) -> Iterator[CeleryAirflow]:
    (services.home / "config").mkdir()
    (services.home / "config" / "airflow_local_settings.py").write_text(POLICY)
    with RedisServer() as broker, CeleryAirflow(services, broker) as running:
        running.wait()
        yield running


@pytest.fixture(scope="module")
def run_id(airflow: CeleryAirflow, services: Embedded) -> str:
    """The run of a day whose archive gives so many shards; it has ended well."""
    until(lambda: DAG in {f"/dags/{dag['dag_id']}" for dag in airflow.call("GET", "/dags")["dags"]}, what="the parsing")
    airflow.call("PATCH", DAG, json={"is_paused": False})
    size = services.genesys.archive(DAY, DAY + timedelta(days=1)).size
    window = {"window_start": DAY.isoformat(), "window_end": (DAY + timedelta(days=1)).isoformat()}
    conf = {**window, "shard_gb": size / (SHARDS + 0.5) / 1e9}
    started = airflow.call("POST", f"{DAG}/dagRuns", json={"logical_date": None, "conf": conf})["dag_run_id"]
    ended(airflow, started)
    return started


def ended(airflow: CeleryAirflow, run_id: str) -> None:
    def state() -> str | None:
        found: str = airflow.call("GET", f"{DAG}/dagRuns/{run_id}")["state"]
        return found if found in ("success", "failed") else None

    assert until(state, seconds=200, what="the run's end") == "success", airflow.log()


def tasks(airflow: CeleryAirflow, run_id: str, task_id: str) -> list[dict[str, Any]]:
    """The mapped task's instances, in their order."""
    found = airflow.call("GET", f"{DAG}/dagRuns/{run_id}/taskInstances")["task_instances"]
    return sorted((ti for ti in found if ti["task_id"] == task_id), key=lambda ti: ti["map_index"])


def certificate(airflow: CeleryAirflow, run_id: str) -> dict[str, Any]:
    """What the verifying task returned."""
    value = airflow.call("GET", f"{DAG}/dagRuns/{run_id}/taskInstances/certificate/xcomEntries/return_value")["value"]
    return value if isinstance(value, dict) else json.loads(value)


def served(services: Embedded) -> Iterator[tuple[Any, ...]]:
    """The rows that a load of the archive has to give, told from what the fake makes it of."""
    for record in services.genesys.archive(DAY, DAY + timedelta(days=1)).good_records():
        when = datetime.fromisoformat(record["timestamp"].replace("Z", "+00:00"))
        queue = (record.get("queue") or {}).get("id")
        texts = record["recordingId"], record["conversationId"], when, record["durationMs"], queue
        yield *texts, record["participants"], record["media"], record["metadata"]


def digests(rows: Iterable[tuple[Any, ...]]) -> set[str]:
    """One for each row: the rows themselves would take half a gigabyte."""
    texts = (json.dumps(row, sort_keys=True, default=datetime.timestamp) for row in rows)
    return {sha256(text.encode()).hexdigest() for text in texts}


def assert_rows_are_as_served(services: Embedded) -> None:
    with psycopg.connect(services.postgres.dsn) as connection:
        loaded = digests(connection.execute(f"SELECT {COLUMNS} FROM genesys_recordings"))
    assert len(loaded) == RECORDS - BROKEN
    assert len(loaded - digests(served(services))) == 0


def ledger(services: Embedded) -> dict[int, tuple[str, int, dict[str, Any] | None]]:
    """State, attempts and certificate of the shards, and under 0 of the whole."""
    found = query(services.postgres.dsn, "SELECT shard, state, attempts, certificate FROM genesys_ledger")
    return {shard: (state, attempts, account) for shard, state, attempts, account in found}


def test_the_shards_of_an_archive_run_on_both_workers_and_close_as_one(
    airflow: CeleryAirflow, services: Embedded, run_id: str
) -> None:
    shards = [task for load in LOADS for task in tasks(airflow, run_id, load)]
    assert [task["state"] for task in shards] == ["success"] * SHARDS * len(LOADS)
    assert {task["hostname"] for task in shards} == set(WORKERS)

    whole = certificate(airflow, run_id)
    assert whole["read"] == RECORDS
    assert list(whole["sinks"].values()) == [
        {"written": RECORDS - BROKEN, "dead_letters": BROKEN, "duplicates": 0},
    ] * len(LOADS)
    state, _, account = ledger(services)[0]
    [manifest] = [body for key, body in services.objects().items() if key.endswith("/_manifest.json")]
    assert state == "complete"
    assert account["digest"] == json.loads(manifest)["digest"] == whole["digest"]
    assert len(account["shards"]) == SHARDS
    logs = [path.read_text() for path in services.home.rglob("task_id=load_into_s3/**/*.log")]
    assert sum("2 worker processes read and pack" in text for text in logs) == SHARDS
    assert_rows_are_as_served(services)


def loading(services: Embedded) -> dict[int, str]:
    """The PostgreSQL shards with batches committed, and their workers, while both workers have a shard."""
    running = "SELECT map_index + 1, hostname FROM task_instance WHERE task_id = %s AND state = 'running'"
    workers = dict(query(services.metadata_dsn, running, LOADS[0]))
    if set(workers.values()) != set(WORKERS):
        return {}
    begun = "SELECT shard FROM genesys_ledger WHERE shard > 0 AND state = 'loading' AND checkpoint IS NOT NULL"
    return {shard: workers[shard] for (shard,) in query(services.postgres.dsn, begun) if shard in workers}


def test_a_worker_is_lost_and_the_other_one_ends_its_shard(
    airflow: CeleryAirflow, services: Embedded, run_id: str
) -> None:
    before = certificate(airflow, run_id)
    wanted = {"dry_run": False, "dag_run_id": run_id, "task_ids": [LOADS[0]], "only_failed": False}
    airflow.call("POST", f"{DAG}/clearTaskInstances", json={**wanted, "include_downstream": True})
    shard, lost = until(lambda: loading(services), what="the load on both workers").popitem()
    airflow.kill(lost)
    assert ledger(services)[0][0] == "loading"
    ended(airflow, run_id)

    [other] = set(WORKERS) - {lost}
    task = tasks(airflow, run_id, LOADS[0])[shard - 1]
    assert (task["try_number"], task["hostname"]) == (3, other)
    accounts = ledger(services)
    # Attempts since the load of the shard began: it was continued, not begun again.
    assert {number: attempts for number, (_, attempts, _) in accounts.items() if number} == {
        number: 2 if number == shard else 1 for number in range(1, SHARDS + 1)
    }
    assert accounts[0][0] == "complete"
    assert certificate(airflow, run_id) == before
    assert_rows_are_as_served(services)
