from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import WindowError
from airflow_provider_genesys.window import Window, absent, days_of, read_window, resolve_window
from tests.support.task_context import context

START = datetime(2026, 11, 22, tzinfo=timezone.utc)
END = datetime(2026, 11, 23, tzinfo=timezone.utc)
DAY = Window(START, END)
OTHER = (datetime(2026, 1, 1, tzinfo=timezone.utc), datetime(2026, 1, 2, tzinfo=timezone.utc))
TEXTS = {"window_start": "2026-11-22T00:00:00Z", "window_end": "2026-11-23T00:00:00Z"}


def run_context(
    interval: tuple[datetime | None, datetime | None] = (None, None),
    conf: dict[str, Any] | None = None,
    params: dict[str, Any] | None = None,
    run_type: str = "manual",
) -> dict[str, Any]:
    run = {"conf": conf and {name: str(value) for name, value in conf.items()}, "run_type": run_type}
    start, end = interval
    dates = {"logical_date": end, "data_interval_start": start, "data_interval_end": end}
    return {**context(run={**run, **dates}), "params": params or {}}


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (START, END),
        ("2026-11-22T00:00:00Z", "2026-11-23T00:00:00+00:00"),
        ("2026-11-22T01:00:00+01:00", "2026-11-22T19:00:00-05:00"),
        (" 2026-11-22 00:00:00 ", "2026-11-23T00:00"),
        ("2026-11-22", "2026-11-23"),
        (datetime(2026, 11, 22), datetime(2026, 11, 23)),  # noqa: DTZ001 -- without a zone: read as UTC
        (START.astimezone(timezone(timedelta(hours=9))), "2026-11-23T00:00:00.000000Z"),
    ],
)
def test_arguments_are_read_as_utc(start: Any, end: Any) -> None:
    window = resolve_window(start, end, run_context())
    assert window == DAY
    assert window.start.tzinfo is timezone.utc


@pytest.mark.parametrize("absent", [None, "", " ", "None"])
def test_what_an_empty_template_gives_counts_as_absent(absent: str | None) -> None:
    assert resolve_window(absent, absent, run_context(interval=(START, END))) == DAY


def test_arguments_come_before_conf_params_and_interval() -> None:
    elsewhere = {"window_start": OTHER[0], "window_end": OTHER[1]}
    assert resolve_window(START, END, run_context(OTHER, elsewhere, elsewhere)) == DAY


def test_conf_comes_before_params_and_interval() -> None:
    elsewhere = {"window_start": OTHER[0], "window_end": OTHER[1]}
    assert resolve_window(None, None, run_context(OTHER, TEXTS, elsewhere)) == DAY


def test_params_come_before_the_interval() -> None:
    assert resolve_window(None, None, run_context(OTHER, {}, TEXTS)) == DAY


def test_the_interval_is_taken_from_the_context_as_well() -> None:
    assert resolve_window(None, None, {"data_interval_start": START, "data_interval_end": END}) == DAY


def test_zero_length_interval_says_which_timetable_to_use() -> None:
    with pytest.raises(WindowError, match=r"no length.*@daily.*CronDataIntervalTimetable.*window_start"):
        resolve_window(None, None, run_context(interval=(START, START)))


def test_run_without_interval_says_how_to_give_a_window() -> None:
    for empty in ({}, run_context(), {"dag_run": None, "params": None}):
        with pytest.raises(WindowError, match=r'no data interval.*\{"window_start": "2026'):
            resolve_window(None, None, empty)


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        (END, START, "the operator's arguments, 2026-11-23T00:00:00+00:00 to 2026-11-22.*ends before it starts"),
        (START, "2026-11-22", "is empty"),
        (START, None, "window_start is given and window_end is not"),
        ("", END, "window_end is given and window_start is not"),
        ("yesterday", END, "window_start in the operator's arguments is 'yesterday', which is not a time"),
        ("20261122", "20261123", "'20261122', which is not a time"),
        (1_763_769_600, END, "'1763769600', which is not a time"),
        ("2026-02-30", END, "'2026-02-30', which is not a time"),
    ],
)
def test_unusable_arguments_are_told(start: Any, end: Any, said: str) -> None:
    with pytest.raises(WindowError, match=said.replace("+", r"\+")):
        resolve_window(start, end, run_context(interval=(START, END)))


def test_half_a_conf_does_not_fall_back_to_the_interval() -> None:
    with pytest.raises(WindowError, match="In the conf of the DAG run, window_end is given"):
        resolve_window(None, None, run_context((START, END), {"window_end": END}))


@pytest.mark.parametrize("value", [None, "", " ", "None", " None\n"])
def test_what_a_template_makes_of_nothing_is_absent(value: Any) -> None:
    assert absent(value)
    assert read_window("here", value, value) is None


@pytest.mark.parametrize("value", [0, False, "0", "none", "no", [], {}])
def test_what_is_given_is_not_absent(value: Any) -> None:
    assert not absent(value)


@pytest.mark.parametrize("where", ["conf", "params"])
def test_a_window_in_the_form_of_a_backfill_is_refused(where: str) -> None:
    form = {"window_start": "2026-11-01", "window_end": "2026-11-02"}
    one = run_context((START, END), **{where: form})
    assert resolve_window(None, None, one).start == datetime(2026, 11, 1, tzinfo=timezone.utc)
    one = run_context((START, END), **{where: form}, run_type="backfill")
    with pytest.raises(WindowError, match=r"Every run of the backfill would export that one\. Leave window_start"):
        resolve_window(None, None, one)
    assert resolve_window("2026-11-05", "2026-11-06", one).start == datetime(2026, 11, 5, tzinfo=timezone.utc)
    same = run_context((START, END), **{where: {"window_start": START, "window_end": END}}, run_type="backfill")
    assert resolve_window(None, None, same) == resolve_window(None, None, run_context((START, END)))


def days(window: Window, **options: Any) -> list[tuple[str, str]]:
    """Start and end of each day, without seconds."""
    return [(one["window_start"][:16], one["window_end"][:16]) for one in days_of(window, **options)]


def test_the_days_that_a_window_touches_come_the_newest_first() -> None:
    hours = Window(START + timedelta(hours=22), END + timedelta(hours=1))
    assert days(hours) == [("2026-11-23T00:00", "2026-11-24T00:00"), ("2026-11-22T00:00", "2026-11-23T00:00")]
    assert days(Window(START, END)) == days(hours)[1:]  # the end does not belong to the window
    assert [start for start, _ in days(Window(START, END), look_back=2)] == [
        *("2026-11-22T00:00", "2026-11-21T00:00", "2026-11-20T00:00"),
    ]


def test_a_day_of_a_time_zone_has_23_or_25_hours_where_the_clocks_change() -> None:
    for zone, day, start, end in (
        ("Europe/Berlin", datetime(2026, 3, 29, 5, tzinfo=timezone.utc), "2026-03-28T23:00", "2026-03-29T22:00"),
        ("Europe/Berlin", datetime(2026, 10, 25, 5, tzinfo=timezone.utc), "2026-10-24T22:00", "2026-10-25T23:00"),
        ("America/New_York", datetime(2026, 11, 1, 5, tzinfo=timezone.utc), "2026-11-01T04:00", "2026-11-02T05:00"),
    ):
        one_hour = Window(day, day + timedelta(hours=1))
        assert days(one_hour, time_zone=zone) == [(start, end)]
        before, *_ = days(one_hour, time_zone=zone, look_back=1)[1:]
        assert before[1] == start  # no gap, no overlap


def test_days_are_what_read_window_reads() -> None:
    (one,) = days_of(Window(START, END))
    assert read_window("a mapped window", one["window_start"], one["window_end"]) == Window(START, END)
