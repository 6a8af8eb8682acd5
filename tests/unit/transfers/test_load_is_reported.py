"""What people and other systems learn of a load, seen at one load of a real archive into a folder."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset

from airflow_provider_genesys.exceptions import SourceUnavailableError
from airflow_provider_genesys.pipeline import progress
from airflow_provider_genesys.pipeline.sink import Sink
from airflow_provider_genesys.sinks.local import LocalSink
from airflow_provider_genesys.source import download
from airflow_provider_genesys.tasks import reports
from airflow_provider_genesys.tasks.failures import AirflowFailException
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from airflow_provider_genesys.transfers.base import GenesysExportTransferOperator
from airflow_provider_genesys.transfers.genesys_to_azure_blob import GenesysExportToAzureBlobOperator
from airflow_provider_genesys.transfers.genesys_to_postgres import GenesysExportToPostgresOperator
from airflow_provider_genesys.transfers.genesys_to_s3 import GenesysExportToS3Operator
from tests.support.task_context import Store, context, new_export, pushed

try:
    from airflow.sdk.lineage import HookLineageCollector
except ImportError:  # before Airflow 3.3
    from airflow.lineage.hook import HookLineageCollector

RECORDS = 200
LETTERS = (
    'SELECT source_offset, stage, rule, message FROM "calls".genesys_dead_letters '
    "WHERE load_id = 'abc' AND state = 'open'"
)
OUTLET = Asset("a_folder")


class ToFolder(GenesysExportTransferOperator):
    """Loads into a folder."""

    folder: Path
    outage_pause = (0.01, 0.02)

    def make_sink(self) -> Sink:
        return LocalSink(self.folder, "ndjson", part_size=10_000, dead_letter_raw="drop")


class Reported:
    """Where reports go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.metrics: dict[str, Any] = {}
        self.collector = HookLineageCollector()
        self.store = Store()
        self.context: Any = context(self.store)
        self.folder = folder
        count = self.metrics.__setitem__
        stats = SimpleNamespace(
            incr=lambda name, number, **_: count(name, self.metrics.get(name, 0) + number),
            timing=lambda name, seconds, **_: count(name, seconds),
            gauge=lambda name, value, **_: count(name, value),
        )
        monkeypatch.setattr(reports, "stats", stats)
        monkeypatch.setattr(reports, "_collector", lambda: self.collector)
        monkeypatch.setattr(progress, "FIRST", 0.0)

    def load(self, handle: Any, **arguments: Any) -> dict[str, Any]:
        task = ToFolder(task_id="load", handle=handle, deferrable=False, outlets=[OUTLET], batch_size=50, **arguments)
        task.folder = self.folder
        return task.execute(self.context)


@pytest.fixture
def reported(start_genesys: Callable[..., FakeGenesys], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Reported:
    start_genesys(records=RECORDS, job_seconds=0)
    return Reported(monkeypatch, tmp_path)


def test_a_load_is_reported_everywhere(reported: Reported, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    summary = reported.load(new_export())

    counts = summary["counts"]
    assert counts["read"] == RECORDS == counts["written"] + counts["dead_letters"]
    assert summary["peak_memory_mb"] > 10
    assert set(summary["phases"]) == {"source", "contract", "sink"}
    assert 0 < sum(summary["phases"].values()) <= summary["seconds"] * 1.5

    metrics = reported.metrics
    assert metrics["genesys.load.records"] == RECORDS
    assert metrics["genesys.load.dead_letters"] == counts["dead_letters"]
    assert metrics["genesys.load.bytes"] == summary["bytes_read"] > 0
    assert metrics["genesys.load.duration"] > 0
    for phase, seconds in summary["phases"].items():
        assert metrics[f"genesys.load.phase.{phase}"] == 1000 * seconds
    assert metrics["genesys.load.peak_memory_mb"] == summary["peak_memory_mb"]
    assert "genesys.load.outages" not in metrics

    lineage = reported.collector.collected_assets
    [read], [written] = lineage.inputs, lineage.outputs
    assert read.asset.uri.endswith(f"/recordings/{summary['export_id']}")
    assert written.asset.extra["read"] == RECORDS

    assert reported.context["outlet_events"][OUTLET].extra == summary
    for shown in (pushed(reported.context), reported.store.get("checkpoint")):
        assert shown["record_index"] == RECORDS
    lines = [(record.name, record.message) for record in caplog.records if "records/s" in record.message]
    assert [name.rpartition(".")[2] for name, _ in lines] == ["progress", "run"], "while it runs, and at its end"
    assert f"{RECORDS} records" in lines[-1][1]


@pytest.mark.parametrize(("told", "fails"), [(RECORDS, False), (RECORDS + 1, True)])
def test_the_number_that_the_handle_tells_is_held_against_the_records(
    reported: Reported, told: int, *, fails: bool
) -> None:
    handle = {"export_id": new_export(), "kind": "recordings", "records": told}
    window = {"window_start": "2026-11-22", "window_end": "2026-11-23"}
    if not fails:
        assert reported.load({**handle, **window}, expect_records="fail")["expected_records"] == told
        return
    with pytest.raises(AirflowFailException, match=f"{told}"):
        reported.load({**handle, **window}, expect_records="fail")


def test_pauses_of_an_outage_are_counted(
    start_genesys: Callable[..., FakeGenesys], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(download, "_BACKOFF", (0.01, 0.01))
    genesys = start_genesys(records=RECORDS, job_seconds=0)
    reported = Reported(monkeypatch, tmp_path)
    genesys.fail_next("/archive/", status=503, times=6)  # what one attempt spends
    reported.load(new_export())
    assert reported.metrics["genesys.load.outages"] == 1


def test_an_error_names_export_and_window_once_and_first(
    reported: Reported, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: Any, **__: Any) -> Any:
        raise SourceUnavailableError("The archive of export e cannot be read.") from OSError("a cause".upper())

    monkeypatch.setattr(ToFolder, "make_sink", unreachable)
    with pytest.raises(SourceUnavailableError) as caught:
        reported.load(new_export(), max_outage=0)
    assert str(caught.value) == (
        "The archive of export e cannot be read. The window is 2026-11-22T00:00:00+00:00 to 2026-11-23T00:00:00+00:00."
    )
    shown = "".join(traceback.format_exception(caught.value))
    assert "A CAUSE" not in shown
    assert shown.splitlines()[-1].endswith(str(caught.value))


def test_the_last_line_says_how_to_see_what_was_rejected(
    start_genesys: Callable[..., FakeGenesys], reported: Reported, capsys: pytest.CaptureFixture[str]
) -> None:
    start_genesys(records=RECORDS, broken=3, job_seconds=0)
    summary = reported.load(new_export())
    line = capsys.readouterr().out.splitlines()[-1]
    assert "3 rejected" in line
    assert f"See them: the dead letters of load {summary['load_id']}" in line


def test_of_a_raw_archive_the_last_line_counts_bytes_for_no_record_was_read() -> None:
    landed = GenesysExportToS3Operator(task_id="t", handle="e", s3_bucket="b", s3_prefix="p", output_format="raw")
    assert landed.arrived(SimpleNamespace(bytes_read=1_234_567)) == "1,234,567 bytes, as Genesys made them."  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("operator", "arguments", "location", "seen"),
    [
        (
            GenesysExportToPostgresOperator,
            {"table": "t", "schema": "calls"},
            "postgresql://db/calls.t",
            LETTERS,
        ),
        (
            GenesysExportToS3Operator,
            {"s3_bucket": "lake", "s3_prefix": "/raw/dt/"},
            "s3://lake/raw/dt/dt=2026-11-22/abc/",
            "s3://lake/raw/dt/_dead_letters/dt=2026-11-22/abc/",
        ),
        (
            GenesysExportToAzureBlobOperator,
            {"container_name": "lake", "blob_prefix": "raw"},
            "az://lake/raw/dt=2026-11-22/abc/",
            "az://lake/raw/_dead_letters/dt=2026-11-22/abc/",
        ),
    ],
)
def test_each_sink_says_where_its_dead_letters_are(
    operator: type[GenesysExportTransferOperator], arguments: dict[str, Any], location: str, seen: str
) -> None:
    certificate: Any = SimpleNamespace(load_id="abc", location=location)
    assert operator(task_id="load", handle="e", **arguments).letters_at(certificate) == seen
