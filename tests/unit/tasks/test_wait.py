"""How often a task looks, and what it does not look at."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_genesys.cloud.exports.base import ExportState, ExportStatus
from airflow_provider_genesys.exceptions import (
    CloudUnavailableError,
    ConfigurationError,
    ExportGoneError,
    ExportTimeoutError,
    WindowError,
)
from airflow_provider_genesys.tasks import availability
from airflow_provider_genesys.tasks import wait as wait_module
from airflow_provider_genesys.tasks.availability import wait_for_data
from airflow_provider_genesys.tasks.handle import read_handle, window_of
from airflow_provider_genesys.tasks.wait import TRIGGER_GRACE, Wait, wait_for_export, waiting_since
from tests.support.task_context import DAY_END, DAY_START, RUN, Store, context, stand_in


class DeferredError(Exception):
    """The task would be deferred now."""


@pytest.mark.parametrize(
    ("started", "interval"), [(ExportState.READY, 60), (ExportState.RUNNING, 5)], ids=["no free slot", "started"]
)
def test_a_job_that_finds_no_slot_is_asked_for_rarely(started: ExportState, interval: int) -> None:
    asked: list[Any] = []

    def look(state: ExportState) -> Any:
        return lambda export_id, kind: ExportStatus(export_id, kind, state, state.value)

    def defer(trigger: Any, **_: Any) -> None:
        asked.append(trigger)
        raise DeferredError

    hook: Any = SimpleNamespace(
        get_export=look(ExportState.READY), start_export=look(started), genesys_conn_id="genesys_default"
    )
    given: Any = context(Store())
    with pytest.raises(DeferredError):
        wait_for_export(hook, "recording_bulk", "job", Wait(5, 60, 3600), given, defer=defer, owned=True)
    [trigger] = asked
    assert (trigger.poll_interval, trigger.max_poll_interval, trigger.kind) == (interval, 60, "recording_bulk")
    assert trigger.cancel_on_kill


def test_the_looks_for_data_become_rarer(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    lefts = iter([1000.0] * 5 + [0.0])
    monkeypatch.setattr(availability, "seconds_left", lambda _: next(lefts))
    monkeypatch.setattr(availability, "time", SimpleNamespace(sleep=pauses.append))
    hook: Any = SimpleNamespace(available_until=lambda _: DAY_START)
    with pytest.raises(ExportTimeoutError, match="late_data='load'"):
        wait_for_data(hook, "user_details", DAY_END, Wait(5, 60, 10), context(), late_data="wait", defer=None)  # type: ignore[arg-type]
    assert len(pauses) == 5
    assert pauses[0] <= 10
    assert min(pauses[3:]) >= 30


@pytest.mark.parametrize("export_id", ["a\nb", "a\x1b[31m", "\u202e", "a" * 70_000])
def test_what_cannot_be_an_id_is_refused_before_it_is_asked_for_or_shown(export_id: str) -> None:
    hook: Any = SimpleNamespace()
    for given in (export_id, {"export_id": export_id}):
        with pytest.raises(ConfigurationError, match="cannot be the id of an export") as caught:
            read_handle(given, "recordings", hook)
        assert len(str(caught.value)) < 200
        assert str(caught.value).isprintable()


def test_a_window_is_the_operator_s_or_that_of_the_handle_or_an_error() -> None:
    handle = {"export_id": "e", "window_start": "2026-11-20T00:00:00Z", "window_end": "2026-11-21T00:00:00Z"}
    assert [window_of(handle, *given).start.day for given in ((None, None), ("2026-11-22", "2026-11-23"))] == [20, 22]
    with pytest.raises(WindowError, match="Neither Genesys nor the handle says which window export e has"):
        window_of({"export_id": "e"}, None, None)


class Kept(dict[str, Any]):
    """A task's state store."""

    set = dict.__setitem__

    def __bool__(self) -> bool:
        return True


def of_try(store: Kept, start: datetime = DAY_END) -> Any:
    return {**stand_in(RUN, DAY_END, start_date=start), "task_state_store": store}


def test_a_wait_lasts_since_the_first_try_that_waited_for_the_same() -> None:
    store, later = Kept(), DAY_END + timedelta(hours=1)
    assert waiting_since(of_try(store), "wait", "a") == DAY_END
    assert waiting_since(of_try(store, later), "wait", "a") == DAY_END
    assert waiting_since(of_try(store, later), "wait", "b") == later


class Hook:
    """Gives scripted answers for an export, the last one for ever."""

    genesys_conn_id = "mine"

    def __init__(self, *answers: ExportStatus | Exception) -> None:
        self._answers = list(answers)

    def get_export(self, *_: Any) -> ExportStatus:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def of(state: str, **more: Any) -> ExportStatus:
    return ExportStatus("e", "recordings", ExportState(state), state, **more)


def waited(*answers: ExportStatus | Exception, timeout: float = 60, **given: Any) -> ExportStatus:
    hook: Any = Hook(*answers)
    started = datetime.now(timezone.utc)
    return wait_for_export(hook, "recordings", "e", Wait(0.001, 0.002, timeout), of_try(Kept(), started), **given)


def test_a_file_that_comes_later_is_waited_for_unless_the_export_ends_otherwise() -> None:
    assert waited(of("COMPLETED"), of("COMPLETED"), of("COMPLETED", file_uri="https://x/")).file_uri == "https://x/"
    with pytest.raises(ExportGoneError, match="gives no file for it"):
        waited(of("COMPLETED"))
    with pytest.raises(ExportGoneError, match="has expired"):
        waited(of("COMPLETED"), of("EXPIRED"))


OUTAGE = CloudUnavailableError("no answer", status=503)


def test_a_trigger_that_has_given_up_is_believed_and_a_first_look_is_not() -> None:
    done = of("COMPLETED", file_uri="https://x/")
    for event in (None, {"state": "READY"}):
        assert waited(OUTAGE, done, event=event) is done
    with pytest.raises(CloudUnavailableError):
        waited(OUTAGE, done, event={"state": "RUNNING"})


def test_no_pause_is_longer_than_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    lefts = iter([30.0, 0.5, 0.0])
    monkeypatch.setattr(wait_module, "seconds_left", lambda _: next(lefts))
    monkeypatch.setattr(wait_module, "time", SimpleNamespace(sleep=pauses.append))
    hook: Any = Hook(of("RUNNING"))
    with pytest.raises(ExportTimeoutError, match="last state was RUNNING"):
        wait_for_export(hook, "recordings", "e", Wait(5, 60, 7), of_try(Kept()))
    assert pauses[0] > 0.5 == pauses[1]


def test_airflow_ends_a_trigger_only_after_its_deadline() -> None:
    deferred: dict[str, Any] = {}

    def defer(**given: Any) -> None:
        deferred.update(given)
        raise DeferredError

    with pytest.raises(DeferredError):
        waited(of("RUNNING"), timeout=100, defer=defer)
    assert 100 < deferred["timeout"].total_seconds() <= 100 + TRIGGER_GRACE
