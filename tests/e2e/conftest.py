"""The daily DAG as it is shipped, on real services. airflow_home comes first: it decides which Airflow is imported."""

from __future__ import annotations

from tests.support.airflow_home import airflow_db, run_dag, states, xcoms

# isort: split
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
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


@dataclass(frozen=True)
class Warehouse:
    """The services of one test, and what they hold."""

    genesys: FakeGenesys
    dsn: str
    s3: S3Server
    bucket: str

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

    def run(self, day: datetime, *, loads: dict[str, Any] | None = None, **conf: Any) -> Any:
        """Run the shipped DAG for ``day``, with retries that come at once; ``loads`` sets up the loading tasks."""
        dag = shipped_dag("genesys_recordings_daily")
        for task in dag.tasks:
            if task.task_id.startswith("load_into_"):
                vars(task).update(loads or {})
                vars(task)["_contract_in_dag"] = task.contract  # as if the DAG's file had it
        due = day + timedelta(days=1)
        return run_dag(dag, due, run_after=due, s3_bucket=self.bucket, **conf)


@pytest.fixture
def warehouse(
    monkeypatch: pytest.MonkeyPatch,
    postgres: PostgresServer,
    database: str,
    s3: S3Server,
    bucket: str,
    airflow_db: Path,
) -> Iterator[Warehouse]:
    """Services of this test's own, and connections that lead to them."""
    shared._known.clear()
    with FakeGenesys(records=1_200, broken=12, seed=11, requests_per_minute=100_000) as genesys:
        connections = {
            "GENESYS_DEFAULT": genesys.connection(),
            "POSTGRES_DEFAULT": {**postgres.connection(), "schema": database.rpartition("/")[2]},
            "AWS_DEFAULT": s3.connection(),
        }
        for name, connection in connections.items():
            monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(connection))
        yield Warehouse(genesys, database, s3, bucket)
