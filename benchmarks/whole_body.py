"""The way of Airflow's HttpToS3Operator: ``python -m benchmarks.whole_body URL`` takes the body whole into memory.

That operator hands ``response.content`` to ``S3Hook.load_bytes``; here it is only read, and nothing is looked at.
"""

from __future__ import annotations

import json
import sys
import time

import httpx

from airflow_provider_genesys.pipeline.memory import peak_memory_mb
from benchmarks.load import MIB


def main(url: str) -> None:
    """Read the body, and print what that took."""
    base = peak_memory_mb() * 1e6 / MIB
    cpu, began = time.process_time(), time.perf_counter()
    size = len(httpx.get(url, timeout=60).content)
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - began,
                "cpu": time.process_time() - cpu,
                "bytes": size,
                "peak_mib": peak_memory_mb() * 1e6 / MIB,
                "base_mib": base,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
