"""Which loads are finished by another task than the one that began them."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Context

from airflow_provider_genesys.exceptions import (
    CheckpointError,
    ConfigurationError,
    ExportTimeoutError,
    SinkUnavailableError,
)
from airflow_provider_genesys.operators.finish_loads import (
    GenesysFinishLoadsOperator,
    GenesysFinishS3LoadsOperator,
    _has_failed,
)
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.pipeline.load import Batch, LoadFacts
from airflow_provider_genesys.pipeline.sink import Sink
from airflow_provider_genesys.sinks.local import LocalSink
from airflow_provider_genesys.sinks.objects.ledger import unfinished_loads
from airflow_provider_genesys.stores.folder import FolderStore
from airflow_provider_genesys.tasks.failures import AirflowFailException
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from airflow_provider_genesys.transfers.base import GenesysExportTransferOperator
from tests.support.task_context import context, instance_in, new_export

_runs = itertools.count(1)


def has_failed(*states: str | None) -> bool:
    """Ask whether a load has failed whose task is in this state, or whose mapped instances are in these."""
    run_id = f"run-{next(_runs)}"
    for map_index, state in enumerate(states, -1 if len(states) == 1 else 0):
        instance_in(state, dag_id="daily", run_id=run_id, task_id="load", map_index=map_index)
    return _has_failed(f"daily/{run_id}/load", context(dag_id="finish", task_id="finish_loads"))


@pytest.mark.parametrize("state", ["failed", "upstream_failed", "removed"])
def test_a_load_whose_task_has_failed_for_good_is_taken_up(state: str) -> None:
    assert has_failed(state)


@pytest.mark.parametrize(
    "state", ["running", "queued", "scheduled", "deferred", "up_for_retry", "restarting", None, "success", "skipped"]
)
def test_a_load_whose_task_works_will_work_or_was_marked_is_left_alone(state: str | None) -> None:
    assert not has_failed(state)


def test_a_load_that_this_airflow_does_not_know_is_left_alone() -> None:
    assert not has_failed()


def test_of_a_mapped_task_no_instance_may_be_at_work() -> None:
    assert has_failed("failed", "success")
    assert not has_failed("failed", "running")


def test_a_load_that_the_same_task_has_begun_is_its_own() -> None:
    given = context(dag_id="finish", run_id="r", task_id="finish_loads")
    assert _has_failed("finish/r/finish_loads", given)


def test_archives_as_they_are_are_not_finished() -> None:
    operator = GenesysFinishS3LoadsOperator(task_id="f", s3_bucket="b", s3_prefix="p", output_format="raw")
    with pytest.raises(ConfigurationError, match="raw"):
        operator.unfinished_loads()


RECORDS = 100


class Failing(LocalSink):
    """Does not take its fifth batch."""

    taken = 0

    def write(self, batch: Batch) -> Checkpoint | None:
        self.taken += 1
        if self.taken == 5:
            raise SinkUnavailableError("the disk is gone")
        return super().write(batch)


class ToFolder(GenesysExportTransferOperator):
    folder: Path

    def make_sink(self) -> Sink:
        return Failing(self.folder, "ndjson", part_size=20_000, dead_letter_raw="drop")


class FinishFolder(GenesysFinishLoadsOperator):
    folder: Path

    def make_sink(self) -> Sink:
        return LocalSink(self.folder, "ndjson", part_size=20_000, dead_letter_raw="drop")

    def unfinished_loads(self) -> list[LoadFacts | CheckpointError]:
        return unfinished_loads(FolderStore(self.folder), "", "conditional")


def finish(folder: Path, **arguments: Any) -> list[dict[str, Any]]:
    task = FinishFolder(task_id="load", batch_size=10, poll_interval=0.01, deferrable=False, **arguments)
    task.folder = folder
    return task.execute(context(task_id="load"))  # type: ignore[arg-type]


@pytest.fixture
def begun(start_genesys: Callable[..., FakeGenesys], tmp_path: Path) -> tuple[FakeGenesys, str]:
    """A load that broke off in the middle, and its export."""
    genesys = start_genesys(records=RECORDS, job_seconds=0)
    export_id = new_export()
    task = ToFolder(task_id="load", handle=export_id, batch_size=10)
    task.folder = tmp_path
    with pytest.raises(SinkUnavailableError):
        task.execute(context(task_id="load"))  # type: ignore[arg-type]
    return genesys, export_id


def test_a_load_whose_export_is_alive_goes_on(begun: tuple[FakeGenesys, str], tmp_path: Path) -> None:
    genesys, export_id = begun
    [summary] = finish(tmp_path)
    assert (summary["export_id"], summary["attempts"], summary["counts"]["read"]) == (export_id, 2, RECORDS)
    assert list(genesys.exports) == [export_id]
    assert finish(tmp_path) == []


def test_a_ledger_that_cannot_be_read_keeps_no_other_load_from_being_finished(
    begun: tuple[FakeGenesys, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for load in ("another", "ill"):
        entry = tmp_path / "_ledger" / load / "00000" / "00000001.json"
        entry.parent.mkdir(parents=True)
        entry.write_text("[]")
    with pytest.raises(AirflowFailException, match=r"_ledger/another/00000/00000001.json cannot be read"):
        finish(tmp_path)
    assert "_ledger/ill/00000/00000001.json cannot be read" in capsys.readouterr().out
    [manifest] = tmp_path.rglob("_manifest.json")
    assert json.loads(manifest.read_text())["counts"]["read"] == RECORDS


@pytest.mark.parametrize("outcome", ["EXPIRED", "FAILED", "CANCELLED", "404"])
def test_an_export_that_is_lost_is_asked_for_again(
    begun: tuple[FakeGenesys, str], tmp_path: Path, outcome: str
) -> None:
    genesys, lost = begun
    genesys.exports[lost].outcome = outcome
    if outcome == "404":
        del genesys.exports[lost]
    [summary] = finish(tmp_path)
    other = set(genesys.exports) - {lost}
    assert {summary["export_id"]} == other
    assert summary["counts"]["read"] == RECORDS


def test_an_export_that_expires_while_it_is_loaded_is_asked_for_again(
    begun: tuple[FakeGenesys, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genesys, lost = begun
    load_export = FinishFolder.load_export

    def expires(self: Any, context: Any, mirror: Any, handle: dict[str, Any], *, restart: bool) -> dict[str, Any]:
        genesys.exports[lost].outcome = "EXPIRED"
        return load_export(self, context, mirror, {**handle, "file_uri": None}, restart=restart)

    monkeypatch.setattr(FinishFolder, "load_export", expires)
    [summary] = finish(tmp_path)
    assert summary["export_id"] in set(genesys.exports) - {lost}


def test_an_export_that_is_not_ready_is_waited_for_until_the_timeout(
    begun: tuple[FakeGenesys, str], tmp_path: Path
) -> None:
    genesys, export_id = begun
    genesys.job_polls = 100_000
    genesys.exports[export_id].outcome = "EXPIRED"
    with pytest.raises(ExportTimeoutError, match="not ready after"):
        finish(tmp_path, timeout=0.2)


def test_what_a_ledger_holds_is_cleaned_before_the_log_has_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = datetime(2026, 11, 22, tzinfo=timezone.utc)
    given = LoadFacts("l\x1b[31m\nFAKE", 0, "e\u202e\n", "recordings", moment, moment, None, run_id="d/r\n2026 OK/t")
    task = FinishFolder(task_id="load")
    monkeypatch.setattr(FinishFolder, "log", logging.getLogger("finish"))
    monkeypatch.setattr(task, "load_of", lambda *_: given)
    monkeypatch.setattr(f"{_has_failed.__module__}._has_failed", lambda *_: False)
    monkeypatch.setattr(task, "_finish", partial(_refuse, "no"))
    with caplog.at_level("INFO"):
        assert not list(task._given_up([given, replace(given, kind="other")], Context()))
        task._outcome(given, Context())
    said = [record.getMessage() for record in caplog.records if record.getMessage().startswith("Load l")]
    assert len(said) == 3
    assert all(line.isprintable() for line in said), said


def _refuse(why: str, *_: object) -> None:
    raise ConfigurationError(why)
