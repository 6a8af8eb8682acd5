"""Whoever uses Genesys lets go of it: no connection and no thread outlives the work of a task."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_genesys.cloud.http import shared
from airflow_provider_genesys.cloud.http.token_refresh import THREAD
from airflow_provider_genesys.operators.export import GenesysCreateExportOperator
from airflow_provider_genesys.pipeline.sink import Sink
from airflow_provider_genesys.sensors.export import GenesysExportSensor
from airflow_provider_genesys.tasks.failures import AirflowFailException
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from airflow_provider_genesys.transfers.base import GenesysExportTransferOperator
from airflow_provider_genesys.triggers.export import GenesysExportTrigger
from tests.support.airflow_home import run_dag, states
from tests.support.task_context import context, new_export

try:
    from airflow.sdk.exceptions import TaskDeferred
except ImportError:  # before Airflow 3.2
    from airflow.exceptions import TaskDeferred

try:
    from airflow.sdk import CronDataIntervalTimetable
except ImportError:
    from airflow.timetables.interval import CronDataIntervalTimetable

Start = Callable[..., FakeGenesys]


def refreshing() -> bool:
    return any(one.name == THREAD for one in threading.enumerate())


def assert_nothing_is_open() -> None:
    assert not list(shared._pools.values())
    end = time.monotonic() + 60
    while refreshing() and time.monotonic() < end:
        time.sleep(0.001)
    assert not refreshing()


@pytest.fixture(autouse=True)
def _nothing_from_before() -> Iterator[None]:
    gc.collect()
    assert_nothing_is_open()
    # Nothing may be left to the garbage collector either: only then is what closes seen to close.
    gc.disable()
    yield
    gc.enable()


def test_a_create_closes(genesys: FakeGenesys) -> None:
    operator = GenesysCreateExportOperator(task_id="create", wait_for_completion=True, poll_interval=0.01)
    operator.execute(context())
    assert_nothing_is_open()
    operator.resume(context(), {"export_id": operator._export_id})
    assert_nothing_is_open()


def test_a_create_that_is_killed_cancels_and_closes(genesys: FakeGenesys) -> None:
    operator = GenesysCreateExportOperator(task_id="create", cancel_on_kill=True)
    operator.execute(context())
    operator.on_kill()
    assert any(one.method == "DELETE" for one in genesys.requests)
    assert_nothing_is_open()


def test_a_sensor_closes_when_it_ends_and_when_it_defers(start_genesys: Start) -> None:
    start_genesys(job_polls=1)
    sensor = GenesysExportSensor(task_id="wait", export_id=new_export(), deferrable=True)
    with pytest.raises(TaskDeferred):
        sensor.execute(context())
    assert_nothing_is_open()
    assert sensor.resume(context(), {"export_id": "e"})["state"] == "COMPLETED"
    assert_nothing_is_open()


def test_a_load_closes_when_it_fails(genesys: FakeGenesys) -> None:
    class NoSink(GenesysExportTransferOperator):
        def make_sink(self) -> Sink:
            raise NotImplementedError

    operator = NoSink(task_id="load", handle=new_export(), deferrable=False)
    given = context(task_id="load")
    with pytest.raises(NotImplementedError):
        operator.execute(given)
    assert_nothing_is_open()
    missing = NoSink(task_id="missing", handle={"export_id": "e"}, kind="none", deferrable=False)
    with pytest.raises(AirflowFailException):
        missing.execute(given)
    assert_nothing_is_open()


def trigger(export_id: str, **arguments: Any) -> GenesysExportTrigger:
    deadline = datetime.now(timezone.utc) + timedelta(seconds=20)
    return GenesysExportTrigger(export_id=export_id, deadline=deadline.isoformat(), poll_interval=0.01, **arguments)


def test_a_trigger_closes_before_its_event_for_dag_test_does_not_clean_up(genesys: FakeGenesys) -> None:
    one = trigger(new_export())

    async def first() -> Any:
        return await anext(one.run())

    assert asyncio.run(first()).payload["state"] == "COMPLETED"
    assert_nothing_is_open()


def test_a_trigger_closes_when_it_is_cancelled_and_killed(start_genesys: Start) -> None:
    genesys = start_genesys(job_polls=1000)
    one = trigger(new_export(), cancel_on_kill=True)

    def polled() -> None:
        while not any("/exports/" in seen.path for seen in genesys.requests):
            time.sleep(0.005)

    async def interrupted() -> None:
        running = asyncio.ensure_future(anext(one.run()))  # type: ignore[arg-type]
        await asyncio.to_thread(polled)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await one.on_kill()
        await asyncio.sleep(0.05)  # a poll that was under way ends
        await one.cleanup()

    asyncio.run(interrupted())
    assert any(seen.method == "DELETE" for seen in genesys.requests)
    assert_nothing_is_open()


def test_dag_test_leaves_no_connection_open(start_genesys: Start, airflow_db: Path) -> None:
    genesys = start_genesys(job_polls=2)
    daily = CronDataIntervalTimetable("0 0 * * *", timezone="UTC")
    with DAG("closing", schedule=daily, start_date=datetime(2026, 11, 1, tzinfo=timezone.utc)) as dag:
        create = GenesysCreateExportOperator(task_id="create")
        GenesysExportSensor(task_id="wait", export_id=create.output, poll_interval=0.01, deferrable=True)
    port = genesys.url.rpartition(":")[2].strip("/")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", ResourceWarning)
        run = run_dag(dag, datetime(2026, 11, 23, tzinfo=timezone.utc))
        assert_nothing_is_open()
        gc.collect()
    assert states(run) == {"create": "success", "wait": "success"}
    assert [str(one.message) for one in seen if f", {port})" in str(one.message)] == []
