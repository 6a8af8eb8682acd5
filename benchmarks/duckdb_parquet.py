"""The peer of the Parquet sink: ``python -m benchmarks.duckdb_parquet FILE FOLDER``, DuckDB's COPY of the same columns.

It reads the file from the disk; ours comes over HTTP.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import duckdb

from airflow_provider_genesys.pipeline.memory import peak_memory_mb
from benchmarks.load import MIB

QUERY = """
COPY (
    SELECT "recordingId", "conversationId", "timestamp", "durationMs", queue.id AS "queueId", queue.name AS "queueName",
        direction, participants, media, metadata, now() AS "processedAt"
    FROM read_json('{path}', format = 'newline_delimited', columns = {{
        "recordingId": 'VARCHAR', "conversationId": 'VARCHAR', "timestamp": 'TIMESTAMP', "durationMs": 'BIGINT',
        queue: 'STRUCT(id VARCHAR, name VARCHAR)', direction: 'VARCHAR', participants: 'JSON', media: 'JSON',
        metadata: 'JSON'}})
) TO '{folder}/duckdb.parquet' (FORMAT parquet, COMPRESSION zstd)
"""


def main(path: str, folder: str) -> None:
    """Copy, and print what that took."""
    base = peak_memory_mb() * 1e6 / MIB
    cpu, began = time.process_time(), time.perf_counter()
    rows = duckdb.sql(QUERY.format(path=path, folder=folder))
    del rows
    seconds = time.perf_counter() - began
    print(
        json.dumps(
            {
                "seconds": seconds,
                "cpu": time.process_time() - cpu,
                "bytes": Path(path).stat().st_size,
                "peak_mib": peak_memory_mb() * 1e6 / MIB,
                "base_mib": base,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
