"""One measured load: ``python -m benchmarks.load URL``. Prints one line of JSON, see :mod:`.processes`.

The whole path as a user runs it: proof of identity, unpacking, splitting with offsets, contract, drift, dead letters,
checkpoints; only the sink differs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

from airflow_provider_genesys.contracts.contract import RECORDINGS
from airflow_provider_genesys.pipeline import workers
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.pipeline.memory import peak_memory_mb
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.pipeline.sink import Sink
from airflow_provider_genesys.source.download import Download
from benchmarks.archives import DAY
from benchmarks.clients import aws_client, azure_container, new_queue, s3_client
from benchmarks.null_sink import NullSink, PackingSink, SlowSink

MIB = 2**20


@dataclass(frozen=True)
class Url:
    """A URL that is good for the time of a benchmark."""

    url: str
    expires_at: datetime = datetime.now(timezone.utc) + timedelta(days=1)


def a_load() -> Load:
    """Return what is loaded."""
    return Load("bench", "bench", "recordings", DAY, DAY + timedelta(days=1), DAY, RECORDINGS, "bench")


def download(url: str) -> Callable[[Any], Download]:
    """Return what makes the download of ``url`` for a checkpoint."""
    return lambda start: Download(lambda _: Url(url), "bench", identity=start.source)


def _s3(place: str) -> Sink:
    from airflow_provider_genesys.sinks.s3 import S3Sink

    client, bucket = s3_client(place)
    return S3Sink(lambda: client, bucket, f"bench/{time.time_ns()}", dead_letter_raw="drop")


def _azure(place: str) -> Sink:
    from airflow_provider_genesys.sinks.azure_blob import AzureBlobSink

    container = azure_container(place)
    return AzureBlobSink(lambda: container, f"bench/{time.time_ns()}", dead_letter_raw="drop")


def _sqs(place: str) -> Sink:
    """Return a sink of new queues at the endpoint ``place``."""
    from airflow_provider_genesys.checkpoints.dynamodb import DynamoDBCheckpointStore
    from airflow_provider_genesys.sinks.sqs.settings import SqsSettings
    from airflow_provider_genesys.sinks.sqs.sink import CLIENT_CONFIG, SqsSink

    queues = aws_client("sqs", place, {**CLIENT_CONFIG, "max_pool_connections": 8})
    table = aws_client("dynamodb", place, CLIENT_CONFIG)
    settings = SqsSettings(new_queue(queues), new_queue(queues), dead_letter_raw="drop", max_in_flight=8)
    store = partial(DynamoDBCheckpointStore, lambda: table, table="bench", create_table=True)
    return SqsSink(lambda: queues, store, settings)


def _postgres(place: str) -> Sink:
    import psycopg

    from airflow_provider_genesys.sinks.postgres.sink import PostgresSink

    return PostgresSink(lambda: psycopg.connect(place), f"bench_{time.time_ns()}", dead_letter_raw="drop")


def _folder(output_format: Any) -> Callable[[str], Sink]:
    def make(place: str) -> Sink:
        from airflow_provider_genesys.sinks.local import LocalSink

        return LocalSink(place, output_format, dead_letter_raw="drop")

    return make


SINKS: dict[str, Callable[[str], Sink]] = {
    "null": lambda _: NullSink(),
    "null-gzip": lambda _: PackingSink(),
    "slow": lambda rate: SlowSink(float(rate)),
    "s3": _s3,
    "azure": _azure,
    "sqs": _sqs,
    "postgres": _postgres,
    "ndjson.gz": _folder("ndjson.gz"),
    "parquet": _folder("parquet"),
}


def _shared_memory() -> Callable[[], int]:
    """Keep the files that are shared with worker processes. Return what returns the bytes that they hold."""
    make, files = workers.shared_file, list[int]()

    def kept() -> int:
        files.append(os.dup(made := make()))
        return made

    workers.shared_file = kept
    return lambda: 512 * sum(os.fstat(file).st_blocks for file in files)


def main() -> None:
    """Load, and print what that took."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("url")
    parser.add_argument("--sink", choices=SINKS, default="null")
    parser.add_argument("--place", default="", help="of the sink: a folder, a DSN, ENDPOINT/BUCKET, bytes a second")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--cores", type=int, help="pin the load to so many cores; all that there are, by default")
    chosen = parser.parse_args()
    if chosen.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: chosen.cores])
    sink = SINKS[chosen.sink](chosen.place)
    shared = _shared_memory()
    cpu, base = time.process_time(), peak_memory_mb() * 1e6 / MIB
    began = time.perf_counter()
    certificate = run(a_load(), download(chosen.url), sink, Options(processes=chosen.processes))
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    of_workers = shared() + (chosen.processes > 1) * chosen.processes * children.ru_maxrss * 1024
    figures = {
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - cpu + children.ru_utime + children.ru_stime,
        "bytes": certificate.bytes_read,
        "records": certificate.counts.read,
        "peak_mib": (peak_memory_mb() * 1e6 + of_workers) / MIB,
        "base_mib": base,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
