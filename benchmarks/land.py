"""One measured landing: ``python -m benchmarks.land URL ENDPOINT/BUCKET``, the archive as it is, into S3."""

from __future__ import annotations

import json
import sys
import time

from airflow_provider_genesys.pipeline.land import land
from airflow_provider_genesys.pipeline.memory import peak_memory_mb
from airflow_provider_genesys.pipeline.run import Options
from airflow_provider_genesys.sinks.s3 import S3Sink
from benchmarks.clients import s3_client
from benchmarks.load import MIB, a_load, download


def main(url: str, place: str) -> None:
    """Land, and print what that took."""
    client, bucket = s3_client(place)
    sink = S3Sink(lambda: client, bucket, f"landed/{time.time_ns()}", dead_letter_raw="drop")
    landing = sink.landing()
    base, began = peak_memory_mb() * 1e6 / MIB, time.perf_counter()
    certificate = land(a_load(), {}, download(url), landing, Options())
    figures = {
        "seconds": time.perf_counter() - began,
        "bytes": certificate.bytes_read,
        "peak_mib": peak_memory_mb() * 1e6 / MIB,
        "base_mib": base,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
