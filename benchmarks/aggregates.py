"""A million rows of aggregates through the contract into a sink that counts: ``python -m benchmarks.aggregates``.

The pages come from memory. What is measured is the processor's time to make rows of groups, and to load them.
"""

from __future__ import annotations

import json
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

PAGES, GROUPS, BUCKETS, METRICS = 50, 100, 20, 10
"""A million rows."""


def main() -> None:
    """Load, and print what that took."""
    dimensions = group_by_of({"request": {"options": {"domain": "conversations"}}})
    contract = built_in(KIND).evolved([Column(name, name, "string") for name in dimensions])
    load = Load("bench", "bench", KIND, DAY, DAY + timedelta(days=1), DAY, contract, "bench")
    family = Aggregates()

    def read(_: int, cursor: str | None) -> Page:
        return family.read_page("conversations:1", _body(int(cursor or 0)))

    bodies = sum(_timed(number) for number in range(PAGES))
    base, began = peak_memory_mb(), time.process_time()
    certificate = run(load, lambda _: Pages(read, "bench"), NullSink(), Options())
    seconds = time.process_time() - began - bodies
    figures = {
        "rows": certificate.counts.written,
        "bytes": certificate.bytes_read,
        "cpu": seconds,
        "mb_per_second": certificate.bytes_read / seconds / 1e6,
        "peak_mb": peak_memory_mb(),
        "base_mb": base,
    }
    print(json.dumps(figures))


def _timed(page: int) -> float:
    began = time.process_time()
    _body(page)
    return time.process_time() - began


def _body(page: int) -> bytes:
    """Return one answer of Genesys."""
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
                "queueId": str(UUID(int=page * GROUPS + group, version=4)),
                "mediaType": "voice",
                "originatingDirection": "inbound",
            },
            "data": data,
        }
        for group in range(GROUPS)
    ]
    return json.dumps({"results": results, "cursor": str(page + 1) if page + 1 < PAGES else None}).encode()


if __name__ == "__main__":
    main()
