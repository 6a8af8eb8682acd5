"""Returns the time of a partition of Airflow 3.2 and later: the hour, day, week or month in its name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from typing import Any, Literal
from zoneinfo import ZoneInfo

from airflow_provider_genesys.exceptions import WindowError
from airflow_provider_genesys.times import parse_time

Unit = Literal["hour", "day", "week", "month"]
Bounds = tuple[datetime, datetime]
"""Start and end, aware and in UTC."""

_KEYS: tuple[tuple[re.Pattern[str], Unit, str], ...] = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d"), "hour", "%Y-%m-%dT%H"),
    (re.compile(r"\d{4}-\d\d-\d\d"), "day", "%Y-%m-%d"),
    (re.compile(r"\d{4}-\d\d-\d\d \(W\d\d\)"), "week", "%Y-%m-%d (W%V)"),
    (re.compile(r"\d{4}-\d\d"), "month", "%Y-%m"),
)
"""Keys that say how long their partition is, as Airflow's own mappers write them."""
_PRESETS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
}
"""Names of cron expressions, which Airflow 3.2 hands on as they are."""
_LAST_DAY_OF_ALL = 28
"""The last day that every month has."""


def bounds_of_partition(context: Mapping[str, Any]) -> Bounds | None:
    """Return the time of the run's partition; None where the run has none, or nothing says how long it is.

    With ``CronPartitionTimetable`` its cron says how long a partition is, and its time zone where it begins: a daily
    partition is the calendar day of the partition's date, whatever the hour at which the DAG runs. Without one, a key
    such as ``2026-11-22``, ``2026-11-22T05`` or ``2026-11`` says it, in UTC.

    :raises WindowError: the cron makes partitions of no such length.
    """
    run = context.get("dag_run")
    key = context.get("partition_key") or getattr(run, "partition_key", None)
    moment = parse_time(context.get("partition_date") or getattr(run, "partition_date", None))
    if not key:
        return None
    timetable = getattr(context.get("dag"), "timetable", None)
    cron, zone = getattr(timetable, "expression", None), _zone(getattr(timetable, "timezone", None))
    if cron and moment:
        return _bounds(moment.astimezone(zone), _unit_of(str(cron)), zone)
    return _bounds_of_key(str(key))


def _unit_of(cron: str) -> Unit:
    """Return the length of the partitions that a cron expression makes.

    :raises WindowError: the partitions are not always of the same unit.
    """
    parts = _PRESETS.get(cron, cron).split()
    if len(parts) == 5 and parts[0].isdigit() and parts[3] == "*":  # noqa: PLR2004 - minute, hour, day, month, weekday
        _, hour, day, _, weekday = parts
        if (hour, day, weekday) == ("*", "*", "*"):
            return "hour"
        if hour.isdigit():
            if (day, weekday) == ("*", "*"):
                return "day"
            if day == "*" and re.fullmatch(r"\d|[A-Za-z]{3}", weekday):
                return "week"
            if day.isdigit() and int(day) <= _LAST_DAY_OF_ALL and weekday == "*":
                return "month"
    raise WindowError(
        f"The partitions of this DAG come by the cron expression {cron!r}, which does not say whether one is an hour, "
        "a day, a week or a month. Use one run an hour, a day, a week or a month, or give the operator window_start "
        "and window_end."
    )


def _bounds(local: datetime, unit: Unit, zone: tzinfo) -> Bounds:
    """Return the hour, or the days that begin with the day, of ``local``."""
    if unit == "hour":
        start = local.replace(minute=0, second=0, microsecond=0).astimezone(timezone.utc)
        return start, start + timedelta(hours=1)
    day = local.date()
    following = {"day": day + timedelta(days=1), "week": day + timedelta(days=7), "month": _next_month(day)}[unit]
    start, end = (datetime.combine(one, time(), zone).astimezone(timezone.utc) for one in (day, following))
    return start, end


def _bounds_of_key(key: str) -> Bounds | None:
    for pattern, unit, written in _KEYS:
        if pattern.fullmatch(key):
            text, form = (key.partition(" ")[0], "%Y-%m-%d") if unit == "week" else (key, written)
            try:
                return _bounds(datetime.strptime(text, form).replace(tzinfo=timezone.utc), unit, timezone.utc)
            except ValueError:
                return None
    return None


def _next_month(day: date) -> date:
    return day.replace(year=day.year + day.month // 12, month=day.month % 12 + 1)


def _zone(named: Any) -> tzinfo:
    if isinstance(named, tzinfo):
        return named
    return ZoneInfo(named) if isinstance(named, str) else timezone.utc
