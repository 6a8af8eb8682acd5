"""What ``Sink.keep`` promises, for sinks that claim it: the suite of all sinks, and these tests besides."""
# ruff: noqa: D102, S101 - these are tests, though they are shipped: they assert, and their names say what they show

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from airflow_provider_genesys.exceptions import FencedError
from airflow_provider_genesys.pipeline.checkpoint import FailedBatch
from airflow_provider_genesys.pipeline.sink import Sink
from airflow_provider_genesys.source.position import Position
from airflow_provider_genesys.testing.sink_conformance.place import Place
from airflow_provider_genesys.testing.sink_conformance.source import (
    finish,
    make_checkpoint,
    without_fence,
    write_all,
    write_until_committed,
)
from airflow_provider_genesys.testing.sink_conformance.suite import ACCOUNT, LOAD, SinkConformance, assert_whole

FAILED = FailedBatch(0, 7, 7, "SinkUnavailableError", "busy", "dag/run/task", "2026-11-02T01:00:00+00:00")


class FailedBatchConformance(SinkConformance):
    """Subclass it instead of :class:`SinkConformance` for a sink that keeps what it did not take."""

    def test_what_is_kept_of_a_failed_batch_is_there_for_the_next_attempt(
        self, place: Place, stop: Callable[[Sink], None]
    ) -> None:
        sink = place.make_sink()
        committed = write_until_committed(sink, LOAD, sink.open(LOAD, restart=False))
        assert committed is not None
        noted = replace(committed, failed_batches=[FAILED])
        sink.keep(noted)
        stop(sink)
        again = place.make_sink()
        start = again.open(LOAD, restart=False)
        assert without_fence(start) == without_fence(noted)
        write_all(again, LOAD, start)
        assert finish(again, LOAD).counts == ACCOUNT
        assert_whole(place)

    def test_a_failed_batch_is_kept_before_anything_is_committed(self, place: Place) -> None:
        sink = place.make_sink()
        sink.open(LOAD, restart=False)
        sink.keep(replace(make_checkpoint(LOAD, 0), position=Position(), failed_batches=[FAILED]))
        sink.abort()
        again = place.make_sink()
        start = again.open(LOAD, restart=False)
        assert start is not None
        assert start.failed_batches == [FAILED]
        write_all(again, LOAD, start)
        assert finish(again, LOAD).counts == ACCOUNT
        assert_whole(place)

    def test_the_older_of_two_attempts_cannot_keep_a_failed_batch(self, place: Place) -> None:
        older, newer = place.make_sink(), place.make_sink()
        committed = write_until_committed(older, LOAD, older.open(LOAD, restart=False))
        assert committed is not None
        start = newer.open(LOAD, restart=False)
        with suppress(FencedError):
            older.keep(replace(committed, failed_batches=[FAILED]))
        older.abort()
        write_all(newer, LOAD, start)
        newer.abort()
        last = place.make_sink()
        found = last.open(LOAD, restart=False)
        assert found is not None
        assert found.failed_batches == []
        last.abort()
