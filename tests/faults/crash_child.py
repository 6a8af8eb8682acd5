"""Runs loads in child processes that can be killed at any step.

It is started once, imports everything, and forks a child for each job: a fork costs milliseconds, the imports half a
second. It starts no thread and opens no connection itself, so that a fork takes nothing along that it should not.

Jobs come as lines of JSON on stdin, and for each of them one answer goes to stdout.
"""

from __future__ import annotations

import gc
import json
import os
import random
import select
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, replace
from datetime import datetime, timezone
from functools import partial
from importlib import import_module
from typing import Any

import psycopg
from azure.storage.blob import BlobServiceClient

from airflow_provider_genesys import failpoints
from airflow_provider_genesys.checkpoints.dynamodb import DynamoDBCheckpointStore
from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.exports.handle import open_handle
from airflow_provider_genesys.cloud.http.client import CloudClient
from airflow_provider_genesys.contracts.contract import resolve
from airflow_provider_genesys.media.batches import Patience
from airflow_provider_genesys.media.open import open_media
from airflow_provider_genesys.media.store import MediaStore
from airflow_provider_genesys.pipeline import run
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.pipeline.land import land
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.pipeline.sink import Sink
from airflow_provider_genesys.sinks.azure_blob import AzureBlobSink
from airflow_provider_genesys.sinks.gcs import GCSSink
from airflow_provider_genesys.sinks.local import LocalSink
from airflow_provider_genesys.sinks.objects.publish import Publisher
from airflow_provider_genesys.sinks.objects.raw_landing import RawLanding
from airflow_provider_genesys.sinks.postgres.sink import PostgresSink
from airflow_provider_genesys.sinks.postgres.straight import Straight
from airflow_provider_genesys.sinks.s3 import S3Sink
from airflow_provider_genesys.sinks.sqs.settings import SqsSettings
from airflow_provider_genesys.sinks.sqs.sink import SqsSink
from airflow_provider_genesys.source import document
from airflow_provider_genesys.source.download import Download
from airflow_provider_genesys.source.download_client import DownloadSettings
from airflow_provider_genesys.source.pages import Pages, open_pages
from airflow_provider_genesys.source.read_ahead import Handover
from airflow_provider_genesys.stores import piece_writer
from airflow_provider_genesys.stores.azure_blob import AzureStore
from airflow_provider_genesys.stores.base import ObjectStore
from airflow_provider_genesys.stores.gcs import GCSStore
from airflow_provider_genesys.stores.s3 import S3Store
from airflow_provider_genesys.testing.services.azure import connection_string
from airflow_provider_genesys.testing.services.gcs import client_for as gcs_client
from tests.faults.dying_workers import DyingWorker, left_by, share_with_workers
from tests.sinks.gcs import CIPHER
from tests.sinks.lake import client_for
from tests.sinks.queues import sqs_client

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc), datetime(2026, 11, 23, tzinfo=timezone.utc)
LONGEST = 60.0
"""Seconds after which a child that hangs is ended, so that none is left behind."""
MOST_AT_A_TIME = 0.02
"""Seconds that a child runs between two stops, at most."""


def main() -> None:
    gcs_client("http://127.0.0.1:9")  # it is imported once, too
    client_for("http://127.0.0.1:9").get_paginator("list_objects_v2")  # botocore reads its descriptions once for all
    for service in ("sqs", "dynamodb"):
        sqs_client("http://127.0.0.1:9", service)
    for kind in ("recordings", "conversation_details"):
        resolve(None, kind=kind)  # and so are the contracts
    os.fsync = lambda _: None  # a killed process loses nothing that the kernel has
    gc.disable()
    gc.freeze()  # else the first collection in each fork would copy every page
    print("ready", flush=True)  # noqa: T201 - the answer
    for line in sys.stdin:
        print(json.dumps(forked(json.loads(line))), flush=True)  # noqa: T201 - the answer


def forked(job: dict[str, Any]) -> dict[str, Any]:
    """Run ``job`` in a child; return its answer and the signal that ended it."""
    if "catalog" in job["place"]:
        import_module("tests.lake.tables")  # once, for all forks; it takes seconds
    answer, child_end = os.pipe()
    child = os.fork()
    if not child:
        os.close(answer)
        work(job, child_end)
    os.close(child_end)
    if "waits" in job:
        stop_and_continue(child, answer, random.Random(job["waits"]))  # noqa: S311 - the same each time
    # It is readable when the child has answered or died.
    if not select.select([answer], [], [], job.get("seconds", LONGEST))[0]:
        os.kill(child, signal.SIGKILL)
    with os.fdopen(answer, "rb") as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    return {"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, **(json.loads(text) if text else {})}


def stop_and_continue(child: int, answer: int, chance: random.Random) -> None:
    """Stop the child at random moments, each time as long as it ran before, until it has answered."""
    runs = chance.uniform(0, MOST_AT_A_TIME)
    while not select.select([answer], [], [], runs)[0]:
        os.kill(child, signal.SIGSTOP)
        time.sleep(runs)
        os.kill(child, signal.SIGCONT)
        runs = chance.uniform(0, MOST_AT_A_TIME)


def work(job: dict[str, Any], answer: int) -> None:
    """Load, answer, and end without any of the parent's leave-taking."""
    begun = time.monotonic()
    try:
        done = asdict(load(job))
    except BaseException as error:  # noqa: BLE001 - the test shows it
        done = {"error": f"{type(error).__name__}: {error}"}
    done |= {"steps": Counter(seen), "took": time.monotonic() - begun}
    done |= {"dead_workers": len(DyingWorker.dead), "left": left_by(os.getpid())}
    os.write(answer, json.dumps(done).encode())
    os._exit(0)


seen: list[str] = []


def listener(job: dict[str, Any]) -> Callable[[str], None]:
    """Return what kills this process at the job's step."""

    chance = random.Random(job.get("waits"))  # noqa: S311 - the same each time

    def hear(step: str) -> None:
        seen.append(step)
        if "waits" in job:
            time.sleep(chance.choice((0, 0, 0, 0.001, 0.003)))
        if step == job.get("step") and seen.count(step) == job["nth"]:
            WAYS[job.get("way", "SIGKILL")]()

    return hear


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def terminate() -> None:
    """End as a process does that hears SIGTERM and takes its leave: the main thread, wherever it is."""
    os.kill(os.getpid(), signal.SIGTERM)


def run_out_of_memory() -> None:
    raise MemoryError


WAYS: dict[str, Callable[[], None]] = {"SIGKILL": die, "SIGTERM": terminate, "MemoryError": run_out_of_memory}


class DyingDownload(Download):
    """Dies, in the thread that reads ahead, when a given number of bytes have come; or delays its bytes."""

    dies_after: int | None = None
    waits: random.Random | None = None

    def read(self, start: int) -> Iterator[bytes]:
        received = 0
        for chunk in super().read(start):
            received += len(chunk)
            if self.dies_after is not None and received > self.dies_after:
                die()
            yield from in_drops(chunk, self.waits) if self.waits else [chunk]


def in_drops(chunk: bytes, chance: random.Random) -> Iterator[bytes]:
    """Yield ``chunk`` in pieces of random sizes, with pauses between some."""
    begin = 0
    while begin < len(chunk):
        end = begin + chance.randint(1, 8_000)
        yield chunk[begin:end]
        begin = end
        time.sleep(chance.choice((0, 0, 0.002)))


def load(job: dict[str, Any]) -> Any:
    failpoints.hook = listener(job)
    if "mark" in job:
        share_with_workers(job["mark"], *job.get("worker", ()))
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit("SIGTERM"))
    piece_writer.PIECE = job["place"].get("piece", 5 * 2**20)
    # So that bytes come as fast as they are written, and a kill at any of them finds the sink at work.
    document.Handover = partial(Handover, limit=64 * 1024, piece=32 * 1024)
    DyingDownload.dies_after = job.get("bytes")
    DyingDownload.waits = random.Random(job["waits"]) if "waits" in job else None  # noqa: S311 - the same each time
    tempfile.tempdir = job.get("temporary")
    # Each attempt would begin with a time of its own; only the first that commits may leave it in the rows.
    run.beginning_of = lambda _, load, processed_at: Checkpoint(
        load.load_id, load.export_id, processed_at or job["processed_at"]
    )
    config = CloudConfig.from_connection(**job["connection"])
    with CloudClient(config) as client:
        handle = job["handle"]
        export_id, kind = handle["export_id"], handle["kind"]

        def result(start: Checkpoint) -> Download | Pages:
            return open_pages(handle, client, page_size=job["page_size"]) or download(start)

        def download(start: Checkpoint) -> Download:
            return DyingDownload(
                lambda fresh: open_handle(handle, client, fresh=fresh),
                export_id,
                start.source,
                DownloadSettings(timeout=10, verify=False),
            )

        options = run.Options(batch_size=job["batch_size"], flush_interval=0.001 if "waits" in job else 10)
        if "mark" in job:
            options = replace(options, processes=2)
        contract = replace(resolve(None, kind=kind), records_path=job.get("records_path"))
        submitted_at = datetime.fromisoformat(job["submitted_at"]) if "submitted_at" in job else DAY[1]
        whole = Load("load", export_id, kind, *DAY, submitted_at, contract, "test")
        if job["place"].get("raw"):
            return land(whole, {}, download, LANDINGS[job["sink"]](job["place"]), options)
        if bucket := job["place"].get("media_bucket"):
            store = MediaStore(media_in(job["place"], bucket), "media")
            settings = {"page_size": job["page_size"], "at_once": 3, "patience": Patience(0.01, 0.05, 20)}
            media, jobs = open_media(handle, client, store, **settings)
            with closing(media):
                pages = Pages(media.read, export_id, jobs=jobs)
                return run.run(whole, lambda _: pages, postgres(job["place"]), options)
        sink = SINKS[job["sink"].partition("-")[0]]
        return run.run(whole, result, sink(job["place"]), options)


def media_in(place: dict[str, Any], bucket: str) -> ObjectStore:
    if "gcs_url" in place:
        return GCSStore(gcs_client(place["gcs_url"]).bucket(bucket))
    if "account_url" in place:
        account = BlobServiceClient.from_connection_string(connection_string(place["account_url"]))
        return AzureStore(account.get_container_client(bucket))
    return S3Store(client_for(place["endpoint_url"]), bucket)


def postgres(place: dict[str, Any]) -> Sink:
    if not place.get("straight", True):
        Straight.is_due = property(lambda _: False)  # type: ignore[assignment, method-assign]
    return PostgresSink(
        lambda: psycopg.connect(place["dsn"]),
        "recordings",
        schema=place["schema"],
        publish=place["publish"],
        write_mode=place["write_mode"],
        child_tables=place["publish"] == "batches",
        commit_rows=place.get("commit_rows", 1),
        dead_letter_raw="keep",
    )


def s3(place: dict[str, Any]) -> Sink:
    return S3Sink(
        lambda: client_for(place["endpoint_url"]),
        place["bucket"],
        place["prefix"],
        output_format=place["output_format"],
        part_size=place["part_size"],
        dead_letter_raw="keep",
        publisher=publisher(place),
    )


def publisher(place: dict[str, Any]) -> Publisher | None:
    if "catalog" not in place:
        return None
    return import_module("tests.lake.tables").Lake(**place["catalog"]).publisher()  # type: ignore[no-any-return]


def local(place: dict[str, Any]) -> Sink:
    return LocalSink(place["folder"], place["output_format"], part_size=place["part_size"], dead_letter_raw="keep")


def azure(place: dict[str, Any]) -> Sink:
    account = BlobServiceClient.from_connection_string(connection_string(place["account_url"]))
    return AzureBlobSink(
        lambda: account.get_container_client(place["container"]),
        place["prefix"],
        output_format=place["output_format"],
        part_size=place["part_size"],
        dead_letter_raw="keep",
        publisher=publisher(place),
    )


def gcs(place: dict[str, Any]) -> Sink:
    return GCSSink(
        lambda: gcs_client(place["gcs_url"]).bucket(place["bucket"]),
        place["prefix"],
        output_format=place["output_format"],
        part_size=place["part_size"],
        dead_letter_raw="keep",
    )


def landed_in_gcs(place: dict[str, Any]) -> RawLanding:
    bucket = gcs_client(place["gcs_url"]).bucket(place["bucket"])
    settings = {"part_size": place["part_size"], "dead_letter_raw": "drop", "cipher": lambda: CIPHER}
    return GCSSink(lambda: bucket, place["prefix"], **settings).landing()


def landed_in_s3(place: dict[str, Any]) -> RawLanding:
    client = partial(client_for, place["endpoint_url"])
    sink = S3Sink(client, place["bucket"], place["prefix"], part_size=place["part_size"], dead_letter_raw="drop")
    return sink.landing()


def landed_in_azure(place: dict[str, Any]) -> RawLanding:
    account = BlobServiceClient.from_connection_string(connection_string(place["account_url"]))
    container = partial(account.get_container_client, place["container"])
    sink = AzureBlobSink(container, place["prefix"], part_size=place["part_size"], dead_letter_raw="drop")
    return sink.landing()


def landed_in_a_folder(place: dict[str, Any]) -> RawLanding:
    return LocalSink(place["folder"], part_size=place["part_size"], dead_letter_raw="drop").landing()


def sqs(place: dict[str, Any]) -> Sink:
    endpoint = place["endpoint_url"]
    settings = SqsSettings(place["queue_url"], place["dead_letter_queue_url"], dead_letter_raw="keep")
    return SqsSink(
        lambda: sqs_client(endpoint),
        lambda: DynamoDBCheckpointStore(lambda: sqs_client(endpoint, "dynamodb"), table=place["table"]),
        settings,
    )


SINKS: dict[str, Callable[[dict[str, Any]], Sink]] = {
    "postgres": postgres,
    "s3": s3,
    "local": local,
    "azure": azure,
    "gcs": gcs,
    "sqs": sqs,
}

LANDINGS: dict[str, Callable[[dict[str, Any]], RawLanding]] = {
    "s3": landed_in_s3,
    "azure": landed_in_azure,
    "gcs": landed_in_gcs,
    "local": landed_in_a_folder,
}

if __name__ == "__main__":
    main()
