"""How long one archive takes with N workers, from costs measured here: ``python -m benchmarks.scaling [GB]``.

Each worker is taken to have a core of its own, and store, network and database to give what they are asked for: the
curve is the provider's own, an upper limit of what any installation reaches. What Airflow takes to start a task is
assumed, see ``START``.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass, replace

from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.pipeline.shards import join_certificates
from benchmarks.archives import shelf
from benchmarks.load import a_load, download
from benchmarks.null_sink import PackingSink
from benchmarks.shards import load, plan

MEGABYTES = 100
CUTS = 16
START = 2.0
"""Seconds to start a task: an assumption, to be replaced by what your Airflow takes."""
SHARD = 1e9
"""Bytes of a shard."""
WORKERS = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Costs:
    """What was measured: bytes a second of one worker, and seconds."""

    rate: float
    cut: float
    shard: float
    """What a shard costs beside its bytes."""
    join: float
    """To each shard."""

    def seconds(self, size: float, workers: int) -> float:
        """Return what ``size`` bytes take: plan, rounds of shards, joining."""
        count = math.ceil(size / SHARD)
        rounds = math.ceil(count / workers)
        each = START + self.shard + size / count / self.rate
        return START + count * self.cut + rounds * each + count * self.join

    def __str__(self) -> str:
        milliseconds = f"a cut {self.cut * 1e3:.1f} ms, a shard {self.shard * 1e3:.1f} ms"
        return f"a worker {self.rate / 1e6:.0f} MB/s, {milliseconds}, joining it {self.join * 1e6:.0f} µs"


def measured(url: str) -> Costs:
    """Measure with the archive at ``url``."""
    began = time.perf_counter()
    whole = run(a_load(), download(url), PackingSink(), Options())
    loaded = time.perf_counter()
    shards = plan(url, CUTS)
    cut = time.perf_counter()
    certificates = [load(url, shard) for shard in shards]
    joining = time.perf_counter()
    join_certificates(certificates)
    joined = time.perf_counter()
    load(url, replace(shards[0], end=shards[0].start))
    empty = time.perf_counter()
    return Costs(
        whole.bytes_read / (loaded - began), (cut - loaded) / CUTS, empty - joined, (joined - joining) / len(shards)
    )


def main() -> None:
    """Measure, and print the curve."""
    size = float(sys.argv[1]) * 1e9 if len(sys.argv) > 1 else 100e9
    with shelf() as archives:
        costs = measured(archives.url("ndjson", MEGABYTES))
    print(f"{costs}\n\n{size / 1e9:.0f} GB:\n\n| workers | minutes | times as fast |\n|---|---|---|")
    one = costs.seconds(size, 1)
    for workers in WORKERS:
        seconds = costs.seconds(size, workers)
        print(f"| {workers} | {seconds / 60:.1f} | {one / seconds:.1f} |")


if __name__ == "__main__":
    main()
