"""The buckets of aggregates: cuts a window by a granularity in a time zone, with its daylight saving time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

from airflow_provider_genesys.exceptions import ConfigurationError, WindowError, WindowTooLargeError

_PERIOD = re.compile(r"P(?:(?P<months>\d+)M)?(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?)?")
_MOST = 100_000
"""Largest number of buckets in a window. More of them mean a mistake in the granularity."""


@dataclass(frozen=True)
class Granularity:
    """The length of a bucket: calendar days, weeks or months, or hours and minutes.

    :param text: ISO 8601, e.g. ``PT30M``, ``P1D``, ``P1M``.
    """

    text: str
    months: int
    days: int
    length: timedelta

    @classmethod
    def of(cls, text: str) -> Granularity:
        """Read a period.

        :raises ConfigurationError: ``text`` is not a period, or mixes days with hours or months with days.
        """
        match = _PERIOD.fullmatch(text)
        months, weeks, days, hours, minutes = (int(part or 0) for part in match.groups()) if match else (0,) * 5
        length = timedelta(hours=hours, minutes=minutes)
        if sum(map(bool, (months, weeks * 7 + days, length))) != 1:
            raise ConfigurationError(
                f"granularity is {text!r}. Write a period such as PT15M, PT30M, PT1H, P1D, P1W or P1M, in one unit."
            )
        return cls(text, months, weeks * 7 + days, length)

    def bounds(self, start: datetime, end: datetime, zone: ZoneInfo) -> list[datetime]:
        """Return the start of each bucket of ``start`` ≤ t < ``end`` (aware), and then the end, in UTC.

        A day is a day of ``zone``: it has 23 or 25 hours where the clocks change.

        :raises WindowError: the window is not a whole number of buckets, or does not begin at midnight in ``zone``.
        """
        if not self.length:
            self._check_midnight(start, zone)
        bounds = [start.astimezone(timezone.utc)]
        while bounds[-1] < end:
            if len(bounds) > _MOST:
                raise WindowError(f"The window {start} to {end} has more than {_MOST} buckets of {self.text}.")
            bounds.append(self._bound(start, len(bounds), zone))
        if bounds[-1] != end:
            raise WindowError(
                f"The window {start.isoformat()} to {end.isoformat()} is not a whole number of buckets of {self.text} "
                f"in {zone.key}: the last one would end at {bounds[-1].isoformat()}. It would count only a part of its "
                "time and look complete. Choose a window that ends there, or a smaller granularity."
            )
        return bounds

    def _bound(self, start: datetime, number: int, zone: ZoneInfo) -> datetime:
        """Return the start of bucket ``number``, where bucket 0 begins at ``start``."""
        if self.length:
            return start.astimezone(timezone.utc) + self.length * number
        day = start.astimezone(zone).date() + timedelta(days=self.days * number)
        if self.months:
            months = day.month - 1 + self.months * number
            day = day.replace(year=day.year + months // 12, month=months % 12 + 1)
        return datetime.combine(day, time(), zone).astimezone(timezone.utc)

    def _check_midnight(self, start: datetime, zone: ZoneInfo) -> None:
        local = start.astimezone(zone)
        if local.time() != time() or (self.months and local.day != 1):
            unit = "month" if self.months else "day"
            raise WindowError(
                f"The window begins at {local.isoformat()} in {zone.key}, which is not where a {unit} begins, and the "
                f"granularity is {self.text}. Let the DAG's timetable have timezone={zone.key!r}, or choose time_zone "
                "or granularity so that window and buckets agree."
            )


def cut_buckets(bounds: list[datetime], pieces: int) -> list[tuple[datetime, datetime]]:
    """Cut buckets into ``pieces`` runs of about equal length. With fewer buckets, each run has one bucket.

    :raises WindowTooLargeError: half as many pieces already had one bucket each.
    """
    buckets = len(bounds) - 1
    if pieces >= 2 * buckets and pieces > 1:
        raise WindowTooLargeError(
            f"Genesys finds even one bucket too large, {bounds[0]} to {bounds[1]}. Group by fewer dimensions, filter, "
            "or choose a smaller granularity."
        )
    pieces = min(pieces, buckets)
    places = [buckets * place // pieces for place in range(pieces + 1)]
    return [(bounds[one], bounds[other]) for one, other in pairwise(places)]
