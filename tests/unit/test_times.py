from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pendulum
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_genesys.times import api_time, in_utc, iso_time, parse_time

NOON = datetime(2026, 11, 1, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-01T12:00:00Z",
        "2026-11-01T12:00:00.000Z",
        "2026-11-01T12:00:00.0000000z",
        "2026-11-01 12:00",
        " 2026-11-01T13:00:00+01:00 ",
        "2026-11-01T13:00:00+0100",
        1793534400,
        1793534400000,
        "1793534400",
        NOON,
        NOON.replace(tzinfo=None),
        NOON.astimezone(timezone(timedelta(hours=5))),
    ],
)
def test_every_usual_spelling_of_a_moment_is_read(value: Any) -> None:
    assert parse_time(value) == NOON
    assert parse_time(value).utcoffset() == timedelta(0)  # type: ignore[union-attr]


def test_fractions_of_any_length_are_read() -> None:
    assert parse_time("2026-11-01T12:00:00.5Z") == NOON.replace(microsecond=500_000)
    assert parse_time("2026-11-01T12:00:00.123456789Z") == NOON.replace(microsecond=123_456)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, [], {}, 0, -1, 10**30, float("nan"), float("inf")),
        *("", "tomorrow", "9" * 40, "9" * 5000, "2026-11-01", "٢٠٢٦", "2026-13-01T00:00:00Z", "2026-11-01T25:00:00Z"),
    ],
)
def test_anything_else_is_no_moment(value: Any) -> None:
    assert parse_time(value) is None


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none()))
def test_nothing_breaks_the_reader(value: Any) -> None:
    found = parse_time(value)
    assert found is None or found.tzinfo is not None


@given(st.datetimes(timezones=st.timezones()))
def test_what_is_written_can_be_read(moment: datetime) -> None:
    in_utc = moment.astimezone(timezone.utc)
    assert datetime.fromisoformat(iso_time(moment) or "") == in_utc
    assert parse_time(iso_time(moment)) == in_utc


def test_the_api_gets_milliseconds_and_z() -> None:
    moment = datetime(2026, 11, 1, 13, 0, 0, 7000, tzinfo=timezone(timedelta(hours=1)))
    assert api_time(moment) == "2026-11-01T12:00:00.007Z"
    assert iso_time(moment) == "2026-11-01T12:00:00.007000+00:00"
    assert iso_time(None) is None


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_airflows_times_keep_their_zone_when_something_is_added(zone: str) -> None:
    airflows = pendulum.parse("2026-11-22T12:00:00.000001", tz=zone)
    assert isinstance(airflows, datetime)
    moment = in_utc(airflows)
    assert type(moment) is datetime
    assert moment == airflows
    assert (moment - timedelta(days=1)).tzinfo is timezone.utc
