"""Estimates what a backfill will cost, by exporting one day of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_genesys.backfill.daily_counts import conversations_by_day
from airflow_provider_genesys.backfill.sample import Sample, read_sample
from airflow_provider_genesys.cloud.exports.base import ExportRequest, QueryFamily
from airflow_provider_genesys.cloud.exports.pieces import BY_START_DAY
from airflow_provider_genesys.cloud.exports.registry import family
from airflow_provider_genesys.exceptions import ConfigurationError, PermissionDeniedError
from airflow_provider_genesys.times import iso_time, midnight

if TYPE_CHECKING:
    from airflow_provider_genesys.cloud.http.client import CloudClient

COUNTED = "conversation_details"
"""The kind that aggregates count, too."""
SAMPLED_PAGES = 10
"""Number of pages to read of the sampled day if the aggregates say how many records it has."""
DAY = timedelta(days=1)
_BESIDE_PAGES = 3
"""Requests for each day besides pages and polls: availability, create, and the status before the first page."""


@dataclass(frozen=True)
class Plan:
    """What the days of a window cost, with one export for each day. All numbers but ``days`` are estimates."""

    kind: str
    window_start: str
    window_end: str
    days: int
    records: int
    pages: int
    comparisons: int
    """Requests for comparisons with Genesys' aggregates: one a day, and a second if conversations are missing."""
    requests: int
    """All requests to the Genesys API: for pages and comparisons, and for each day to create, poll and open its
    export."""
    bytes: int
    """Bytes of JSON, as Genesys delivers them."""
    rows: dict[str, int]
    """Number of rows by table: the table of the kind, and the table of each child."""
    sampled_records: int
    minutes: float = 0.0
    """Minutes that the requests need at the connection's budget. Loading may take longer."""
    sampled_day: str = ""
    counted_by: str = ""
    """``aggregates``, or ``the sampled day``, if every day is assumed to have as many records as that one."""
    available_until: str | None = None
    """Time up to which Genesys has all data, ISO 8601; None if it does not say."""

    def lines(self) -> list[str]:
        """Return the plan as lines of text."""
        rows = [f"  rows      {count:>14,}  {table}" for table, count in self.rows.items()]
        return [
            f"{self.days} days of {self.kind}, {self.window_start} to {self.window_end}, about:",
            f"  records   {self.records:>14,}  counted by {self.counted_by}",
            f"  requests  {self.requests:>14,}  of which {self.pages:,} pages, {self.comparisons:,} comparisons",
            f"  minutes   {self.minutes:>14,.1f}  at the connection's request budget",
            f"  bytes     {self.bytes:>14,}  of JSON",
            *rows,
            f"Estimated from {self.sampled_records:,} records of {self.sampled_day}.",
            f"Genesys has data until {self.available_until or 'it does not say when'}.",
        ]

    def as_json(self) -> dict[str, Any]:
        """Return the plan as XCom holds it."""
        return asdict(self)


def make_plan(
    client: CloudClient,
    kind: str,
    request: ExportRequest,
    *,
    sample_day: datetime | None = None,
    page_size: int,
    timeout: float = 3600,
    poll_interval: float = 5,
) -> Plan:
    """Export one day, read as much of it as is needed, and estimate what the days of the request's window cost.

    :param request: for the whole window, which is rounded to whole UTC days.
    :param sample_day: any moment (aware) of the UTC day to sample; None for the window's last day.
    :param timeout: seconds that the sampled day's export may take.
    :raises ConfigurationError: an export of this kind cannot be sampled.
    :raises ExportFailedError: the sampled day's export ended without results.
    :raises ExportTimeoutError: it did not end in time.
    """
    found = _paged(client, kind)
    request = _in_days(request)
    sampled = midnight(sample_day or request.window_end - DAY)
    counts = _counts(client, kind, request, sampled)
    sample = read_sample(
        client,
        found,
        replace(request, window_start=sampled, window_end=sampled + DAY),
        page_size=page_size,
        most_pages=SAMPLED_PAGES if counts and _is_counted(request) else None,
        timeout=timeout,
        poll_interval=poll_interval,
    )
    plan = _describe(kind, request, sample, _per_day(counts, sample, sampled, request), page_size)
    return replace(
        plan,
        minutes=round(plan.requests / client.config.request_budget, 1),
        sampled_day=sampled.date().isoformat(),
        counted_by="aggregates" if counts else "the sampled day",
        available_until=iso_time(found.available_until(client)),
    )


def _paged(client: CloudClient, kind: str) -> QueryFamily:
    found = family(kind, client.config)
    if isinstance(found, QueryFamily):
        return found
    raise ConfigurationError(
        f"{kind} cannot be planned: a sample would already start the whole export. Kinds of the analytics API can."
    )


def _describe(kind: str, request: ExportRequest, sample: Sample, per_day: list[int], page_size: int) -> Plan:
    """Return the plan for days with ``per_day`` records each, by the measures of the sample."""
    pages = sum(max(1, math.ceil(records / page_size)) for records in per_day)
    comparisons = 0 if kind != COUNTED or request.filters else len(per_day)
    children = {f"{kind}_{child}": _scaled(rows, sample, per_day) for child, rows in sample.rows.items()}
    return Plan(
        kind=kind,
        window_start=request.window_start.isoformat(),
        window_end=request.window_end.isoformat(),
        days=len(per_day),
        records=sum(per_day),
        pages=pages,
        comparisons=comparisons,
        requests=pages + comparisons + len(per_day) * (_BESIDE_PAGES + sample.polls),
        bytes=_scaled(sample.bytes, sample, per_day),
        rows={kind: sum(per_day), **children},
        sampled_records=sample.records,
    )


def _in_days(request: ExportRequest) -> ExportRequest:
    last = midnight(request.window_end - timedelta(microseconds=1))
    return replace(request, window_start=midnight(request.window_start), window_end=last + DAY)


def _counts(client: CloudClient, kind: str, request: ExportRequest, sampled: datetime) -> Mapping[date, int]:
    """Return the number of records of each day, including the sampled day; empty if the aggregates do not say."""
    if kind != COUNTED:
        return {}
    try:
        counts = conversations_by_day(client, request.window_start, request.window_end)
        if sampled.date() not in counts:
            counts |= conversations_by_day(client, sampled, sampled + DAY)
    except PermissionDeniedError:
        return {}
    return counts if counts.get(sampled.date()) else {}


def _is_counted(request: ExportRequest) -> bool:
    """Whether aggregates count exactly the export's records: those that began on a day, without a filter.

    For any other export, the whole day has to be read to learn how many records it has for each that they count.
    """
    return bool(request.options.get(BY_START_DAY)) and not request.filters


def _per_day(counts: Mapping[date, int], sample: Sample, sampled: datetime, request: ExportRequest) -> list[int]:
    """Return the records of each day of the window."""
    days = (request.window_end - request.window_start) // DAY
    if not counts:
        return [sample.records] * days
    known = counts[sampled.date()]
    share = sample.records / known if sample.whole else 1.0
    first = request.window_start.date()
    return [round(counts.get(first + timedelta(days=day), 0) * share) for day in range(days)]


def _scaled(measured: int, sample: Sample, per_day: list[int]) -> int:
    return round(measured / max(1, sample.records) * sum(per_day))
