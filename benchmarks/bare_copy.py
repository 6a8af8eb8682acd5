"""The peer of the PostgreSQL sink: ``python -m benchmarks.bare_copy FILE DSN``, psycopg 3 and nothing around it.

The same rows, made before the clock starts, by COPY into a temporary table and an upsert, 500 to a transaction, into a
table of the same columns. No ledger, no fence, no ranking, no dead letters, no lineage but the offset.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from airflow_provider_genesys.pipeline.contract import RECORDINGS
from airflow_provider_genesys.pipeline.split import LineSplitter, Slice
from airflow_provider_genesys.pipeline.transform import Transform
from airflow_provider_genesys.sinks.postgres.columns import TYPES, column_names

BATCH = 500
CHUNK = 2**18


def batches(path: str) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows of an NDJSON file, read through the built-in contract."""
    transform, splitter = Transform(RECORDINGS, datetime.now(timezone.utc)), LineSplitter()
    with Path(path).open("rb") as file:
        while chunk := file.read(CHUNK):
            splitter.feed(chunk)
            while splitter.pending >= BATCH and (part := splitter.take(BATCH)):
                yield _rows(transform, part)
    splitter.close()
    while part := splitter.take(BATCH):
        yield _rows(transform, part)


def _rows(transform: Transform, part: Slice) -> list[tuple[Any, ...]]:
    """Return the rows without the column that only the load knows."""
    return [row[:-1] for _, read in transform.read(part) for row in read.rows]


def main(path: str, dsn: str) -> None:
    """Load, and print what that took."""
    names = column_names(RECORDINGS)[:-1]
    kinds = [TYPES[column.type] for column in RECORDINGS.columns][:-1]
    described = ", ".join(f"{name} {kind}" for name, kind in zip(names, kinds, strict=True))
    columns, table = ", ".join(names), f"bare_{time.time_ns()}"
    assigned = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
    rows = count()
    with psycopg.connect(dsn) as connection:
        connection.execute(f"CREATE TABLE {table} ({described}, PRIMARY KEY (recording_id))")
        connection.execute(f"CREATE INDEX ON {table} (timestamp)")
        connection.commit()
        spent = 0.0
        for batch in batches(path):
            text = [[value.decode() if isinstance(value, bytes) else value for value in row] for row in batch]
            began = time.perf_counter()
            with connection.cursor() as cursor:
                cursor.execute(f"CREATE TEMPORARY TABLE stage ({described}) ON COMMIT DROP")
                with cursor.copy(f"COPY stage ({columns}) FROM STDIN") as copy:
                    for row in text:
                        copy.write_row(row)
                        next(rows)
                cursor.execute(
                    f"INSERT INTO {table} SELECT * FROM stage ON CONFLICT (recording_id) DO UPDATE SET {assigned}"  # noqa: S608 - names of the contract
                )
            connection.commit()
            spent += time.perf_counter() - began
    print(json.dumps({"seconds": spent, "records": next(rows), "bytes": Path(path).stat().st_size}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
