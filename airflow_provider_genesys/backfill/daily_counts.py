"""Counts the conversations that began on each day, with the aggregates of the analytics API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from airflow_provider_genesys.resolved import resolved
from airflow_provider_genesys.times import api_time, parse_time

if TYPE_CHECKING:
    from airflow_provider_genesys.cloud.http.client import CloudClient

PATH = "/api/v2/analytics/conversations/aggregates/query"
_METRIC = "nConversations"
LONGEST = timedelta(days=31)
"""Longest interval of one request."""


def conversations_by_day(client: CloudClient, start: datetime, end: datetime) -> dict[date, int]:
    """Return the number of conversations for each UTC day between two midnights (aware). Days without any are absent.

    Sends one request for each 31 days.

    :raises PermissionDeniedError: the OAuth client may not read aggregates.
    """
    found: Counter[date] = Counter()
    for interval in intervals(start, end):
        body = {"interval": interval, "granularity": "P1D", "timeZone": "UTC", "metrics": [_METRIC]}
        # Genesys groups by media type even if the request does not.
        for counted in counts(client, body):
            day = parse_time(counted.interval.partition("/")[0])
            if day and counted.metric == _METRIC:
                found[day.date()] += counted.count
    return dict(found)


def intervals(start: datetime, end: datetime) -> Iterator[str]:
    """Yield the intervals of requests for the time from ``start`` to ``end``, each of at most :data:`LONGEST`."""
    while start < end:
        until = min(start + LONGEST, end)
        yield f"{api_time(start)}/{api_time(until)}"
        start = until


@dataclass(frozen=True)
class Counted:
    """The count of one metric, in one group and interval."""

    group: dict[str, Any]
    interval: str
    metric: str
    count: int


class _Stats(msgspec.Struct):
    count: Annotated[float, msgspec.Meta(ge=0, le=2**53)] | None = None


class _Metric(msgspec.Struct):
    metric: str = ""
    stats: _Stats | None = None


class _Data(msgspec.Struct):
    interval: str = ""
    metrics: list[_Metric] | None = None


class _Group(msgspec.Struct):
    group: dict[str, Any] | None = None
    data: list[_Data] | None = None


@resolved
class _Answer(msgspec.Struct):
    results: list[_Group] | None = None


def counts(client: CloudClient, body: dict[str, Any]) -> Iterator[Counted]:
    """Ask for counts with :data:`PATH`, and yield them.

    :raises ForeignAnswerError: several answers in a row have another shape.
    """
    doubted = False

    def is_counts(answer: Any) -> bool:
        nonlocal doubted
        try:
            found = msgspec.convert(answer, _Answer).results
        except msgspec.ValidationError:
            return False
        first, doubted = not doubted, True
        return found is not None or not first  # without results there are no counts, if a second answer has none, too

    answer = client.request("POST", PATH, json=body, reads=True, is_answer=is_counts)
    for one in msgspec.convert(answer, _Answer).results or []:
        for data in one.data or []:
            for metric in data.metrics or []:
                count = metric.stats.count if metric.stats else None
                yield Counted(one.group or {}, data.interval, metric.metric, int(count or 0))
