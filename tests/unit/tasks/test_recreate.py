"""Exports that are asked for anew while they are loaded, against the fake Genesys."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any, NoReturn

import msgspec
import pytest

from airflow_provider_genesys.cloud.exports.base import ExportRequest
from airflow_provider_genesys.exceptions import ExportGoneError, WindowTooLargeError
from airflow_provider_genesys.hooks.genesys import GenesysCloudHook
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.source.pages import open_pages
from airflow_provider_genesys.tasks import recreate
from airflow_provider_genesys.tasks.recreate import MOST, Recreated, load_or_recreate
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from tests.support.task_context import DAY_END, DAY_START, RUN, Store, context, stand_in

Start = Callable[..., FakeGenesys]
BY_DAY = {"startOfDayIntervalMatching": True}
KIND = "conversation_details"


class Task:
    """What loads: here, into a list of ids for each attempt."""

    def __init__(self) -> None:
        self.hook = GenesysCloudHook()
        self.attempts: list[list[str]] = []
        self.submissions: list[str] = []

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        """Ask for the day; return the handle, as the sensor gives it."""
        export_id = self.hook.create_export(KIND, ExportRequest(DAY_START, DAY_END, {}, (), "ndjson", options))
        window = {"window_start": DAY_START.isoformat(), "window_end": DAY_END.isoformat()}
        asked = {"filters": {}, "options": options}
        return {**self.hook.make_handle(self.hook.get_export(export_id, KIND)), **window, "request": asked}

    def load(self, handle: dict[str, Any]) -> dict[str, Any]:
        ids: list[str] = []
        self.attempts.append(ids)
        self.submissions.append(handle["submitted_at"])
        pages = open_pages(handle, self.hook.get_conn(), page_size=5)
        assert pages
        start = Checkpoint("load", handle["export_id"], "2026-11-23")
        for part in pages.open_at(start, max_record_bytes=10**7).slices(100, cut_every=None, flush_interval=1):
            ids += [record["conversationId"] for record in msgspec.json.decode(b"[%b]" % part.data.rstrip(b","))]
        return {"export_id": handle["export_id"], "read": len(ids)}

    def run(
        self, handle: dict[str, Any], given: dict[str, Any] | None = None, recreated: Recreated | None = None
    ) -> dict[str, Any]:
        return load_or_recreate(handle, self.load, recreated or self.recreated(given or context(Store())))

    def recreated(self, around: Any, *given: Any, **more: Any) -> Recreated:
        return Recreated(around, self.hook, ["create"], *given, **more)


def whole(start_genesys: Start, options: dict[str, Any]) -> list[str]:
    """Return the ids that an organisation without a cap gives of the day."""
    start_genesys(conversations=40)
    task = Task()
    task.run(task.create(options))
    return sorted(task.attempts[0])


@pytest.mark.outcome("jobs", "the pagination cap is hit in the middle of a load (400)", "recovers")
@pytest.mark.parametrize("options", [BY_DAY, {}], ids=["by the day of the start", "all that overlap"])
def test_a_window_with_more_results_than_are_given_out_is_loaded_in_pieces(
    start_genesys: Start, options: dict[str, Any]
) -> None:
    everything = whole(start_genesys, options)
    assert options or len(everything) > 40
    genesys = start_genesys(conversations=40, pagination_cap=25)
    task = Task()
    handle = task.create(options)
    summary = task.run(handle)
    assert sorted(task.attempts[-1]) == everything
    assert summary["original_export_id"] == handle["export_id"]
    assert len(summary["export_id"].split(",")) in {2, 4}
    assert len(task.attempts[0]) == 25
    assert genesys.jobs.keys() > set(summary["export_id"].split(","))


def test_the_next_try_goes_on_with_what_an_earlier_one_asked_for(start_genesys: Start) -> None:
    genesys = start_genesys(conversations=40, pagination_cap=25)
    task, store = Task(), Store()
    handle = task.create(BY_DAY)
    first = task.run(handle, context(store))
    asked = len(genesys.jobs)
    assert task.run(handle, context(store)) == first
    assert len(genesys.jobs) == asked
    cleared = task.run(handle, context(store, max_tries=3))
    assert cleared["export_id"] != first["export_id"]


def test_what_is_asked_for_again_was_asked_for_by_our_clock_where_genesys_does_not_say(start_genesys: Start) -> None:
    genesys = start_genesys(conversations=40, tells_submission=False)
    task, store = Task(), Store()
    handle = {**task.create(BY_DAY), "submitted_at": "2026-11-22T00:00:00+00:00"}
    genesys.jobs[handle["export_id"]].outcome = "EXPIRED"
    before = datetime.now(timezone.utc).isoformat()
    task.run(handle, context(store))
    task.run(handle, context(store))
    [again, kept] = task.submissions[-2:]
    assert again == kept
    assert before <= again <= datetime.now(timezone.utc).isoformat()


@pytest.mark.outcome("jobs", "the results of a job have expired when they are loaded", "recovers")
def test_results_that_have_expired_are_asked_for_again(start_genesys: Start) -> None:
    genesys = start_genesys(conversations=40)
    task = Task()
    handle = task.create(BY_DAY)
    genesys.jobs[handle["export_id"]].outcome = "EXPIRED"
    summary = task.run(handle)
    assert summary["read"] == 40
    assert summary["export_id"] != handle["export_id"]


class Deferred(Exception):  # noqa: N818 - no error; the real one needs an Airflow
    """What ``defer`` was called with."""

    def __init__(self, kwargs: dict[str, Any], **_: Any) -> None:
        super().__init__()
        self.kwargs = kwargs


def deferring(**given: Any) -> NoReturn:
    raise Deferred(**given)


@pytest.mark.parametrize("store", [Store(), None], ids=["Airflow 3.3", "before"])
def test_the_wait_for_what_is_asked_for_again_is_no_workers(start_genesys: Start, store: Store | None) -> None:
    genesys = start_genesys(conversations=40)
    task, around = Task(), context(store)
    handle = task.create(BY_DAY)
    genesys.jobs[handle["export_id"]].outcome = "EXPIRED"
    genesys.job_polls, genesys.jobs[handle["export_id"]].looks = 2, 2
    with pytest.raises(Deferred) as deferred:
        task.run(handle, around, task.recreated(around, defer=deferring))
    genesys.job_polls = None
    asked = len(genesys.jobs)
    resumed = task.recreated(around, carried=deferred.value.kwargs["newest"], event={"state": "FULFILLED"})
    summary = task.run(handle, around, resumed)
    assert (summary["read"], summary["original_export_id"]) == (40, handle["export_id"])
    assert len(genesys.jobs) == asked == 2


def test_what_expires_again_and_again_is_not_asked_for_for_ever(start_genesys: Start) -> None:
    genesys = start_genesys(conversations=40)
    task, around = Task(), context()
    handle = task.create(BY_DAY)
    genesys.jobs[handle["export_id"]].outcome = "EXPIRED"
    newest = {"of": handle["export_id"], "export_id": handle["export_id"], "submitted_at": None, "times": MOST}
    with pytest.raises(ExportGoneError):
        task.run(handle, around, task.recreated(around, newest))


def test_who_gives_an_id_alone_is_helped_by_the_task_that_created_it(start_genesys: Start) -> None:
    genesys = start_genesys(conversations=40)
    task = Task()
    handle = task.create(BY_DAY)
    upstream = {"create": {"export_id": handle["export_id"], "request": handle.pop("request")}}
    given = context(Store(), task_id="load", upstream=upstream)
    genesys.jobs[handle["export_id"]].outcome = "EXPIRED"
    assert task.run(handle, given)["read"] == 40


def test_where_nobody_says_what_was_asked_for_the_error_stays(start_genesys: Start) -> None:
    genesys = start_genesys(conversations=40, pagination_cap=25)
    task = Task()
    handle = {**task.create(BY_DAY), "request": None}
    with pytest.raises(WindowTooLargeError, match="more results than Genesys delivers"):
        task.run(handle)
    genesys.jobs[handle["export_id"]].outcome = "EXPIRED"
    with pytest.raises(ExportGoneError):
        task.run(handle)


@pytest.mark.outcome("jobs", "even a minute of the window is more than the pagination cap", "WindowTooLargeError")
def test_a_window_that_is_too_large_in_however_many_pieces_ends_the_load(start_genesys: Start) -> None:
    genesys = start_genesys(conversations=40, pagination_cap=0)
    task = Task()
    with pytest.raises(WindowTooLargeError, match="too large"):
        task.run({**task.create({}), "window_end": (DAY_START + timedelta(minutes=5)).isoformat()})
    assert genesys.jobs


def test_the_event_of_a_wait_counts_for_that_wait_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """If what was created again expires as well, its successor is looked at patiently."""
    events: list[Any] = []
    monkeypatch.setattr(recreate, "wait_for_export", lambda *_, event, **__: events.append(event))
    hook: Any = SimpleNamespace(make_handle=lambda _: {"submitted_at": None})
    newest = {"of": "e", "export_id": "f", "submitted_at": "now", "times": 1}
    recreated = Recreated(stand_in(RUN, DAY_END), hook, [], newest, {"state": "COMPLETED"})  # type: ignore[arg-type]
    for _ in range(2):
        recreated.handle({"export_id": "e", "kind": KIND, "window_start": "a", "window_end": "b", "request": {"a": 1}})
    assert events == [{"state": "COMPLETED"}, None]
