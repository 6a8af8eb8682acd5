"""Rows of aggregates through the contract into a sink that counts: ``python -m benchmarks.aggregates PAGES``.

The pages come from memory, at next to no cost. What is measured is to make rows of groups, and to load them.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from uuid import UUID

from airflow_provider_genesys.cloud.exports.aggregates import KIND, Aggregates, group_by_of
from airflow_provider_genesys.cloud.exports.base import Page
from airflow_provider_genesys.contracts.column import Column
from airflow_provider_genesys.contracts.contract import built_in
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.pipeline.memory import peak_memory_mb
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.source.pages import Pages
from airflow_provider_genesys.times import api_time
from benchmarks.archives import DAY
from benchmarks.null_sink import NullSink

MIB = 2**20
GROUPS, BUCKETS, METRICS = 100, 20, 10
"""Of each page: 20,000 rows."""
_PAGE = b"@@@@@@@@"


def main() -> None:
    """Load, and print what that took."""
    pages, answer = int(sys.argv[1]), _answer()
    dimensions = group_by_of({"request": {"options": {"domain": "conversations"}}})
    contract = built_in(KIND).evolved([Column(name, name, "string") for name in dimensions])
    load = Load("bench", "bench", KIND, DAY, DAY + timedelta(days=1), DAY, contract, "bench")
    family = Aggregates()

    def read(_: int, cursor: str | None) -> Page:
        number = int(cursor or 0)
        behind = b'"%d"' % (number + 1) if number + 1 < pages else b"null"
        body = answer.replace(_PAGE, b"%08d" % number).replace(b'"behind"', behind)
        return family.read_page("conversations:1", body)

    base, began, wall = peak_memory_mb(), time.process_time(), time.perf_counter()
    certificate = run(load, lambda _: Pages(read, "bench"), NullSink(), Options())
    figures = {
        "seconds": time.perf_counter() - wall,
        "cpu": time.process_time() - began,
        "bytes": certificate.bytes_read,
        "records": certificate.counts.written,
        "peak_mib": peak_memory_mb() * 1e6 / MIB,
        "base_mib": base * 1e6 / MIB,
    }
    print(json.dumps(figures))


def _answer() -> bytes:
    """Return an answer of Genesys, with :data:`_PAGE` in each group's id and ``"behind"`` as its cursor."""
    metrics = [
        {"metric": f"tMetric{place}", "stats": {"max": 95_000.0, "min": 1_200.0, "count": 37, "sum": 812_345.0}}
        for place in range(METRICS)
    ]
    data = []
    for bucket in range(BUCKETS):
        start = DAY + timedelta(minutes=30 * bucket)
        data.append({"interval": f"{api_time(start)}/{api_time(start + timedelta(minutes=30))}", "metrics": metrics})
    results = [
        {
            "group": {
                "queueId": f"{_PAGE.decode()}{str(UUID(int=group, version=4))[8:]}",
                "mediaType": "voice",
                "originatingDirection": "inbound",
            },
            "data": data,
        }
        for group in range(GROUPS)
    ]
    return json.dumps({"results": results, "cursor": "behind"}).encode()


if __name__ == "__main__":
    main()
