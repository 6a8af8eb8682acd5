"""What the tests of Iceberg tables share: a catalog in a file, and what readers see in a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from airflow_provider_genesys.lake.catalog import open_catalog
from airflow_provider_genesys.lake.publish import TablePublisher
from airflow_provider_genesys.lake.tables import IcebergTarget

NAME = "lake.recordings"


class Lake:
    """A catalog in an SQLite file, with its warehouse beside the parts.

    :param root: URL of the bucket or container.
    :param store: PyIceberg's properties of that.
    """

    def __init__(self, file: str, root: str, store: dict[str, str]) -> None:
        self.properties = {"type": "sql", "uri": f"sqlite:///{file}", "warehouse": f"{root}/warehouse", **store}
        self.target = IcebergTarget("lake", "recordings", create=True)
        self._root = root

    def catalog(self) -> Catalog:
        return open_catalog("default", self.properties)

    def publisher(self, connect: Callable[[], Catalog] | None = None) -> TablePublisher:
        return TablePublisher(connect or self.catalog, lambda: self._root, self.target)

    def table(self, name: str = NAME) -> Table:
        return self.catalog().load_table(name)

    def snapshots(self) -> list[dict[str, str]]:
        """Properties of the snapshots, oldest first."""
        return [dict(one.summary.additional_properties) for one in self.table().metadata.snapshots if one.summary]

    def ids(self, snapshot_id: int | None = None) -> list[str]:
        """Ids of the recordings, as PyIceberg reads them."""
        return sorted(self.table().scan(snapshot_id=snapshot_id).to_arrow()["recordingId"].to_pylist())


def duckdb_rows(table: Table, read: Callable[[str], bytes], folder: Path) -> list[tuple[Any, ...]]:
    """Count rows by window as DuckDB reads the files of a plan. (Its own extension for Iceberg is not in the lock.)"""
    found = []
    for number, task in enumerate(table.scan().plan_files()):
        copy = folder / f"{table.metadata.current_snapshot_id}-{number}.parquet"
        copy.write_bytes(read(task.file.file_path.split("/", 3)[3]))
        found.append(str(copy))
    return duckdb.sql(f"SELECT count(*), count(DISTINCT recordingId) FROM read_parquet({found})").fetchall()


def in_s3(file: Path, bucket: str, endpoint_url: str) -> dict[str, Any]:
    """Return the arguments of a :class:`Lake` in S3, as JSON."""
    store = {
        "s3.endpoint": endpoint_url,
        "s3.access-key-id": "test",
        "s3.secret-access-key": "testtest",
        "s3.region": "us-east-1",
    }
    return {"file": str(file), "root": f"s3://{bucket}", "store": store}


def in_azure(file: Path, container: Any) -> dict[str, Any]:
    """Return the arguments of a :class:`Lake` in Azure, as JSON."""
    from airflow_provider_genesys.hooks.iceberg import azure_access  # with Airflow, which the children do without

    access = azure_access(container)
    return {"file": str(file), "root": access.root, "store": access.properties}
