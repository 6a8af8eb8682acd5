"""One archive loaded by N processes at once: ``python -m benchmarks.shards URL N``. Prints one line of JSON.

The time is that of the whole: the plan, the loads, and the joining of their certificates.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from dataclasses import replace
from datetime import datetime, timezone

from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.pipeline.shards import join_certificates
from airflow_provider_genesys.source.shards import Shard, plan_shards
from benchmarks.load import a_load, download
from benchmarks.null_sink import NullSink


def load(url: str, shard: Shard) -> Certificate:
    """Load one shard into nothing."""
    return run(replace(a_load(), shard=shard.number, range=shard), download(url), NullSink(), Options())


def plan(url: str, count: int) -> list[Shard]:
    """Cut the archive at ``url``."""
    begin = Checkpoint("bench", "bench", "")
    now = datetime.now(timezone.utc).isoformat()
    archive = download(url)
    return plan_shards(
        lambda known: archive(replace(begin, source=known)), "bench", shard_size=1, max_shards=count, now=now
    )


def main() -> None:
    """Load, and print what that took."""
    url, count = sys.argv[1], int(sys.argv[2])
    with multiprocessing.get_context("fork").Pool(count) as pool:
        began = time.perf_counter()
        shards = plan(url, count)
        planned = time.perf_counter()
        joint = join_certificates(pool.starmap(load, [(url, shard) for shard in shards]))
        ended = time.perf_counter()
    figures = {
        "seconds": ended - began,
        "plan_s": planned - began,
        "bytes": joint.bytes_read,
        "records": joint.counts.read,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
