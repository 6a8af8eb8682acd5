"""The peer of the PostgreSQL sink: ``python -m benchmarks.bare_copy FILE DSN``, psycopg 3 and nothing around it.

The same rows into the same table, lineage and indexes included: made before the clock starts, then by COPY into a
temporary table and an upsert, 500 to a transaction. No ledger, no fence, no ranking, no dead letters.
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
from psycopg import sql

from airflow_provider_genesys.contracts.contract import RECORDINGS
from airflow_provider_genesys.contracts.transform import Transform
from airflow_provider_genesys.sinks.postgres.tables.columns import (
    CONTRACT,
    EXPORT,
    LOADED,
    OFFSET,
    SHARD,
    SUBMITTED,
    TYPES,
    column_names,
)
from airflow_provider_genesys.sinks.postgres.tables.schema import create_target
from airflow_provider_genesys.source.records import Slice
from airflow_provider_genesys.source.split.lines import LineSplitter

BATCH = 500
CHUNK = 2**18


def batches(path: str) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows of an NDJSON file, read through the built-in contract, each with the offset of its record."""
    transform, splitter = Transform(RECORDINGS, datetime.now(timezone.utc)), LineSplitter(where="It")
    with Path(path).open("rb") as file:
        while chunk := file.read(CHUNK):
            splitter.feed(chunk)
            while splitter.pending >= BATCH and (part := splitter.take(BATCH)):
                yield _rows(transform, part)
    splitter.close()
    while part := splitter.take(BATCH):
        yield _rows(transform, part)


def _rows(transform: Transform, part: Slice) -> list[tuple[Any, ...]]:
    """Return the rows, with the offsets of their records."""
    return [
        (*row, offset) for _, read in transform.read(part) for row, offset in zip(read.rows, read.offsets, strict=True)
    ]


def main(path: str, dsn: str) -> None:
    """Load, and print what that took."""
    own = [*column_names(RECORDINGS), OFFSET.name]
    kinds = [*(TYPES[column.type] for column in RECORDINGS.columns), OFFSET.type]
    described = ", ".join(f"{name} {kind}" for name, kind in zip(own, kinds, strict=True))
    lineage = {EXPORT: "'bench'", SUBMITTED: "now()", SHARD: "0", CONTRACT: f"'{RECORDINGS}'", LOADED: "now()"}
    names, table = [*own, *(column.name for column in lineage)], f"bare_{time.time_ns()}"
    columns, values = ", ".join(names), ", ".join([*own, *lineage.values()])
    assigned = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
    rows = count()
    with psycopg.connect(dsn) as connection:
        connection.execute(create_target(sql.Identifier(table), RECORDINGS))
        connection.commit()
        spent = 0.0
        for batch in batches(path):
            text = [[value.decode() if isinstance(value, bytes) else value for value in row] for row in batch]
            began = time.perf_counter()
            with connection.cursor() as cursor:
                cursor.execute(f"CREATE TEMPORARY TABLE stage ({described}) ON COMMIT DROP")
                with cursor.copy(f"COPY stage ({', '.join(own)}) FROM STDIN") as copy:
                    for row in text:
                        copy.write_row(row)
                        next(rows)
                cursor.execute(
                    f"INSERT INTO {table} ({columns}) SELECT {values} FROM stage"  # noqa: S608 - names of the contract
                    f" ON CONFLICT (recording_id) DO UPDATE SET {assigned}"
                )
            connection.commit()
            spent += time.perf_counter() - began
    print(json.dumps({"seconds": spent, "records": next(rows), "bytes": Path(path).stat().st_size}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
