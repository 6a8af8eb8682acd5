"""Counts the conversations that began on each day, with the aggregates of the analytics API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from airflow_provider_genesys.exceptions import CloudUnavailableError
from airflow_provider_genesys.outside import shown
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
        for counted in counts_in(client.request("POST", PATH, json=body)):
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


def counts_in(answer: Any) -> Iterator[Counted]:
    """Yield the counts in an answer of :data:`PATH`. An empty answer has none.

    :raises CloudUnavailableError: it has another shape.
    """
    try:
        found = msgspec.convert({} if answer is None else answer, _Answer)
    except msgspec.ValidationError as error:
        raise CloudUnavailableError(
            f"The answer from {PATH} is none of aggregates: {shown(error)}. If this happens again, check whether a "
            "proxy answers in place of Genesys.",
            status=200,
        ) from None
    for one in found.results or []:
        for data in one.data or []:
            for metric in data.metrics or []:
                count = metric.stats.count if metric.stats else None
                yield Counted(one.group or {}, data.interval, metric.metric, int(count or 0))
