"""What an operator does between two attempts of one load: how long it waits, where it goes on, what it keeps."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import ForeignAnswerError, GenesysError, SourceUnavailableError
from airflow_provider_genesys.pipeline.sink import Sink
from airflow_provider_genesys.tasks.checkpoint_mirror import CheckpointMirror
from airflow_provider_genesys.transfers.base import GenesysExportTransferOperator
from tests.support.task_context import DAY_END, RUN, stand_in
from tests.unit.transfers.boundary import HANDLE
from tests.unit.transfers.test_arguments_arrive import HASHING

try:
    from airflow.sdk.exceptions import TaskDeferred
except ImportError:  # before Airflow 3.2
    from airflow.exceptions import TaskDeferred

OUT = SourceUnavailableError("out of reach")
OTHER = {"of": "another export", "export_id": "export-9", "submitted_at": None, "times": 1}
"""What was created in place of an export that the task no longer has."""


class Load(GenesysExportTransferOperator):
    """Loads with scripted outcomes, one for each attempt."""

    outage_pause = (0.001, 0.002)
    outcomes: list[GenesysError | dict[str, Any]]
    seen: list[tuple[str, bool]]
    committed_at: str | None = None

    def make_sink(self) -> Sink:
        raise NotImplementedError

    def find_handle(self, context: Any) -> dict[str, Any]:
        return {**HANDLE, "kind": "recordings"}

    def load_export(
        self, context: Any, mirror: CheckpointMirror, handle: dict[str, Any], *, restart: bool
    ) -> dict[str, Any]:
        self.seen.append((handle["export_id"], restart))
        mirror.committed_at = self.committed_at
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, GenesysError):
            raise outcome
        return outcome


def loading(*outcomes: GenesysError | dict[str, Any], **arguments: Any) -> Load:
    task = Load(task_id="load", handle="export-1", **{"deferrable": False, "max_outage": 60, **arguments})
    task.outcomes, task.seen = list(outcomes), []
    return task


def since(seconds: float = 0) -> Any:
    """Return the context of a try that began so long ago."""
    return stand_in(RUN, DAY_END, start_date=ago(seconds))


def ago(seconds: float) -> datetime:
    return datetime.now(timezone.utc) - timedelta(seconds=seconds)


def test_only_the_first_attempt_of_a_cleared_task_begins_at_the_start() -> None:
    task = loading(OUT, OUT, {"done": 1})
    assert task.execute(since()) == {"done": 1}
    assert [restart for _, restart in task.seen] == [True, False, False]


@pytest.mark.parametrize(
    ("began", "committed", "ends"),
    [(90, None, True), (30, None, False), (90, 30, False), (30, 90, False), (90, 70, True)],
)
def test_an_outage_lasts_since_it_began_or_since_the_newest_checkpoint_after_that(
    began: float, committed: float | None, *, ends: bool
) -> None:
    task = loading(OUT, {"done": 1})
    task.committed_at = committed and ago(committed).isoformat()
    if ends:
        with pytest.raises(SourceUnavailableError):
            task.execute(since(began))
    else:
        assert task.execute(since(began)) == {"done": 1}


def test_a_deferral_remembers_since_when_and_what_was_created_again() -> None:
    task, given = loading(OUT, OUT, {"done": 1}, deferrable=True), since(10)
    for kept in ({}, {"newest": OTHER}):
        with pytest.raises(TaskDeferred) as deferred:
            task.resume(given, None, **kept)
        carried = json.loads(json.dumps(deferred.value.kwargs))
        assert carried == {"began": given["ti"].start_date.isoformat(), "newest": kept.get("newest")}
    assert getattr(task, deferred.value.method_name)(since(99), None, **carried) == {"done": 1}
    assert task.seen == [("export-1", False)] * 3, "what was created in place of another export is not loaded"


def test_the_wait_for_an_export_that_was_created_again_is_no_outage() -> None:
    task = loading(OUT, {"done": 1})
    assert task.resume(since(3600), {"state": "COMPLETED"}, newest=OTHER) == {"done": 1}


def test_what_no_wait_helps_against_is_raised_at_once(caplog: pytest.LogCaptureFixture) -> None:
    task = loading(ForeignAnswerError("a page of a proxy"), {"done": 1})
    with pytest.raises(ForeignAnswerError):
        task.execute(since())
    assert "outage" not in caplog.text


def test_loads_whose_hashes_have_another_key_are_other_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = []
    for key in ("a random text of 32 characters, or more", "another random text of 32 characters"):
        monkeypatch.setenv("AIRFLOW_VAR_OWN", key)
        ids.append(loading(contract=HASHING).load_of({**HANDLE, "kind": "recordings"}, since()).load_id)
    assert len(set(ids)) == 2
