"""One measured load: ``python -m benchmarks.load URL``. Prints one line of JSON."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from airflow_provider_genesys.pipeline.contract import RECORDINGS
from airflow_provider_genesys.pipeline.download import Download
from airflow_provider_genesys.pipeline.progress import peak_memory_mb
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.sinks.base import Load
from benchmarks.null_sink import NullSink

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Url:
    """A URL that is good for the time of a benchmark."""

    url: str
    expires_at: datetime = datetime.now(timezone.utc) + timedelta(days=1)


def main(url: str) -> None:
    """Load the archive behind ``url`` and print what that took."""
    load = Load("bench", "bench", "recordings", DAY, DAY + timedelta(days=1), DAY, RECORDINGS, "bench")
    cpu, peak = time.process_time(), peak_memory_mb()
    began = time.monotonic()
    certificate = run(
        load, lambda start: Download(lambda _: Url(url), "bench", known=start.source), NullSink(), Options()
    )
    seconds = time.monotonic() - began
    result = {
        "seconds": seconds,
        "cpu": time.process_time() - cpu,
        "bytes": certificate.bytes_read,
        "records": certificate.counts.read,
        "growth_mib": (peak_memory_mb() - peak) * 1e6 / 2**20,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1])
