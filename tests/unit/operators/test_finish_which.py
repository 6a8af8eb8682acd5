"""Which loads are finished, with what, and in which order: the decisions, without Airflow, Genesys or a sink."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_genesys.cloud.exports.base import ExportState, ExportStatus
from airflow_provider_genesys.exceptions import (
    CheckpointError,
    ContractError,
    ExportGoneError,
    ExportTimeoutError,
    GenesysError,
    SinkUnavailableError,
    SourceChangedError,
)
from airflow_provider_genesys.operators import finish_loads
from airflow_provider_genesys.operators.finish_loads import GenesysFinishLoadsOperator
from airflow_provider_genesys.pipeline.load import LoadFacts
from airflow_provider_genesys.pipeline.sink import Sink
from airflow_provider_genesys.tasks.failures import AirflowFailException
from tests.support.task_context import DAY_END, DAY_START, RUN, stand_in

try:
    from airflow.sdk.exceptions import TaskDeferred
except ImportError:  # before Airflow 3.2
    from airflow.exceptions import TaskDeferred

REQUESTED = datetime(2026, 11, 25, tzinfo=timezone.utc)
LOAD = LoadFacts("l1", 0, "export-1", "recordings", DAY_START, DAY_END, REQUESTED, run_id="a_dag/r/t")
CONTEXT: Any = stand_in(RUN, DAY_END)
Outcome = dict[str, Any] | GenesysError | None


class Finish(GenesysFinishLoadsOperator):
    """Finishes loads with scripted outcomes, one list of them for each look."""

    looks: Sequence[dict[str, Outcome]] = ()
    closed = 0

    def make_sink(self) -> Sink:
        raise NotImplementedError

    def unfinished_loads(self) -> list[LoadFacts | CheckpointError]:
        return [replace(LOAD, load_id=load_id) for load_id in self.looks[0]]

    def _given_up(self, loads: Sequence[LoadFacts], context: Any) -> Any:
        return loads

    def _finish(self, load: LoadFacts, context: Any) -> dict[str, Any] | None:
        outcome = self.looks[0][load.load_id]
        if load.load_id == [*self.looks[0]][-1]:
            self.looks = self.looks[1:]
        if isinstance(outcome, GenesysError):
            raise outcome
        return outcome


def finish(*looks: dict[str, Outcome], **arguments: Any) -> Finish:
    task = Finish(task_id="load", poll_interval=0.001, **{"deferrable": False, **arguments})
    task.looks = looks
    return task


def test_what_is_finished_while_another_export_is_waited_for_is_returned_too() -> None:
    task = finish({"a": {"id": "a"}, "b": None}, {"b": None}, {"b": {"id": "b"}})
    assert task.execute(CONTEXT) == [{"id": "a"}, {"id": "b"}]


def test_what_is_finished_before_a_deferral_is_returned_after_it() -> None:
    task = finish({"a": {"id": "a"}, "b": None}, {"b": {"id": "b"}}, deferrable=True)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(CONTEXT)
    kept = json.loads(json.dumps(deferred.value.kwargs))
    assert getattr(task, deferred.value.method_name)(CONTEXT, None, **kept) == [{"id": "a"}, {"id": "b"}]


def test_an_error_that_a_retry_may_cure_is_the_one_that_is_raised() -> None:
    cured, not_cured = SinkUnavailableError("a moment"), ContractError("for good")
    for first, second in ((cured, not_cured), (not_cured, cured)):
        with pytest.raises(SinkUnavailableError, match="a moment"):
            finish({"a": first, "b": second}).execute(CONTEXT)
    with pytest.raises(AirflowFailException, match="for good"):
        finish({"a": not_cured}).execute(CONTEXT)


def test_the_connection_is_closed_before_each_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    task = finish({"b": None}, {"b": {"id": "b"}})
    monkeypatch.setattr(task.hook, "close", lambda: closed.append("closed"))
    monkeypatch.setattr(finish_loads, "time", SimpleNamespace(sleep=lambda _: closed.append("waits")))
    task.execute(CONTEXT)
    assert closed == ["closed", "waits", "closed"]


@pytest.mark.parametrize("timeout", [60, timedelta(minutes=1)])
def test_a_wait_ends_after_the_timeout_however_it_is_given(timeout: Any) -> None:
    for seconds, looks in ((30, ({"b": None}, {"b": {"id": "b"}})), (90, ({"b": None},))):
        task = finish(*looks, timeout=timeout)
        ti = stand_in(RUN, DAY_END, start_date=datetime.now(timezone.utc) - timedelta(seconds=seconds))
        if len(looks) > 1:
            assert task.execute(ti) == [{"id": "b"}]  # type: ignore[arg-type]
        else:
            with pytest.raises(ExportTimeoutError, match="after 60 s"):
                task.execute(ti)  # type: ignore[arg-type]


class Own(GenesysFinishLoadsOperator):
    make_sink = Finish.make_sink
    unfinished_loads = Finish.unfinished_loads


def test_loads_of_another_kind_contract_or_filter_and_loads_at_work_are_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(finish_loads, "_has_failed", lambda run_id, _: run_id != "at work")

    def of(**arguments: Any) -> LoadFacts:
        task = Own(task_id="t", **{"filters": {"a": 1}, **arguments})
        handle = {"kind": task.kind, **{name: vars(LOAD)[name] for name in ("export_id", "window_start", "window_end")}}
        return replace(task.load_of(handle, CONTEXT).facts, run_id="a_dag/r/t")

    own, at_work = of(), replace(of(), run_id="at work")
    others = [of(kind="user_details"), of(filters={"a": 2}), of(contract_modes={"unknown": "freeze"})]
    task = Own(task_id="t", filters={"a": 1})
    assert list(task._given_up([*others, own, at_work], CONTEXT)) == [own]


@pytest.mark.parametrize("submitted", [None, DAY_END], ids=["genesys does not say", "genesys says otherwise"])
def test_window_and_request_are_those_of_the_ledger(
    submitted: datetime | None, loaded: Callable[..., list[dict[str, Any]]]
) -> None:
    [handle] = loaded(ExportStatus("export-1", "recordings", ExportState.COMPLETED, "DONE", submitted_at=submitted))
    times = {name: datetime.fromisoformat(handle[name]) for name in ("window_start", "window_end", "submitted_at")}
    assert times == {"window_start": DAY_START, "window_end": DAY_END, "submitted_at": REQUESTED}


@pytest.mark.parametrize("error", [ExportGoneError("gone"), SourceChangedError("changed")])
def test_an_export_that_is_lost_while_it_is_loaded_is_asked_for_again(
    error: GenesysError, loaded: Callable[..., list[dict[str, Any]]]
) -> None:
    assert loaded(ExportStatus("export-1", "recordings", ExportState.COMPLETED, "DONE"), error)[1:] == ["again"]


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Finish one load whose export has that state; return the handle that is loaded, and what is done after it."""
    connection = {"conn_type": "genesys_cloud", "login": "id", "password": "secret", "extra": {"region": "us-east-1"}}
    monkeypatch.setenv("AIRFLOW_CONN_GENESYS_DEFAULT", json.dumps(connection))

    def run(status: ExportStatus, error: GenesysError | None = None) -> list[Any]:
        done: list[Any] = []

        def load_export(_: Any, __: Any, handle: dict[str, Any], *, restart: bool) -> dict[str, Any]:
            assert not restart
            done.append(handle)
            if error:
                raise error
            return {}

        task = Own(task_id="t")
        monkeypatch.setattr(task, "_alive", lambda _: status)
        monkeypatch.setattr(task, "load_export", load_export)
        monkeypatch.setattr(task, "_create_again", lambda *_: done.append("again"))
        task._finish(LOAD, CONTEXT)
        return done

    return run
