"""Counts the conversations that began on each day, with the aggregates of the analytics API."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_genesys.times import api_time, parse_time

if TYPE_CHECKING:
    from airflow_provider_genesys.cloud.http.client import CloudClient

PATH = "/api/v2/analytics/conversations/aggregates/query"
_METRIC = "nConversations"
_LONGEST = timedelta(days=31)


def conversations_by_day(client: CloudClient, start: datetime, end: datetime) -> dict[date, int]:
    """Return the number of conversations for each UTC day between two midnights (aware). Days without any are absent.

    Sends one request for each 31 days.

    :raises PermissionDeniedError: the OAuth client may not read aggregates.
    """
    found: Counter[date] = Counter()
    while start < end:
        until = min(start + _LONGEST, end)
        found.update(_asked(client, start, until))
        start = until
    return dict(found)


def _asked(client: CloudClient, start: datetime, end: datetime) -> Counter[date]:
    body = {
        "interval": f"{api_time(start)}/{api_time(end)}",
        "granularity": "P1D",
        "timeZone": "UTC",
        "metrics": [_METRIC],
    }
    answer = client.request("POST", PATH, json=body)
    found: Counter[date] = Counter()
    # Genesys groups by media type even if the request does not.
    for group in answer.get("results") or []:
        for data in group.get("data") or []:
            day = parse_time(str(data.get("interval")).partition("/")[0])
            if day:
                found[day.date()] += _count(data)
    return found


def _count(data: dict[str, Any]) -> int:
    metrics = [metric for metric in data.get("metrics") or [] if metric.get("metric") == _METRIC]
    return sum(int((metric.get("stats") or {}).get("count") or 0) for metric in metrics)
