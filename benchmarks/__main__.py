"""``./run bench``: the pipeline to a null sink, with contract, drift detection, dead letters and offsets on.

The archive is generated, laid on disk and served over loopback HTTP by another process. Each row is the median of
several runs, each in a fresh process. MB are 10**6 bytes of the unpacked document. The floor is decoding the same
records, in memory, into plain Python objects with msgspec: what any pipeline that looks at records has to pay.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import msgspec

from airflow_provider_genesys.cloud.client import CloudClient
from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.exports import ExportRequest, family
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from benchmarks.load import DAY

ROWS: dict[str, dict[str, Any]] = {
    "ndjson": {"file_format": "ndjson"},
    "array": {"file_format": "json"},
    "ndjson gzip": {"file_format": "ndjson", "compression": "gzip"},
    "ndjson, a bad record in every hundred": {"file_format": "ndjson", "broken": 0.01},
}


@contextmanager
def served(megabytes: int, settings: dict[str, Any]) -> Iterator[str]:
    """Serve an archive from disk; give its presigned URL."""
    with FakeGenesys(size=megabytes * 1_000_000, on_disk=True, requests_per_minute=10**6, **settings) as genesys:
        connection = genesys.connection()
        fields = {name: connection[name] for name in ("login", "password", "host", "extra")}
        config = CloudConfig.from_connection(**fields)
        with CloudClient(config) as client:
            recordings = family("recordings", config)
            wanted = settings["file_format"]
            export_id = recordings.create(client, ExportRequest(DAY, DAY + timedelta(days=1), file_format=wanted))
            status = recordings.status(client, export_id)
            while not status.state.terminal:
                time.sleep(0.2)
                status = recordings.status(client, export_id)
        yield status.file_uri or ""


def floor(megabytes: int) -> float:
    """Return CPU seconds per GB of decoding NDJSON in memory, line by line, into dicts."""
    with FakeGenesys(size=megabytes * 1_000_000) as genesys:
        lines = genesys.archive(DAY, DAY + timedelta(days=1)).read().splitlines()
    decode = msgspec.json.Decoder().decode
    began = time.process_time()
    for line in lines:
        decode(line)
    return (time.process_time() - began) / sum(map(len, lines)) * 1e9


def measured(url: str, runs: int) -> dict[str, float]:
    """Return the medians of ``runs`` loads."""
    found = []
    for _ in range(runs):
        command = [sys.executable, "-m", "benchmarks.load", url]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return {key: statistics.median(one[key] for one in found) for key in found[0]}


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="100 MB and three runs instead of 1 GB and five")
    parser.add_argument("--row", choices=ROWS, action="append", help="only this row; may be given again")
    chosen = parser.parse_args()
    megabytes, runs = (100, 3) if chosen.quick else (1_000, 5)
    lowest = floor(min(megabytes, 100))
    print(f"{megabytes} MB, medians of {runs}; floor (decoding in memory): {lowest:.2f} CPU s/GB\n")
    print("| archive | MB/s | records/s | CPU s/GB | times the floor | MiB above imports |")
    print("|---|---|---|---|---|---|")
    for name in chosen.row or ROWS:
        with served(megabytes, ROWS[name]) as url:
            row = measured(url, runs)
        cpu = row["cpu"] / row["bytes"] * 1e9
        speed, records = row["bytes"] / row["seconds"] / 1e6, row["records"] / row["seconds"]
        print(f"| {name} | {speed:.0f} | {records:,.0f} | {cpu:.2f} | {cpu / lowest:.2f} | {row['growth_mib']:.0f} |")


if __name__ == "__main__":
    main()
