"""What a backfill will cost, held against what it does cost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any, ClassVar

import msgspec
import pytest

from airflow_provider_genesys.backfill.daily_counts import PATH, conversations_by_day
from airflow_provider_genesys.backfill.plan import make_plan
from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.exports.base import ExportRequest, PagedFamily
from airflow_provider_genesys.cloud.exports.registry import family
from airflow_provider_genesys.cloud.http import shared
from airflow_provider_genesys.cloud.http.client import CloudClient
from airflow_provider_genesys.contracts.child_rows import ChildRows
from airflow_provider_genesys.contracts.contract import resolve
from airflow_provider_genesys.exceptions import ConfigurationError, ExportFailedError, ExportTimeoutError
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys

FIRST = datetime(2026, 11, 2, tzinfo=timezone.utc)
WEEK = ExportRequest(FIRST, FIRST + timedelta(days=7), options={"startOfDayIntervalMatching": True})
DAY = timedelta(days=1)


RATE = 600


@pytest.fixture
def genesys() -> Iterator[FakeGenesys]:
    shared._known.clear()
    with FakeGenesys(conversations=120, users=9, requests_per_minute=100_000) as running:
        yield running


@pytest.fixture
def client(genesys: FakeGenesys) -> Iterator[CloudClient]:
    given = genesys.connection()
    extra = {**given["extra"], "requests_per_minute": RATE}
    config = CloudConfig.from_connection(
        login=given["login"], password=given["password"], host=given["host"], extra=extra
    )
    with CloudClient(config, patience=1.0) as opened:
        yield opened


def plan(client: CloudClient, kind: str = "conversation_details", request: ExportRequest = WEEK, **given: Any) -> Any:
    return make_plan(client, kind, request, **{"page_size": 50, "poll_interval": 0.01, **given})


def truth(client: CloudClient) -> tuple[int, int, int]:
    """Return records, bytes and segments of the week, by exporting all of it."""
    found = family("conversation_details", client.config)
    assert isinstance(found, PagedFamily)
    records = []
    for day in range(7):
        asked = ExportRequest(FIRST + day * DAY, FIRST + (day + 1) * DAY, options=WEEK.options)
        records += found.page(client, found.create(client, asked), None, 5_000).records
    children = resolve("conversation_details", kind="").children
    segments = ChildRows(next(child for child in children if child.name == "segments"))
    texts = [json.dumps(msgspec.json.decode(record)["participants"]).encode() for record in records]
    return len(records), sum(map(len, records)), sum(sum(1 for _ in segments.rows(text)) for text in texts)


def test_a_plan_tells_what_a_week_costs(client: CloudClient, genesys: FakeGenesys) -> None:
    told = plan(client)
    records, size, segments = truth(client)
    assert told.records == records == 840
    assert told.bytes == pytest.approx(size, rel=0.02)
    assert told.rows["conversation_details_segments"] == pytest.approx(segments, rel=0.05)
    assert told.rows["conversation_details"] == records
    assert (told.days, told.pages, told.comparisons, told.requests) == (7, 7 * 3, 7, 7 * 3 + 7 * 4 + 7)
    assert told.minutes == round(told.requests / RATE, 1)
    assert told.sampled_day == "2026-11-08"
    assert told.counted_by == "aggregates"
    assert len(genesys.jobs) == 1 + 7


def test_a_year_of_days_is_planned_by_a_dozen_counts_and_one_day(genesys: FakeGenesys, client: CloudClient) -> None:
    genesys.conversations = 2
    year = ExportRequest(FIRST - 365 * DAY, FIRST, options=WEEK.options)
    told = plan(client, request=year)
    assert (told.days, told.records, told.comparisons) == (365, 730, 365)
    assert "365 comparisons" in told.lines()[2]
    assert sum(seen.path == PATH for seen in genesys.requests) == 12
    filtered = replace(year, window_start=FIRST - DAY, filters={"segmentFilters": [{}]})
    assert plan(client, request=filtered).comparisons == 0


def test_a_large_day_is_read_in_part(client: CloudClient) -> None:
    told = plan(client, page_size=5)
    assert (told.sampled_records, told.records) == (50, 840)
    assert told.pages == 7 * 24


def test_without_the_right_to_aggregates_every_day_counts_as_the_sampled_one(
    client: CloudClient, genesys: FakeGenesys
) -> None:
    genesys.fail_next(PATH, status=403, times=5)
    told = plan(client, page_size=5)
    assert (told.counted_by, told.sampled_records, told.records) == ("the sampled day", 120, 840)


def test_with_filters_the_whole_day_tells_how_much_they_let_through(client: CloudClient) -> None:
    request = ExportRequest(WEEK.window_start, WEEK.window_end, {"segmentFilters": [{}]}, options=WEEK.options)
    assert plan(client, request=request, page_size=5).sampled_records == 120


def test_conversations_that_overlap_a_day_are_counted_for_each_day_that_they_overlap(client: CloudClient) -> None:
    request = ExportRequest(FIRST, FIRST + 7 * DAY)
    told = plan(client, request=request, page_size=5)
    assert told.records == 7 * told.sampled_records > 840


def test_users_are_counted_by_the_sampled_day(client: CloudClient) -> None:
    told = plan(client, "user_details", ExportRequest(FIRST, FIRST + 3 * DAY), sample_day=FIRST)
    assert (told.records, told.sampled_day, told.days) == (27, "2026-11-02", 3)
    assert told.rows["user_details_presence"] > 27


def test_a_window_counts_in_whole_days(client: CloudClient) -> None:
    hour = timedelta(hours=1)
    request = ExportRequest(FIRST + 5 * hour, FIRST + DAY + hour, options=WEEK.options)
    told = plan(client, request=request)
    assert (told.days, told.window_start[:10], told.window_end[:10]) == (2, "2026-11-02", "2026-11-04")


@pytest.mark.parametrize("kind", ["recordings", "recording_bulk"])
def test_what_would_be_exported_by_its_sample_cannot_be_planned(
    client: CloudClient, genesys: FakeGenesys, kind: str
) -> None:
    with pytest.raises(ConfigurationError, match="cannot be planned"):
        plan(client, kind)
    assert not any(seen.method == "POST" and "/recording" in seen.path for seen in genesys.requests)


def test_a_sampled_day_that_fails_or_does_not_end_says_so(client: CloudClient, genesys: FakeGenesys) -> None:
    genesys.outcome = "FAILED"
    with pytest.raises(ExportFailedError, match="FAILED"):
        plan(client)
    genesys.job_seconds = 60
    with pytest.raises(ExportTimeoutError, match="did not end"):
        plan(client, timeout=0.05)
    assert [job.state for job in genesys.jobs.values()][-1] == "CANCELLED"


def test_aggregates_are_asked_for_a_month_at_a_time(client: CloudClient, genesys: FakeGenesys) -> None:
    genesys.conversations = 10
    counts = conversations_by_day(client, FIRST, FIRST + timedelta(days=70))
    assert len(counts) == 70
    assert set(counts.values()) == {10}
    assert sum(seen.path == PATH for seen in genesys.requests) == 3


def test_a_plan_is_told_in_words(client: CloudClient) -> None:
    text = "\n".join(plan(client).lines())
    assert "7 days of conversation_details" in text
    assert "840  counted by aggregates" in text


def test_a_sampled_day_outside_the_window_is_counted_as_well(client: CloudClient) -> None:
    request = ExportRequest(FIRST, FIRST + DAY, options=WEEK.options)
    told = plan(client, request=request, sample_day=FIRST + 3 * DAY)
    assert (told.sampled_day, told.counted_by, told.records) == ("2026-11-05", "aggregates", 120)


def test_only_the_count_of_conversations_is_taken_and_groups_are_added() -> None:
    def group(*metrics: tuple[str, int], interval: str = "2026-11-02T00:00:00.000Z/2026-11-03T00:00:00.000Z") -> Any:
        counted = [{"metric": name, "stats": {"count": count}} for name, count in metrics]
        return {"group": {}, "data": [{"interval": interval, "metrics": counted}]}

    class Answering:
        asked: ClassVar[list[Any]] = []

        def request(self, *given: Any, json: Any, **_: Any) -> Any:
            self.asked.append((*given, json["interval"], json["metrics"]))
            return {"results": [group(("nConversations", 3), ("nOffered", 50)), group(("nConversations", 4))]}

    day = FIRST + 40 * DAY
    found = conversations_by_day(Answering(), FIRST, day)  # type: ignore[arg-type]  # a client that answers at once
    assert found == {FIRST.date(): 2 * 7}
    spans = ["2026-11-02T00:00:00.000Z/2026-12-03T00:00:00.000Z", "2026-12-03T00:00:00.000Z/2026-12-12T00:00:00.000Z"]
    assert Answering.asked == [("POST", PATH, span, ["nConversations"]) for span in spans]
