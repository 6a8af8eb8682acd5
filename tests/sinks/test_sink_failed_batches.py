"""A real sink that does not take a batch: the error says which, and the next try brings it in."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from airflow_provider_genesys.exceptions import SinkUnavailableError
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.pipeline.sink import Sink
from tests.sinks.flaky import FlakyProxy
from tests.sinks.lake import client_for
from tests.sinks.warehouse import Warehouse
from tests.unit.pipeline.sources import InMemory, a_load

SECRET = "a value of a row"  # noqa: S105 - that no error may quote
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


def test_a_batch_that_met_a_lock_for_too_long(warehouse: Warehouse) -> None:
    blocker = warehouse.connect()

    def lock_after_two_batches(checkpoint: Any) -> None:
        if checkpoint.position.record_offset == 20 * LENGTH:
            blocker.execute("LOCK TABLE recordings IN ACCESS EXCLUSIVE MODE")

    def impatient() -> psycopg.Connection[Any]:
        warehouse.connections.append(psycopg.connect(warehouse.dsn, options="-c lock_timeout=50ms"))
        return warehouse.connections[-1]

    with pytest.raises(SinkUnavailableError, match=f"export-1.*bytes {20 * LENGTH} to {30 * LENGTH}") as caught:
        attempt(warehouse.sink(connect=impatient, retries=1), lock_after_two_batches)
    assert (caught.value.failed, caught.value.code) == ((20 * LENGTH, 30 * LENGTH), "55P03")
    assert SECRET not in str(caught.value)

    blocker.rollback()
    assert attempt(warehouse.sink()).counts.written == 40
    assert [row["recording_id"] for row in warehouse.rows()] == [f"r{n:03}" for n in range(40)]


@pytest.mark.parametrize("position", [20, 0], ids=["behind two batches", "before any"])
def test_a_ledger_of_a_former_release_with_failed_batches_is_gone_on_from(warehouse: Warehouse, position: int) -> None:
    old = {"start": 0, "end": 7, "records": 1, "error": "SinkUnavailableError", "code": None, "resolved": False}
    sink, seen = warehouse.sink(), list[Any]()

    def stop(checkpoint: Any) -> None:
        if checkpoint.position.record_offset >= position * LENGTH:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt(sink, stop)
    change = {"failed_batches": [old]}
    if position == 0:  # as it was kept where the first batch had failed
        warehouse.execute("TRUNCATE recordings")
        change |= asdict(Checkpoint("load-1", "export-1", "2026-11-23T00:00:00+00:00"))
    warehouse.execute("UPDATE genesys_ledger SET checkpoint = checkpoint || %s", Jsonb(change))
    certificate = attempt(warehouse.sink(), seen.append)
    assert seen[0].position.record_offset == (position or 10) * LENGTH
    assert (certificate.counts.written, certificate.attempts) == (40, 2)


def test_a_part_that_the_store_answered_with_500(new_sink: Callable[..., Sink], proxy: FlakyProxy) -> None:
    proxy.rule = lambda method, path: "slow-down" if method == "PUT" and f"-{40 * LENGTH:015}-" in path else None
    settings = {"part_size": 20 * LENGTH, "client": client_for(proxy.endpoint_url)}
    with pytest.raises(SinkUnavailableError, match=f"export-1: bytes {20 * LENGTH} to {40 * LENGTH}") as caught:
        attempt(new_sink(**settings))
    assert caught.value.failed == (20 * LENGTH, 40 * LENGTH)

    proxy.rule = lambda _method, _path: None
    certificate = attempt(new_sink(**settings))
    assert certificate.counts.written == 40
    assert sum(part["rows"] for part in certificate.parts) == 40
