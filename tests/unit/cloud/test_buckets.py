"""How a window is cut into buckets, where the clocks change and elsewhere."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from airflow_provider_genesys.cloud.exports.buckets import Granularity, cut_buckets
from airflow_provider_genesys.exceptions import ConfigurationError, WindowError, WindowTooLargeError

ZURICH, UTC = ZoneInfo("Europe/Zurich"), ZoneInfo("UTC")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


def test_a_day_has_23_or_25_hours_where_the_clocks_change() -> None:
    spring = Granularity.of("P1D").bounds(at("2026-03-27T23:00"), at("2026-03-29T22:00"), ZURICH)
    assert spring == [at("2026-03-27T23:00"), at("2026-03-28T23:00"), at("2026-03-29T22:00")]
    autumn = Granularity.of("P1D").bounds(at("2026-10-23T22:00"), at("2026-10-25T23:00"), ZURICH)
    assert [after - before for before, after in pairwise(autumn)] == [
        timedelta(hours=24),
        timedelta(hours=25),
    ]


def test_hours_are_hours_also_where_the_clocks_change() -> None:
    bounds = Granularity.of("PT1H").bounds(at("2026-03-28T23:00"), at("2026-03-29T22:00"), ZURICH)
    assert len(bounds) - 1 == 23
    assert bounds[1] - bounds[0] == timedelta(hours=1)


def test_months_are_those_of_the_calendar() -> None:
    bounds = Granularity.of("P1M").bounds(at("2026-11-30T23:00"), at("2027-02-28T23:00"), ZURICH)
    assert bounds == [at("2026-11-30T23:00"), at("2026-12-31T23:00"), at("2027-01-31T23:00"), at("2027-02-28T23:00")]


@pytest.mark.parametrize(
    ("granularity", "start", "end", "says"),
    [
        ("P1D", "2026-11-22T00:00", "2026-11-23T00:00", "not where a day begins"),
        ("P1M", "2026-11-21T23:00", "2026-12-21T23:00", "not where a month begins"),
        ("PT7H", "2026-11-22T00:00", "2026-11-23T00:00", "not a whole number of buckets"),
        ("PT1M", "2020-01-01T00:00", "2026-11-23T00:00", "more than 100000"),
    ],
)
def test_a_part_of_a_bucket_is_refused(granularity: str, start: str, end: str, says: str) -> None:
    with pytest.raises(WindowError, match=says):
        Granularity.of(granularity).bounds(at(start), at(end), ZURICH)


@pytest.mark.parametrize("text", ["", "P", "PT", "1D", "P1DT12H", "P1M1D", "PT0H", "daily"])
def test_what_is_no_granularity_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="granularity"):
        Granularity.of(text)


def test_pieces_are_whole_buckets_and_end_at_one_each() -> None:
    bounds = Granularity.of("P1D").bounds(at("2026-11-22T00:00"), at("2026-11-25T00:00"), UTC)
    assert cut_buckets(bounds, 1) == [(bounds[0], bounds[3])]
    assert cut_buckets(bounds, 2) == [(bounds[0], bounds[1]), (bounds[1], bounds[3])]
    assert cut_buckets(bounds, 4) == [(bounds[0], bounds[1]), (bounds[1], bounds[2]), (bounds[2], bounds[3])]
    with pytest.raises(WindowTooLargeError, match="even one bucket"):
        cut_buckets(bounds, 8)
