"""One measured load from cursor pages: ``python -m benchmarks.pages CONNECTION PAGE_SIZE``; see :mod:`.processes`.

A day of conversations, through contract and child tables, into a sink that counts what it is given.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import timedelta

from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.exports.base import ExportRequest
from airflow_provider_genesys.cloud.exports.handle import make_handle
from airflow_provider_genesys.cloud.exports.registry import family
from airflow_provider_genesys.cloud.http.client import CloudClient
from airflow_provider_genesys.contracts.contract import resolve
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.pipeline.memory import peak_memory_mb
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.sinks.objects.row_parts import ChildTable
from airflow_provider_genesys.source.pages import Pages, open_pages
from benchmarks.archives import DAY
from benchmarks.null_sink import NullSink

MIB = 2**20
KIND = "conversation_details"


class ChildSink(NullSink):
    """Makes the rows of every child table, and throws them away."""

    writes_children = True

    def open(self, load: Load, *, restart: bool) -> Checkpoint | None:
        """Begin."""
        self._children = [ChildTable(load.contract, child) for child in load.contract.children]
        self.children = 0
        return super().open(load, restart=restart)

    def write(self, batch: Batch) -> Checkpoint:
        """Count the batch, and what its rows have many of."""
        for child in self._children:
            self.children += len(child.of(batch).rows)
        return super().write(batch)


def main() -> None:
    """Load, and print what that took."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("connection", help="of the server, JSON")
    parser.add_argument("page_size", type=int)
    chosen = parser.parse_args()
    given = json.loads(chosen.connection)
    config = CloudConfig.from_connection(**given)
    load = Load("bench", "bench", KIND, DAY, DAY + timedelta(days=1), DAY, resolve(None, kind=KIND), "bench")
    sink = ChildSink()
    with CloudClient(config) as client:
        found = family(KIND, config)
        by_day = {"startOfDayIntervalMatching": True}
        export_id = found.create(client, ExportRequest(load.window_start, load.window_end, options=by_day))
        handle = make_handle(found.status(client, export_id), config.client_secret)
        cpu, base = time.process_time(), peak_memory_mb() * 1e6 / MIB
        began = time.perf_counter()

        def pages(_: Checkpoint) -> Pages:
            opened = open_pages(handle, client, page_size=chosen.page_size)
            assert opened is not None  # noqa: S101 - the kind has pages
            return opened

        certificate = run(load, pages, sink, Options())
        figures = {
            "seconds": time.perf_counter() - began,
            "cpu": time.process_time() - cpu,
            "bytes": certificate.bytes_read,
            "records": certificate.counts.read,
            "children": sink.children,
            "peak_mib": peak_memory_mb() * 1e6 / MIB,
            "base_mib": base,
        }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
