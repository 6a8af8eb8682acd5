"""How often a task looks, and what it does not look at."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_genesys.cloud.exports.base import ExportState, ExportStatus
from airflow_provider_genesys.exceptions import ConfigurationError, ExportTimeoutError, WindowError
from airflow_provider_genesys.tasks import availability
from airflow_provider_genesys.tasks.availability import wait_for_data
from airflow_provider_genesys.tasks.handle import read_handle, window_of
from airflow_provider_genesys.tasks.wait import Wait, wait_for_export
from tests.support.task_context import DAY_END, DAY_START, Store, context


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
    monkeypatch.setattr(availability.time, "sleep", pauses.append)
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
