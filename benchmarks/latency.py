"""How long a record waits: ``python -m benchmarks.latency URL``. From its last byte's arrival to the sink's ``write``.

Measured for the first record of each batch, which waits longest. Prints p50_ms, p99_ms and the number of batches.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from bisect import bisect_left
from collections.abc import Iterator

from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.pipeline.load import Batch
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.source.download import Download
from benchmarks.load import Url, a_load
from benchmarks.null_sink import NullSink

WARM_UP = 5
"""Batches that are not counted: connections and compiled structs are made while they wait."""


class TimedDownload(Download):
    """Notes when each byte came."""

    def read(self, start: int) -> Iterator[bytes]:
        """Yield what the download yields."""
        self.ends: list[int] = []
        self.times: list[float] = []
        offset = start
        for chunk in super().read(start):
            offset += len(chunk)
            self.times.append(time.perf_counter())
            self.ends.append(offset)
            yield chunk


class TimedSink(NullSink):
    """Notes how long the first record of each batch has waited."""

    def __init__(self, source: TimedDownload) -> None:
        super().__init__()
        self._source = source
        self.waits: list[float] = []

    def write(self, batch: Batch) -> Checkpoint:
        """Note the wait, and count the batch."""
        first_end = batch.offsets[1] if len(batch.offsets) > 1 else batch.end
        self.waits.append(time.perf_counter() - self._source.times[bisect_left(self._source.ends, first_end)])
        return super().write(batch)


def main(url: str) -> None:
    """Load, and print how long records waited."""
    source = TimedDownload(lambda _: Url(url), "bench")
    sink = TimedSink(source)
    run(a_load(), lambda _: source, sink, Options())
    waits = sorted(sink.waits[WARM_UP:])
    p50, p99 = statistics.median(waits), waits[int(0.99 * (len(waits) - 1))]
    print(json.dumps({"p50_ms": 1000 * p50, "p99_ms": 1000 * p99, "batches": len(waits)}))


if __name__ == "__main__":
    main(sys.argv[1])
