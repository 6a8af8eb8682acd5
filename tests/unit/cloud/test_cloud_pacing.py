from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import httpx
import pytest
from fake_clock import Clock

from airflow_provider_genesys.cloud.http.pacing import Pacer, retry_after
from airflow_provider_genesys.exceptions import CloudUnavailableError

FAR = ("Fri, 31 Dec 9999 23:59:59 -2359", "Mon, 01 Jan 0001 00:00:00 +2359", "Fri, 31 Dec 9999 23:59:59 -999999999")
"""Dates that no year from 1 to 9999 has in UTC."""


def pacer(per_minute: int, clock: Clock) -> Pacer:
    return Pacer(per_minute, clock=clock, sleep=clock.sleep)


def headers(count: object, allowed: object, reset: object) -> dict[str, str]:
    names = ("inin-ratelimit-count", "inin-ratelimit-allowed", "inin-ratelimit-reset")
    return {name: str(value) for name, value in zip(names, (count, allowed, reset), strict=True)}


def test_a_short_burst_is_free_and_the_rest_evenly_spaced(clock: Clock) -> None:
    steady = pacer(300, clock)
    for _ in range(13):
        steady.acquire(60)
    assert clock.slept == pytest.approx([0.2, 0.2, 0.2])


def test_no_minute_holds_more_than_the_budget_and_its_burst(clock: Clock) -> None:
    steady, sent = pacer(120, clock), []
    for _ in range(400):
        steady.acquire(60)
        sent.append(clock.now)
    assert max(sum(start <= at < start + 60 for at in sent) for start in sent) <= 120 + 4


def test_one_request_a_minute_is_one_request_a_minute(clock: Clock) -> None:
    slow = pacer(1, clock)
    slow.acquire(60)
    slow.acquire(60)
    assert clock.slept == [60.0]


def test_idle_time_is_not_saved_up_beyond_the_burst(clock: Clock) -> None:
    steady = pacer(300, clock)
    clock.now += 3600
    for _ in range(11):
        steady.acquire(60)
    assert clock.slept == pytest.approx([0.2])


def test_who_cannot_wait_is_told_how_long_it_would_take(clock: Clock) -> None:
    paused = pacer(300, clock)
    paused.pause(100)
    with pytest.raises(CloudUnavailableError, match="used up for another 100 s") as caught:
        paused.acquire(30)
    assert (caught.value.retry_after, caught.value.status) == (100.0, 429)
    paused.acquire(100)
    assert clock.slept == [100.0], "the refused caller took no slot"


def test_a_shorter_pause_does_not_shorten_a_longer_one(clock: Clock) -> None:
    paused = pacer(300, clock)
    paused.pause(50)
    paused.pause(1)
    paused.acquire(60)
    assert clock.slept == [50.0]


def test_a_window_used_up_by_others_is_waited_for(clock: Clock) -> None:
    steered = pacer(300, clock)
    steered.observe(headers(180, 180, 25))
    steered.acquire(60)
    assert clock.slept == [25.0]


def test_what_is_left_of_a_window_is_spread_over_it(clock: Clock) -> None:
    steered = pacer(300, clock)
    steered.observe(headers(170, 180, 50))  # 10 requests in 50 s
    for _ in range(5):
        steered.acquire(60)
    assert clock.slept == pytest.approx([5.0] * 4)
    steered.observe(headers(1, 180, 61))
    clock.slept.clear()
    clock.now += 60
    for _ in range(6):
        steered.acquire(60)
    assert clock.slept == pytest.approx([61 / 179], rel=0.01)


def test_genesys_limit_does_not_raise_our_budget(clock: Clock) -> None:
    steady = pacer(30, clock)
    steady.observe(headers(1, 3000, 60))
    steady.acquire(60)
    steady.acquire(60)
    assert clock.slept == [2.0]


def test_a_lowered_budget_counts_at_once(clock: Clock) -> None:
    steady = pacer(300, clock)
    steady.budget(30)
    steady.acquire(60)
    steady.acquire(60)
    assert clock.slept == [2.0]


@pytest.mark.parametrize(
    "odd",
    [
        {},
        headers("", "", ""),
        headers("x", "y", "z"),
        headers(-1, -1, -1),
        headers(5, 0, 10),
        headers(5, 100, 0),
        headers("nan", "inf", "inf"),
        {"inin-ratelimit-count": "500"},
    ],
)
def test_odd_headers_change_nothing(clock: Clock, odd: dict[str, str]) -> None:
    steady = pacer(300, clock)
    steady.observe(odd)
    for _ in range(11):
        steady.acquire(60)
    assert clock.slept == pytest.approx([0.2])


def test_an_absurd_reset_is_bounded(clock: Clock) -> None:
    steady = pacer(300, clock)
    steady.observe(headers(180, 180, 10**9))
    steady.acquire(120)
    assert clock.slept == [120.0]


@pytest.mark.outcome("tokens", "`Retry-After` in seconds, as a date, past, huge, fractional or missing", "recovers")
@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0.0), ("17", 17.0), (" 3 ", 3.0), ("1.5", 1.5), ("86400", 3600.0), ("9" * 12, 3600.0)],
)
def test_retry_after_in_seconds(value: str, seconds: float) -> None:
    assert retry_after({"Retry-After": value}) == seconds


@pytest.mark.outcome("tokens", "`Retry-After` in seconds, as a date, past, huge, fractional or missing", "recovers")
@pytest.mark.parametrize(
    "value", ["", "-5", "soon", "1e3", "nan", "Mon, 99 Foo 2026 00:00:00 GMT", "9" * 13, "1e308", *FAR]
)
def test_retry_after_that_says_nothing(value: str) -> None:
    assert retry_after({"Retry-After": value}) is None
    assert retry_after({}) is None


@pytest.mark.outcome("tokens", "`Retry-After` in seconds, as a date, past, huge, fractional or missing", "recovers")
def test_retry_after_as_a_date() -> None:
    now = datetime.now(timezone.utc)
    soon, past, far = (format_datetime(now + timedelta(seconds=s), usegmt=True) for s in (30, -30, 10**6))
    assert retry_after({"Retry-After": soon}) == pytest.approx(30, abs=2)
    assert retry_after({"Retry-After": past}) is None
    assert retry_after({"Retry-After": past, "inin-ratelimit-reset": "20"}) == 20.0
    assert retry_after({"Retry-After": far}) == 3600.0


@pytest.mark.outcome("tokens", "`Retry-After` in seconds, as a date, past, huge, fractional or missing", "recovers")
def test_without_retry_after_the_text_counts_and_then_the_reset() -> None:
    text = "Rate limit exceeded the maximum. Retry the request in [23] seconds"
    reset = {"inin-ratelimit-reset": "44"}
    assert retry_after(reset, text) == 23.0
    assert retry_after({**reset, "Retry-After": "9"}, text) == 9.0
    assert retry_after(reset) == 44.0
    assert retry_after(httpx.Headers({"ININ-RateLimit-Reset": "12"})) == 12.0
