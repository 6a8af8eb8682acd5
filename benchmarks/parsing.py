"""What the DAG processor pays: ``python -m benchmarks.parsing DAG_FILE``. Beyond what Airflow itself has loaded.

Prints milliseconds for the provider's imports and for the whole file, and which heavy packages that brought in.
"""

from __future__ import annotations

import json
import runpy
import sys
import time

import airflow.providers.standard.triggers.temporal
import airflow.sdk
import airflow.timetables.interval  # noqa: F401 - what any DAG with such a schedule has loaded

HEAVY = ("pandas", "pyarrow", "boto3", "botocore", "httpx", "psycopg", "azure", "numpy")


def main(path: str) -> None:
    """Parse the file, and print what that took."""
    before = set(sys.modules)
    began = time.perf_counter()
    runpy.run_path(path)
    milliseconds = 1000 * (time.perf_counter() - began)
    brought = sorted(name for name in HEAVY if name in sys.modules and name not in before)
    print(json.dumps({"parse_ms": milliseconds, "heavy": len(brought), "modules": len(set(sys.modules) - before)}))


if __name__ == "__main__":
    main(sys.argv[1])
