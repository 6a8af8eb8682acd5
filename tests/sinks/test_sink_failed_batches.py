"""A real sink that does not take a batch until the retries are spent: its ledger says so, the next try brings it in."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from airflow_provider_genesys.exceptions import SinkUnavailableError
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.pipeline.sink import Sink
from airflow_provider_genesys.sinks.objects.ledger import Ledger
from airflow_provider_genesys.stores.s3 import S3Store
from tests.sinks.flaky import FlakyProxy
from tests.sinks.lake import LEDGER, client_for
from tests.sinks.warehouse import Warehouse
from tests.unit.pipeline.sources import InMemory, a_load

SECRET = "a value of a row"  # noqa: S105 - that no error, ledger or checkpoint may quote
LINES = [
    json.dumps(
        {"recordingId": f"r{n:03}", "timestamp": "2026-11-22T10:00:00Z", "durationMs": 1, "conversationId": SECRET}
    ).encode()
    for n in range(40)
]
ARCHIVE = b"\n".join(LINES) + b"\n"
LENGTH = len(LINES[0]) + 1
OPTIONS = Options(batch_size=10, flush_interval=60.0)


def attempt(sink: Sink, watch: Any = lambda _: None) -> Any:
    return run(a_load(), InMemory(ARCHIVE), sink, OPTIONS, watch)


def test_postgres_keeps_a_batch_that_met_a_lock_for_too_long(warehouse: Warehouse) -> None:
    blocker = warehouse.connect()

    def lock_after_two_batches(checkpoint: Any) -> None:
        if checkpoint.position.record_offset == 20 * LENGTH and not checkpoint.failed_batches:
            blocker.execute("LOCK TABLE recordings IN ACCESS EXCLUSIVE MODE")

    def impatient() -> psycopg.Connection[Any]:
        warehouse.connections.append(psycopg.connect(warehouse.dsn, options="-c lock_timeout=50ms"))
        return warehouse.connections[-1]

    with pytest.raises(SinkUnavailableError, match=f"export-1 .*bytes {20 * LENGTH} to {30 * LENGTH}"):
        attempt(warehouse.sink(connect=impatient, retries=1), lock_after_two_batches)
    (failed,) = warehouse.ledger()["checkpoint"]["failed_batches"]
    assert (failed["start"], failed["end"], failed["records"]) == (20 * LENGTH, 30 * LENGTH, 10)
    assert (failed["error"], failed["code"]) == ("SinkUnavailableError", "55P03")
    assert SECRET not in json.dumps(failed)

    blocker.rollback()
    certificate = attempt(warehouse.sink())
    assert [one.resolved for one in certificate.failed_batches] == [True]
    assert warehouse.ledger()["certificate"]["failed_batches"][0]["resolved"]
    assert [row["recording_id"] for row in warehouse.rows()] == [f"r{n:03}" for n in range(40)]


def test_s3_keeps_a_part_that_the_store_answered_with_500(
    new_sink: Callable[..., Sink], client: Any, bucket: str, proxy: FlakyProxy
) -> None:
    # The parts are refused for ever, the ledger's entries are not.
    proxy.rule = lambda method, path: "slow-down" if method == "PUT" and f"-{40 * LENGTH:015}-" in path else None
    settings = {"part_size": 20 * LENGTH, "client": client_for(proxy.endpoint_url)}
    with pytest.raises(SinkUnavailableError, match=f"Export export-1, bytes {30 * LENGTH} to {40 * LENGTH}"):
        attempt(new_sink(**settings))
    latest = Ledger(S3Store(client, bucket), LEDGER, "conditional").latest()
    assert latest is not None
    assert latest.checkpoint is not None
    (failed,) = latest.checkpoint.failed_batches
    assert (failed.start, failed.end, failed.records) == (20 * LENGTH, 40 * LENGTH, 20)

    proxy.rule = lambda _method, _path: None
    certificate = attempt(new_sink(**settings))
    assert [one.resolved for one in certificate.failed_batches] == [True]
    assert certificate.counts.written == 40
    assert sum(part["rows"] for part in certificate.parts) == 40
