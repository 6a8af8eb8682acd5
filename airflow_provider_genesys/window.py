"""Which window a task exports: start ≤ t < end, in UTC."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

from airflow_provider_genesys.exceptions import WindowError
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.partition import bounds_of_partition
from airflow_provider_genesys.times import parse_time

GIVE_ONE = (
    "Give the operator window_start and window_end, or trigger the run with the conf "
    '{"window_start": "2026-11-22T00:00:00Z", "window_end": "2026-11-23T00:00:00Z"}.'
)

_DATE = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True)
class Window:
    """The half-open interval of a load: ``start`` ≤ t < ``end``, both aware and in UTC."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{self.start.isoformat()} to {self.end.isoformat()}"


def resolve_window(start: Any, end: Any, context: Mapping[str, Any]) -> Window:
    """Return the window of this task run, from the first of these that gives one.

    1. the operator's arguments ``start`` and ``end``;
    2. ``window_start`` and ``window_end`` in the conf of the DAG run, then in its params;
    3. the data interval of the DAG run, when it has a length;
    4. the asset events that triggered the run, when our operators have emitted them and all are of one window;
    5. the partition of the DAG run (:func:`~.partition.bounds_of_partition`).

    A time is a datetime or a text in ISO 8601, with or without a time of day. One without a zone is read as UTC.
    ``None``, an empty text and ``"None"`` (as a template renders it) count as not given.

    :param context: the context of an Airflow task; any key may be absent.
    :raises WindowError: no window is given, or only one end of it; it is reversed or empty; a time cannot be read;
        all runs of a backfill would have the same.
    """
    conf = getattr(context.get("dag_run"), "conf", None) or {}
    params = context.get("params") or {}
    for source, one, other in (
        ("the operator's arguments", start, end),
        ("the conf of the DAG run", conf.get("window_start"), conf.get("window_end")),
        ("the params of the DAG", params.get("window_start"), params.get("window_end")),
    ):
        if window := read_window(source, one, other):
            if source != "the operator's arguments":
                _check_backfill(source, window, context)
            return window
    if not _has_interval(context):
        if window := _of_events(context):
            return window
        if bounds := bounds_of_partition(context):
            return Window(*bounds)
    return _data_interval(context)


def _check_backfill(source: str, window: Window, context: Mapping[str, Any]) -> None:
    """Refuse a window that all runs of a backfill would share, instead of their own intervals.

    :raises WindowError: this is such a run.
    """
    kind = getattr(context.get("dag_run"), "run_type", None)
    if getattr(kind, "value", kind) != "backfill" or not _has_interval(context):
        return
    interval = _data_interval(context)
    if interval != window:
        raise WindowError(
            f"This run of a backfill is of {interval}, and {source} give the window {window}. Every run of the "
            "backfill would export that one. Leave window_start and window_end empty in the form of a backfill; or "
            "trigger one run with them."
        )


def _has_interval(context: Mapping[str, Any]) -> bool:
    start, end = _interval_of(context)
    return start is not None and end is not None and start < end


def _of_events(context: Mapping[str, Any]) -> Window | None:
    """Return the window named by the asset events that triggered the run.

    :raises WindowError: they name several.
    """
    triggering = context.get("triggering_asset_events") or {}
    extras = [getattr(event, "extra", None) or {} for events in triggering.values() for event in events]
    named = {(one["window_start"], one["window_end"]) for one in extras if {"window_start", "window_end"} <= one.keys()}
    if len(named) > 1:
        windows = " and ".join(sorted(map(str, named)))
        raise WindowError(
            f"The run was triggered by asset events of {len(named)} windows, {windows}. Map the operator "
            "over them: GenesysCreateExportOperator.partial(...).expand_kwargs(windows)."
        )
    return read_window("the asset event that triggered the run", *named.pop()) if named else None


def days_of(window: Window, *, look_back: int = 0, time_zone: str = "UTC") -> list[dict[str, str]]:
    """Return the days of ``time_zone`` that ``window`` touches, and ``look_back`` before them; the newest first.

    Genesys corrects its data for some days. A day that is exported again has to have the same window as before, so that
    its rows replace the earlier ones.

    :returns: ``{"window_start", "window_end"}`` of each, as ``expand_kwargs`` takes them.
    """
    zone = ZoneInfo(time_zone)
    # Local midnights: the sum of a date and a day is the next midnight, also where the clocks change between them.
    day = datetime.combine(window.start.astimezone(zone), time(), zone) - timedelta(days=look_back)
    days = []
    while day < window.end:
        bounds = (one.astimezone(timezone.utc).isoformat() for one in (day, day + timedelta(days=1)))
        days.append(dict(zip(("window_start", "window_end"), bounds, strict=True)))
        day += timedelta(days=1)
    return days[::-1]


def read_window(source: str, start: Any, end: Any) -> Window | None:
    """Return the window that one ``source`` (a phrase for messages) gives; None if it gives none."""
    if absent(start) and absent(end):
        return None
    if absent(start) or absent(end):
        missing, other = ("window_start", "window_end") if absent(start) else ("window_end", "window_start")
        raise WindowError(f"In {source}, {other} is given and {missing} is not. Give both, or neither.")
    window = Window(read_moment(f"window_start in {source}", start), read_moment(f"window_end in {source}", end))
    if window.start >= window.end:
        wrong = "is empty" if window.start == window.end else "ends before it starts"
        raise WindowError(
            f"The window from {source}, {window} (times without a zone are read as UTC), {wrong}. The start belongs "
            "to the window, the end does not: one day is 2026-11-22T00:00:00Z to 2026-11-23T00:00:00Z."
        )
    return window


def absent(value: Any) -> bool:
    """Whether an argument was not given, or its template rendered to ``""`` or ``"None"``."""
    return value is None or (isinstance(value, str) and value.strip() in ("", "None"))


def read_moment(name: str, value: Any) -> datetime:
    """Read the time that what is called ``name`` in messages gives, as :func:`resolve_window` does.

    :raises WindowError: it is not a time.
    """
    text = value.strip() if isinstance(value, str) else value
    if isinstance(text, str) and _DATE.fullmatch(text):
        text += "T00:00"
    # Digits alone would be read as seconds since 1970, and 20261122 as a day in August 1970.
    readable = isinstance(text, datetime) or (isinstance(text, str) and not text.isdigit())
    moment = parse_time(text) if readable else None
    if moment is None:
        raise WindowError(
            f"{name} is {shown(value, 80)!r}, which is not a time. Write ISO 8601, e.g. 2026-11-22T00:00:00Z or "
            "2026-11-22."
        )
    return moment


def _data_interval(context: Mapping[str, Any]) -> Window:
    start, end = _interval_of(context)
    if start is None or end is None:
        key = context.get("partition_key")
        partition = f" Its partition key {key!r} does not say how long the partition is." if key else ""
        raise WindowError(
            "There is no window to export: this DAG run has no data interval, because it was triggered without a "
            f"logical date or by an asset.{partition} {GIVE_ONE}"
        )
    if start >= end:
        raise WindowError(
            f"There is no window to export: the data interval of this DAG run is {Window(start, end)}, which has no "
            "length. In Airflow 3 that is what schedule='@daily', a cron text or a timedelta give, and a run triggered "
            "by hand. Use schedule=CronDataIntervalTimetable('0 0 * * *', timezone='UTC') (from airflow.sdk, or "
            f"airflow.timetables.interval before 3.3). {GIVE_ONE}"
        )
    return Window(start, end)


def _interval_of(context: Mapping[str, Any]) -> tuple[datetime | None, datetime | None]:
    run, names = context.get("dag_run"), ("data_interval_start", "data_interval_end")
    start, end = (parse_time(context.get(name) or getattr(run, name, None)) for name in names)
    return start, end
