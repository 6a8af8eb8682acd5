"""The report of a DAG that loads exports into PostgreSQL and S3."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from demo.account import XComs, count, problems_of, show_sink, show_window, show_xcoms, total
from demo.embedded import BUCKET, Embedded

SINKS = {"PostgreSQL": "load_into_postgres", "S3": "load_into_s3"}
"""The task that loads into each."""


@dataclass(frozen=True)
class Loads:
    """The facts of one run."""

    xcoms: XComs
    rows: int
    dead_letters: int
    sample: list[tuple[Any, ...]]
    children: dict[str, int]
    """Rows of each child table."""
    keys: list[str]
    lines: int

    @property
    def certificates(self) -> dict[str, list[dict[str, Any]]]:
        """The certificates of both sinks, one for each export."""
        return {sink: self.xcoms[task, "return_value"] for sink, task in SINKS.items()}

    def problems(self, expected: int) -> Iterator[str]:
        """Yield what does not agree; nothing where each account closes and both sinks hold it."""
        held = {"PostgreSQL": self.rows, "S3": self.lines}
        for sink, certificates in self.certificates.items():
            yield from problems_of(sink, certificates, expected)
            if (written := total(certificates, "written")) != held[sink]:
                yield f"{sink}: {written} written by the certificates, but it holds {held[sink]}"
        if self.dead_letters != total(self.certificates["PostgreSQL"], "dead_letters"):
            yield f"PostgreSQL: {self.dead_letters} dead letters in the table"
        for table in (name for name, rows in self.children.items() if not rows):
            yield f"PostgreSQL: {table} is empty"

    def show(self) -> None:
        """Print the report."""
        for certificate in self.certificates["PostgreSQL"]:
            show_window(certificate)
            print(f"  contents   {certificate['bytes_read']:,} bytes, contract {certificate['contract']}")
        for sink, certificates in self.certificates.items():
            show_sink(sink, certificates)
        print("\n  three rows of PostgreSQL")
        for row in self.sample:
            print("    " + " | ".join(str(value) for value in row))
        for table, rows in self.children.items():
            print(f"    {table}: {rows:,} rows")
        print("\n  keys in S3")
        for key in self.keys:
            print(f"    s3://{BUCKET}/{key}")
        show_xcoms(self.xcoms)


def collect(services: Embedded, *, table: str, columns: Sequence[str], children: Sequence[str] = ()) -> Loads:
    """Read the facts.

    :param table: of PostgreSQL.
    :param columns: of the sample, which is in the order of the second.
    :param children: names of the child tables, without that of the table.
    """
    sample = f"SELECT {', '.join(columns)} FROM {table} ORDER BY {columns[1]} LIMIT 3"  # noqa: S608 - constants
    with psycopg.connect(services.postgres.dsn) as connection:
        rows, dead_letters = count(connection, table), count(connection, "genesys_dead_letters")
        shown = connection.execute(sample).fetchall()
        many = {f"{table}_{child}": count(connection, f"{table}_{child}") for child in children}
    objects = services.objects()
    manifests = [json.loads(body) for key, body in objects.items() if key.endswith("_manifest.json")]
    parts = [part["key"] for manifest in manifests for part in manifest["parts"]]
    lines = sum(gzip.decompress(objects[key]).count(b"\n") for key in parts)
    return Loads(services.xcoms(), rows, dead_letters, shown, many, list(objects), lines)
