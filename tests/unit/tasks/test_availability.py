"""The create operator asks how far Genesys' data goes before it asks for a window."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_genesys.operators.export import GenesysCreateExportOperator
from airflow_provider_genesys.tasks.failures import AirflowFailException
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from airflow_provider_genesys.triggers.availability import GenesysAvailabilityTrigger
from tests.support.task_context import DAY_END, Store, context, run

try:
    from airflow.sdk.exceptions import TaskDeferred
except ImportError:  # before Airflow 3.2
    from airflow.exceptions import TaskDeferred

Start = Callable[..., FakeGenesys]
HOUR = timedelta(hours=1)


def operator(**arguments: Any) -> GenesysCreateExportOperator:
    given = {"kind": "conversation_details", "poll_interval": 0.01, "max_poll_interval": 0.01, **arguments}
    return GenesysCreateExportOperator(task_id="create", **given)


def comes_with_the_third_look(genesys: FakeGenesys, monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """Let the data of the day be there when Genesys is asked for the third time."""
    moments = [DAY_END - HOUR, DAY_END - HOUR, DAY_END]
    told: list[datetime] = []

    def available_until(_: Any) -> datetime:
        told.append(moments[len(told)])
        return told[-1]

    monkeypatch.setattr("airflow_provider_genesys.testing.fake_genesys.analytics._available_until", available_until)
    return told


def test_a_window_is_asked_for_when_genesys_has_all_of_it(
    start_genesys: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    genesys = start_genesys()
    told = comes_with_the_third_look(genesys, monkeypatch)
    assert run(operator(), context(Store())) in genesys.jobs
    assert len(told) == 3


def test_a_window_that_is_not_all_there_can_be_asked_for_at_once(start_genesys: Start) -> None:
    genesys = start_genesys(available_until=DAY_END - HOUR)
    assert run(operator(late_data="load"), context(Store())) in genesys.jobs


@pytest.mark.outcome("jobs", "the data of the window is not there before the timeout", "ExportTimeoutError")
def test_the_wait_for_the_data_ends_with_the_timeout(start_genesys: Start) -> None:
    genesys = start_genesys(available_until=DAY_END - HOUR)
    with pytest.raises(AirflowFailException, match="late_data='load'"):
        run(operator(timeout=0.05), context(Store()))
    assert not genesys.jobs


def test_the_wait_for_the_data_holds_no_worker(start_genesys: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    genesys = start_genesys()
    told = comes_with_the_third_look(genesys, monkeypatch)
    given, task = context(Store()), operator(deferrable=True)
    with pytest.raises(TaskDeferred) as deferred:
        run(task, given)
    assert not genesys.jobs
    trigger = deferred.value.trigger
    assert isinstance(trigger, GenesysAvailabilityTrigger)
    assert trigger.serialize() == GenesysAvailabilityTrigger(**trigger.serialize()[1]).serialize()

    async def fired() -> list[Any]:
        return [event.payload async for event in trigger.run()]

    (event,) = asyncio.run(fired())
    assert event == {"available_until": DAY_END.isoformat()}
    told.pop()
    assert run(operator(deferrable=True), given, event) in genesys.jobs


def test_a_trigger_whose_deadline_has_passed_wakes_the_task(start_genesys: Start) -> None:
    start_genesys(available_until=DAY_END - HOUR)
    deadline = datetime.now(timezone.utc) + timedelta(seconds=0.05)
    trigger = GenesysAvailabilityTrigger(
        until=DAY_END.isoformat(), deadline=deadline.isoformat(), kind="user_details", poll_interval=0.01
    )

    async def fired() -> list[Any]:
        return [event.payload async for event in trigger.run()]

    assert asyncio.run(fired()) == [{"available_until": (DAY_END - HOUR).isoformat()}]


def test_an_adopted_export_is_not_waited_for_again(start_genesys: Start) -> None:
    genesys = start_genesys()
    store = Store()
    export_id = run(operator(), context(store))
    genesys.available_until = DAY_END - HOUR
    assert run(operator(), context(store)) == export_id


def test_an_archive_has_no_availability_to_ask_for(genesys: FakeGenesys) -> None:
    genesys.available_until = DAY_END - HOUR
    assert run(operator(kind="recordings"), context(Store())) in genesys.exports
