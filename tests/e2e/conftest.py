"""The daily DAG as it is shipped, on real services. airflow_home comes first: it decides which Airflow is imported."""

from __future__ import annotations

from tests.support.airflow_home import airflow_db, run_dag, states, xcoms

# isort: split
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from airflow_provider_genesys.cloud.http import shared
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from airflow_provider_genesys.testing.services import PostgresServer, S3Server
from tests.support.shipped_dag import shipped_dag

__all__ = ["airflow_db"]

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Warehouse:
    """The services of one test, and what they hold."""

    genesys: FakeGenesys
    postgres: PostgresServer
    dsn: str
    s3: S3Server
    bucket: str

    def connections(self) -> dict[str, str]:
        """Return what leads to the services, as environment variables."""
        found = {
            "GENESYS": self.genesys.connection(),
            "POSTGRES": {**self.postgres.connection(), "schema": self.dsn.rpartition("/")[2]},
            "AWS": self.s3.connection(),
        }
        return {f"AIRFLOW_CONN_{name}_DEFAULT": json.dumps(connection) for name, connection in found.items()}

    def rows(self, columns: str = "*") -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn) as connection:
            return connection.execute(f"SELECT {columns} FROM genesys_recordings ORDER BY recording_id").fetchall()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn) as connection:
            return connection.execute(sql).fetchall()

    def objects(self, part: str = "") -> dict[str, bytes]:
        client = self.s3.client()
        listed = client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        keys = [entry["Key"] for entry in listed if part in entry["Key"]]
        return {key: client.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in keys}

    def services(self, run: Any) -> Any:
        """Stand in for the demo's services: what its report reads of ``run``."""
        found = {(task, key): [value] for task in states(run) for key, value in xcoms(run, task).items()}
        postgres = SimpleNamespace(dsn=self.dsn)
        return SimpleNamespace(genesys=self.genesys, postgres=postgres, objects=self.objects, xcoms=lambda: found)

    def run(
        self, day: datetime, *, loads: dict[str, Any] | None = None, skipped: str | None = None, **conf: Any
    ) -> Any:
        """Run the shipped DAG for ``day``, with retries that come at once; ``loads`` sets up the loading tasks."""
        dag = shipped_dag("genesys_recordings_daily")
        for task in dag.tasks:
            if task.task_id.startswith("load_into_"):
                vars(task).update(loads or {})
                vars(task)["_contract_in_dag"] = task.contract  # as if the DAG's file had it
        due = day + timedelta(days=1)
        return run_dag(dag, due, run_after=due, skipped=skipped, s3_bucket=self.bucket, **conf)


def a_genesys() -> FakeGenesys:
    return FakeGenesys(records=1_200, broken=12, seed=11, requests_per_minute=100_000)


@contextmanager
def connected(warehouse: Warehouse) -> Iterator[None]:
    """Let the default connections lead to the services."""
    shared._known.clear()
    with pytest.MonkeyPatch.context() as patch:
        for name, connection in warehouse.connections().items():
            patch.setenv(name, connection)
        yield


@pytest.fixture
def warehouse(
    postgres: PostgresServer, database: str, s3: S3Server, bucket: str, airflow_db: Path
) -> Iterator[Warehouse]:
    """Services of this test's own, and connections that lead to them."""
    with a_genesys() as genesys, connected(found := Warehouse(genesys, postgres, database, s3, bucket)):
        yield found


@dataclass(frozen=True)
class Day:
    """:data:`DAY` as the shipped DAG has loaded it, for tests that change nothing of it."""

    warehouse: Warehouse
    states: dict[str, str]
    xcoms: dict[str, dict[str, Any]]
    """What each task pushed, by key."""


@pytest.fixture(scope="session")
def loaded_day(postgres: PostgresServer, s3: S3Server, airflow_db: Path) -> Iterator[Day]:
    dsn, bucket = postgres.create_database("a_day"), s3.create_bucket(f"a-day-{os.getpid()}")
    with a_genesys() as genesys:
        warehouse = Warehouse(genesys, postgres, dsn, s3, bucket)
        genesys.job_polls = 3
        with connected(warehouse):
            run = warehouse.run(DAY)
        done = states(run)
        yield Day(warehouse, done, {task: xcoms(run, task) for task in done})


@pytest.fixture
def day(loaded_day: Day) -> Iterator[Day]:
    """A day that was loaded once for all tests, and connections that lead to where it is."""
    with connected(loaded_day.warehouse):
        yield loaded_day
