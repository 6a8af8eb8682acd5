"""What a data engineer wants to see at the end, read from Airflow, PostgreSQL and S3 themselves."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg

from demo.embedded import BUCKET, Embedded

TABLE = "genesys_recordings"
_SAMPLE = f"SELECT recording_id, timestamp, duration_ms, queue_name FROM {TABLE} ORDER BY timestamp LIMIT 3"  # noqa: S608 - a constant


@dataclass(frozen=True)
class Report:
    """The facts of one run. ``xcoms`` maps (task, key) to the value."""

    xcoms: dict[tuple[str, str], Any]
    rows: int
    dead_letters: int
    sample: list[tuple[Any, ...]]
    keys: list[str]
    lines: int

    @property
    def certificates(self) -> dict[str, dict[str, Any]]:
        """The certificates of both sinks."""
        names = {"PostgreSQL": "load_into_postgres", "S3": "load_into_s3"}
        return {sink: self.xcoms[task, "return_value"] for sink, task in names.items()}

    def problems(self, expected: int) -> Iterator[str]:
        """Yield what does not agree; nothing where the account closes and both sinks hold it."""
        held = {"PostgreSQL": self.rows, "S3": self.lines}
        for sink, certificate in self.certificates.items():
            counts = certificate["counts"]
            if counts["read"] != expected:
                yield f"{sink}: {counts['read']} records read, but the export has {expected}"
            if counts["read"] != counts["written"] + counts["dead_letters"] + counts["duplicates"]:
                yield f"{sink}: the account does not close: {counts}"
            if counts["written"] != held[sink]:
                yield f"{sink}: {counts['written']} written by the certificate, but it holds {held[sink]}"
        if self.dead_letters != self.certificates["PostgreSQL"]["counts"]["dead_letters"]:
            yield f"PostgreSQL: {self.dead_letters} dead letters in the table"


def collect(services: Embedded) -> Report:
    """Read the facts."""
    with psycopg.connect(services.metadata_dsn) as connection:
        found = connection.execute("SELECT task_id, key, value FROM xcom").fetchall()
    with psycopg.connect(services.postgres.dsn) as connection:
        rows = _number(connection, f"SELECT count(*) FROM {TABLE}")  # noqa: S608 - a constant
        dead_letters = _number(connection, "SELECT count(*) FROM genesys_dead_letters")
        sample = connection.execute(_SAMPLE).fetchall()
    s3 = services.s3.client()
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    lines = sum(
        gzip.decompress(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()).count(b"\n")
        for key in keys
        if key.endswith(".ndjson.gz")
    )
    return Report({(task, key): value for task, key, value in found}, rows, dead_letters, sample, keys, lines)


def _number(connection: psycopg.Connection, query: str) -> int:
    row = connection.execute(query).fetchone()  # type: ignore[arg-type]  # a constant, made in this module
    return int(row[0]) if row else 0


def show(report: Report) -> None:
    """Print the report."""
    first = report.certificates["PostgreSQL"]
    print(f"\n  window     {first['window_start']} to {first['window_end']}")
    print(f"  export     {first['export_id']}")
    print(f"  archive    {first['source']['length']:,} bytes, contract {first['contract']}")
    for sink, certificate in report.certificates.items():
        counts, seconds = certificate["counts"], certificate["seconds"]
        print(f"\n  {sink}")
        print(f"    lies in  {certificate['location']}")
        print(f"    records  {counts['read']:,} read = {counts['written']:,} written")
        print(f"             + {counts['dead_letters']:,} set aside + {counts['duplicates']:,} duplicates")
        print(
            f"    took     {seconds:.1f} s, {certificate['bytes_read'] / seconds / 1e6:.1f} MB/s, "
            f"peak memory {certificate['peak_memory_mb']:.0f} MB (Airflow included)"
        )
        if certificate["rules"]:
            print(f"    set aside: {', '.join(f'{rule} ({count})' for rule, count in certificate['rules'].items())}")
    print("\n  three rows of PostgreSQL")
    for row in report.sample:
        print("    " + " | ".join(str(value) for value in row))
    print("\n  keys in S3")
    for key in report.keys:
        print(f"    s3://{BUCKET}/{key}")
    print("\n  XComs (the URL's signature is sealed)")
    for (task, key), value in sorted(report.xcoms.items()):
        if task in {"create_export", "wait_for_export"} or key == "checkpoint":
            print(f"    {task}.{key}: {_short(value)}")


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 420 else text[:420] + "…"  # noqa: PLR2004 - three lines of a terminal
