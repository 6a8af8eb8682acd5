"""The report of the DAG that commits to an Iceberg table: DuckDB asks the table before and after a reload."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from demo.account import XComs, problems_of, show_sink, show_window
from demo.embedded import Embedded

TABLE = "genesys.recordings"
QUERY = """
SELECT queueName, count(*) AS recordings, round(sum(durationMs) / 3600000.0, 1) AS hours
FROM recordings GROUP BY ALL ORDER BY recordings DESC LIMIT 3
"""


@dataclass(frozen=True)
class Version:
    """One version of the table: its snapshot's properties, and what DuckDB finds in it."""

    snapshot_id: int
    facts: dict[str, str]
    rows: int
    answer: list[tuple[Any, ...]]


@dataclass(frozen=True)
class Lake:
    """The facts of two loads of one day."""

    xcoms: XComs
    versions: list[Version]

    @property
    def certificates(self) -> list[dict[str, Any]]:
        """The certificates of both loads, in their order."""
        return sorted(self.xcoms["load_into_lake", "return_value"], key=lambda one: one["ended_at"])

    def problems(self, expected: int) -> Iterator[str]:
        """Yield what does not agree; nothing where each version has what its certificate says."""
        yield from problems_of("Iceberg", self.certificates[:1], expected)
        if len(self.versions) != len(self.certificates):
            yield f"Iceberg: {len(self.versions)} versions of {len(self.certificates)} loads"
        for version, certificate in zip(self.versions, self.certificates, strict=False):
            if (written := certificate["counts"]["written"]) != version.rows:
                yield f"Iceberg: {written} written by the certificate, but its version has {version.rows} rows"
            if certificate["iceberg"] != {TABLE: str(version.snapshot_id)}:
                yield f"Iceberg: the certificate names the snapshots {certificate['iceberg']}"

    def show(self) -> None:
        """Print the report."""
        show_window(self.certificates[0])
        show_sink("Parquet in S3", self.certificates)
        print(f"\n  The Iceberg table {TABLE}, asked by DuckDB:{QUERY.rstrip()}")
        for version, when in zip(self.versions, ("before the reload (time travel)", "after it (now)"), strict=False):
            print(f"\n  {when}: snapshot {version.snapshot_id}, {version.rows:,} rows")
            for row in version.answer:
                print("    " + " | ".join(str(value) for value in row))
            for name in ("genesys.load-id", "genesys.fence", "genesys.export-id", "genesys.rows"):
                print(f"    {name}: {version.facts[name]}")


def collect(services: Embedded) -> Lake:
    """Read the facts."""
    from pyiceberg.catalog import load_catalog

    store = {
        "s3.endpoint": services.s3.endpoint_url,
        "s3.access-key-id": "test",
        "s3.secret-access-key": "testtest",
        "s3.region": "us-east-1",
    }
    table = load_catalog("iceberg_default", **services.catalog, **store).load_table(TABLE)
    return Lake(services.xcoms(), [_version(table, snapshot) for snapshot in table.snapshots()])


def _version(table: Any, snapshot: Any) -> Version:
    found = table.scan(snapshot_id=snapshot.snapshot_id).to_duckdb("recordings")
    [(rows,)] = found.execute("SELECT count(*) FROM recordings").fetchall()
    return Version(snapshot.snapshot_id, snapshot.summary.additional_properties, rows, found.execute(QUERY).fetchall())
