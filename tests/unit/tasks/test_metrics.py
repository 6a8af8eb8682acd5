"""What a load tells Airflow's reports."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Counts
from airflow_provider_genesys.source.position import Identity
from airflow_provider_genesys.tasks import reports

TAGS = {"dag_id": "daily", "task_id": "load"}


class Backend:
    """What StatsD or OpenTelemetry is behind Airflow's reports."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}

    def incr(self, stat: str, count: int = 1, *, tags: dict[str, str], **_: Any) -> None:
        assert tags == TAGS
        self.seen[stat] = count

    def timing(self, stat: str, dt: float | timedelta, *, tags: dict[str, str], **_: Any) -> None:
        assert tags == TAGS
        self.seen[stat] = dt

    gauge = incr


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    backend = Backend()
    if isinstance(reports.stats, type):  # before Airflow 3.3
        monkeypatch.setattr(reports.stats, "instance", backend, raising=False)
        monkeypatch.setattr(reports.stats, "_instance_pid", os.getpid(), raising=False)
        yield backend
        return
    from airflow.sdk._shared.observability.metrics.base_stats_logger import NoStatsLogger

    reports.stats.initialize(factory=lambda: backend, export_legacy_names=False)  # type: ignore[arg-type, return-value]
    yield backend
    reports.stats.initialize(factory=NoStatsLogger, export_legacy_names=False)


def test_a_complete_load_is_counted(backend: Backend) -> None:
    certificate = Certificate(
        load_id="l",
        export_id="e",
        kind="recordings",
        window_start="2026-11-22",
        window_end="2026-11-23",
        contract="c",
        source=Identity(),
        bytes_read=1_000,
        counts=Counts(10, 7, 2, 1),
        digest="0",
        attempts=3,
        seconds=1.5,
        peak_memory_mb=80.0,
    )
    reports.loaded(certificate, TAGS)
    assert backend.seen == {
        "genesys.load.bytes": 1_000,
        "genesys.load.records": 10,
        "genesys.load.dead_letters": 2,
        "genesys.load.duplicates": 1,
        "genesys.load.retries": 2,
        "genesys.load.duration": 1_500.0,
        "genesys.load.peak_memory_mb": 80.0,
    }


def test_a_pause_is_counted(backend: Backend) -> None:
    reports.paused(TAGS)
    assert backend.seen == {"genesys.load.outages": 1}
