"""One measured load of the listing ``users``: ``python -m benchmarks.listing CONNECTION PAGE_SIZE [DSN]``.

Into a sink that counts, or as a snapshot with history into PostgreSQL. Prints what :mod:`.processes` wants to know.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import timedelta
from functools import partial

from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.http.client import CloudClient
from airflow_provider_genesys.entities.declaration import built_in
from airflow_provider_genesys.entities.walk import ListingWalk
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.pipeline.memory import peak_memory_mb
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.pipeline.sink import Sink
from benchmarks.archives import DAY
from benchmarks.null_sink import NullSink

MIB = 2**20


def main() -> None:
    """Load, and print what that took."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("connection", help="of the server, JSON")
    parser.add_argument("page_size", type=int)
    parser.add_argument("dsn", nargs="?", help="of the database that the snapshot is loaded into")
    chosen = parser.parse_args()
    listing, sink = built_in("users"), _sink(chosen.dsn)
    load = Load("bench", "bench", "users", DAY, DAY + timedelta(days=1), DAY, listing.contract, "bench")
    with CloudClient(CloudConfig.from_connection(**json.loads(chosen.connection))) as client:
        walk = ListingWalk(client, listing, page_size=chosen.page_size)
        cpu, base = time.process_time(), peak_memory_mb() * 1e6 / MIB
        began = time.perf_counter()
        certificate = run(load, lambda _: walk.pages("bench"), sink, Options())
        figures = {
            "seconds": time.perf_counter() - began,
            "cpu": time.process_time() - cpu,
            "bytes": certificate.bytes_read,
            "records": certificate.counts.written,
            "peak_mib": peak_memory_mb() * 1e6 / MIB,
            "base_mib": base,
        }
    print(json.dumps(figures))


def _sink(dsn: str | None) -> Sink:
    if dsn is None:
        return NullSink()
    import psycopg

    from airflow_provider_genesys.sinks.postgres.snapshots import Snapshots, SnapshotSink

    connect = partial(psycopg.connect, dsn)
    return SnapshotSink(connect, "users", Snapshots(history=True), schema="public", dead_letter_raw="drop")


if __name__ == "__main__":
    main()
