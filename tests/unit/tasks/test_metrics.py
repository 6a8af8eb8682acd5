"""What a load tells Airflow's reports."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Counts
from airflow_provider_genesys.source.position import Identity
from airflow_provider_genesys.tasks import reports

TAGS = {"dag_id": "daily", "task_id": "load"}
LOADED = {
    "genesys.load.bytes": 1_000,
    "genesys.load.records": 10,
    "genesys.load.dead_letters": 2,
    "genesys.load.duplicates": 1,
    "genesys.load.retries": 2,
    "genesys.load.duration": 1_500.0,
    "genesys.load.phase.source": 500.0,
    "genesys.load.phase.contract": 750.0,
    "genesys.load.phase.sink": 250.0,
    "genesys.load.peak_memory_mb": 80.0,
}
DOCS = Path(__file__).parents[3] / "docs"
PROMETHEUS = re.compile(r"\bairflow_(\w+)")
AIRFLOWS_OWN = {"ti_failures"}


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
        phases={"source": 0.5, "contract": 0.75, "sink": 0.25},
    )
    reports.loaded(certificate, TAGS)
    assert backend.seen == LOADED


def test_a_pause_is_counted(backend: Backend) -> None:
    reports.paused(TAGS)
    assert backend.seen == {"genesys.load.outages": 1}


@pytest.mark.parametrize("page", ["grafana.json", "monitoring.md"])
def test_the_board_and_the_alerts_ask_for_metrics_that_are_sent(page: str) -> None:
    """statsd_exporter writes _ for a dot, and adds _sum to what it adds up of a timer."""
    sent = {name.replace(".", "_") for name in (*LOADED, "genesys.load.outages")}
    text = (DOCS / page).read_text()
    asked = set(PROMETHEUS.findall(text.partition("## The board")[2] if page.endswith("md") else text))
    assert len(asked) > 2
    assert asked - sent - {f"{name}_sum" for name in sent if "phase" in name} == AIRFLOWS_OWN


def test_the_page_lists_every_metric() -> None:
    rows = re.findall(r"^\| (`genesys.*?) \|", (DOCS / "monitoring.md").read_text(), re.MULTILINE)
    assert set(re.findall(r"`([\w.]+)`", " ".join(rows))) == {*LOADED, "genesys.load.outages"}
