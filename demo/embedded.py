"""Everything that the provider talks to, on free loopback ports, and the Airflow environment that points at it."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from airflow_provider_genesys.testing.services import PostgresServer, S3Server

ROOT = Path(__file__).resolve().parent.parent
BUCKET = "genesys"
"""The bucket that the example DAGs write to unless told otherwise."""


@dataclass(frozen=True)
class Embedded:
    """The running services."""

    genesys: FakeGenesys
    postgres: PostgresServer
    s3: S3Server
    home: Path
    """AIRFLOW_HOME."""

    @property
    def metadata_dsn(self) -> str:
        """Where Airflow keeps its own data: another database of the same server."""
        return self.postgres.dsn.rpartition("/")[0] + "/airflow"

    @property
    def catalog(self) -> dict[str, str]:
        """Properties of the Iceberg catalog: an SQLite file, with its warehouse in the bucket."""
        return {"type": "sql", "uri": f"sqlite:///{self.home}/iceberg.db", "warehouse": f"s3://{BUCKET}/warehouse"}

    def environment(self) -> dict[str, str]:
        """Return the environment in which Airflow finds its home, the DAGs and the connections."""
        connections = {
            "AIRFLOW_CONN_GENESYS_DEFAULT": self.genesys.connection(),
            "AIRFLOW_CONN_POSTGRES_DEFAULT": self.postgres.connection(),
            "AIRFLOW_CONN_AWS_DEFAULT": self.s3.connection(),
            "AIRFLOW_CONN_ICEBERG_DEFAULT": {"conn_type": "iceberg", "extra": self.catalog},
        }
        settings = {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "2",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.metadata_dsn.replace("postgresql://", "postgresql+psycopg2://"),
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
            "NO_COLOR": "1",
        }
        own = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")}
        return own | settings | {name: json.dumps(connection) for name, connection in connections.items()}

    def xcoms(self) -> dict[tuple[str, str], list[Any]]:
        """Return what the tasks pushed, by task and key: one value for each mapped task, in their order."""
        found: dict[tuple[str, str], list[Any]] = defaultdict(list)
        with psycopg.connect(self.metadata_dsn) as connection:
            for task, key, value in connection.execute("SELECT task_id, key, value FROM xcom ORDER BY map_index"):
                found[task, key].append(value)
        return dict(found)

    def objects(self) -> dict[str, bytes]:
        """Return what is in the bucket, by key."""
        client = self.s3.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return {key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}


@contextmanager
def embedded(*, seed: int = 7, job_seconds: float = 3, **settings: Any) -> Iterator[Embedded]:
    """Start the services; stop them, and remove what they wrote, at the end.

    :param seed: as ``job_seconds`` and the others a setting of the fake Genesys Cloud.
    """
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="genesys-airflow-")))
        postgres = stack.enter_context(PostgresServer())
        postgres.create_database("airflow")
        s3 = stack.enter_context(S3Server())
        s3.create_bucket(BUCKET)
        genesys = stack.enter_context(FakeGenesys(seed=seed, job_seconds=job_seconds, **settings))
        yield Embedded(genesys, postgres, s3, home)
