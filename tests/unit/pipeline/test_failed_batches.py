"""What the sink did not take is in its ledger, is seen, and is taken up by the next try."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import SinkUnavailableError
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.pipeline.failed_batches import MOST
from airflow_provider_genesys.pipeline.run import Options, run
from tests.unit.pipeline.memory_sink import MemorySink, Shelf
from tests.unit.pipeline.sources import InMemory, a_load

LINES = [
    json.dumps({"recordingId": f"r{n:03}", "timestamp": "2026-11-22T10:00:00Z", "durationMs": 1}).encode() + b"\n"
    for n in range(40)
]
LENGTH = len(LINES[0])
OPTIONS = Options(batch_size=10, flush_interval=60.0, max_dead_letter_ratio=None)


def attempt(shelf: Shelf, watch: Any = lambda _: None, **sink: Any) -> Any:
    return run(a_load(), InMemory(b"".join(LINES)), MemorySink(shelf, **sink), OPTIONS, watch)


def test_a_failed_batch_is_kept_and_taken_up_once() -> None:
    shelf, seen = Shelf(), list[Checkpoint]()
    with pytest.raises(SinkUnavailableError):
        attempt(shelf, seen.append, fail_at=2)
    assert shelf.checkpoint is not None
    (failed,) = shelf.checkpoint.failed_batches
    assert (failed.start, failed.end, failed.records) == (20 * LENGTH, 30 * LENGTH, 10)
    assert (failed.error, failed.code, failed.run_id) == ("SinkUnavailableError", None, "dag/run/task")
    assert not failed.resolved
    assert seen[-1].failed_batches == [failed]
    certificate = attempt(shelf)
    assert [(one.start, one.resolved) for one in certificate.failed_batches] == [(20 * LENGTH, True)]
    assert [row[0] for row in shelf.rows] == [f"r{n:03}" for n in range(40)]


def test_the_first_batch_can_fail_too() -> None:
    shelf = Shelf()
    with pytest.raises(SinkUnavailableError):
        attempt(shelf, fail_at=0)
    assert shelf.checkpoint is not None
    assert shelf.checkpoint.position.record_offset == 0
    assert [(one.start, one.records) for one in shelf.checkpoint.failed_batches] == [(0, 10)]
    assert attempt(shelf).counts.written == 40


def test_a_part_that_was_gathered_fails_from_its_beginning() -> None:
    shelf = Shelf()
    with pytest.raises(SinkUnavailableError):
        attempt(shelf, fail_at=3, cut_every=20 * LENGTH)
    assert shelf.checkpoint is not None
    (failed,) = shelf.checkpoint.failed_batches
    assert (failed.start, failed.end, failed.records) == (20 * LENGTH, 40 * LENGTH, 20)


def test_a_batch_that_landed_though_its_answer_was_lost_stays_as_it_is() -> None:
    shelf = Shelf()
    with pytest.raises(SinkUnavailableError):
        attempt(shelf, fail_at=1, answered=False)
    assert shelf.checkpoint is not None
    assert shelf.checkpoint.position.record_offset == 20 * LENGTH
    assert shelf.checkpoint.failed_batches == []


def test_a_ledger_that_is_gone_too_does_not_hide_what_happened(caplog: pytest.LogCaptureFixture) -> None:
    class Gone(MemorySink):
        def keep(self, checkpoint: Checkpoint) -> None:
            raise OSError("no ledger")

    with pytest.raises(SinkUnavailableError, match="broken down"):
        run(a_load(), InMemory(b"".join(LINES)), Gone(Shelf(), fail_at=1), OPTIONS)
    assert f"bytes {10 * LENGTH} to {20 * LENGTH} of export export-1" in caplog.text


def test_the_newest_failures_are_kept() -> None:
    shelf = Shelf()
    for _ in range(MOST + 1):
        with pytest.raises(SinkUnavailableError):
            attempt(shelf, fail_at=0)
    assert shelf.checkpoint is not None
    assert len(shelf.checkpoint.failed_batches) == MOST
