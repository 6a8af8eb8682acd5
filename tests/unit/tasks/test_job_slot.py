"""The wait for one of the two recording jobs that an organisation may have at work."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import JobLimitError
from airflow_provider_genesys.operators.export import GenesysCreateExportOperator
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from tests.support.task_context import DAY_START, Store, context, run

try:
    from airflow.sdk.exceptions import TaskDeferred
except ImportError:  # before Airflow 3.2
    from airflow.exceptions import TaskDeferred

HOUR = timedelta(hours=1)


def create(hour: int, **arguments: Any) -> Any:
    """Ask for an hour, as a task of its own."""
    window = {"window_start": DAY_START + hour * HOUR, "window_end": DAY_START + (hour + 1) * HOUR}
    options = {"integrationId": "integration-1"}
    given = {"poll_interval": 0.01, "max_poll_interval": 0.02, "deferrable": False, **arguments}
    return GenesysCreateExportOperator(task_id="create", kind="recording_bulk", options=options, **window, **given)


@pytest.fixture
def busy(start_genesys: Callable[..., FakeGenesys]) -> FakeGenesys:
    """A Genesys Cloud with two jobs at work, for ever."""
    genesys = start_genesys(conversations=5, job_polls=100_000)
    for hour in range(2):
        run(create(hour), context(Store()))
    return genesys


def test_a_job_is_created_as_soon_as_there_is_a_slot(busy: FakeGenesys, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    def end_a_job(seconds: float) -> None:
        pauses.append(seconds)
        next(iter(busy.recording_jobs.values())).cancel()

    monkeypatch.setattr("airflow_provider_genesys.tasks.wait.time", SimpleNamespace(sleep=end_a_job))
    assert run(create(2), context(Store())) in busy.recording_jobs
    assert len(pauses) == 1


def test_a_wait_without_a_slot_ends_with_its_timeout(busy: FakeGenesys, monkeypatch: pytest.MonkeyPatch) -> None:
    began, pauses, sleep = time.monotonic(), iter(range(100)), time.sleep

    def not_for_ever(seconds: float) -> None:
        assert next(pauses, None) is not None, "the wait has no end"
        sleep(seconds)

    monkeypatch.setattr("airflow_provider_genesys.tasks.wait.time", SimpleNamespace(sleep=not_for_ever))
    with pytest.raises(JobLimitError, match="2 recording jobs at work"):
        run(create(2, timeout=0.3), context(Store()))
    assert time.monotonic() - began >= 0.3
    assert len(busy.recording_jobs) == 2


def test_a_deferred_wait_knows_when_it_began(busy: FakeGenesys) -> None:
    task, given = create(2, deferrable=True, timeout=60), context(Store())
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(given)
    assert deferred.value.method_name == "take_turn"
    assert deferred.value.kwargs == {"began": given["ti"].start_date.isoformat()}
    long_ago = datetime.fromisoformat(deferred.value.kwargs["began"]) - timedelta(seconds=61)
    with pytest.raises(JobLimitError):
        task.take_turn(given, None, began=long_ago.isoformat())
