from __future__ import annotations

import logging
from datetime import datetime, timedelta, timezone

import pytest

from airflow_provider_genesys.cloud.exports.base import ExportState, ExportStatus
from airflow_provider_genesys.cloud.exports.waiting import MAX_ERRORS, Watch, seconds_left
from airflow_provider_genesys.exceptions import AuthenticationError, CloudUnavailableError
from airflow_provider_genesys.retries import pause

LOG = logging.getLogger("test.waiting")


def watch() -> Watch:
    return Watch("e-1", 5, 60, LOG)


def status(state: str, raw: str | None = None) -> ExportStatus:
    return ExportStatus("e-1", "recordings", ExportState(state), raw or state)


def outage(status: int | None = 503, retry_after: float | None = None) -> CloudUnavailableError:
    error = CloudUnavailableError("no answer.", status=status)
    error.retry_after = retry_after
    return error


def test_pauses_double_from_the_first_to_the_longest() -> None:
    assert [pause(n, 5, 60, lambda: 0.0) for n in range(6)] == [5, 10, 20, 30, 30, 30]
    assert [pause(n, 5, 60, lambda: 1.0) for n in range(6)] == [10, 20, 40, 60, 60, 60]


@pytest.mark.parametrize("polls", [0, 1, 7, 10_000])
def test_every_pause_lies_between_the_first_and_the_longest(polls: int) -> None:
    assert all(5 <= pause(polls, 5, 60) <= 60 for _ in range(100))


def test_pauses_differ_between_waits_that_began_together() -> None:
    assert len({pause(0, 5, 60) for _ in range(20)}) > 15


def test_a_longest_pause_below_the_first_gives_even_pauses() -> None:
    assert {pause(n, 5, 1) for n in range(5)} == {5}


def test_genesys_retry_after_wins_over_a_shorter_pause_once() -> None:
    waiting = watch()
    assert waiting.tolerates(outage(retry_after=200))
    assert waiting.pause() == 200
    assert waiting.pause() <= 60


def test_a_retry_after_does_not_shorten_a_pause() -> None:
    waiting = watch()
    assert waiting.tolerates(outage(retry_after=0.1))
    assert waiting.pause() >= 5


def test_errors_in_a_row_are_tolerated_up_to_the_cap() -> None:
    waiting = watch()
    assert all(waiting.tolerates(outage()) for _ in range(MAX_ERRORS - 1))
    assert not waiting.tolerates(outage())


def test_an_answer_forgives_the_errors_before_it() -> None:
    waiting = watch()
    for _ in range(3):
        assert all(waiting.tolerates(outage()) for _ in range(MAX_ERRORS - 1))
        waiting.ended(status("RUNNING"))


def test_being_told_to_slow_down_is_no_failure() -> None:
    waiting = watch()
    assert all(waiting.tolerates(outage(status=429)) for _ in range(10 * MAX_ERRORS))


def test_an_error_that_does_not_heal_is_not_tolerated() -> None:
    assert not watch().tolerates(AuthenticationError("refused"))


@pytest.mark.parametrize(
    ("state", "ended"),
    [
        ("QUEUED", False),
        ("RUNNING", False),
        ("UNKNOWN", False),
        ("COMPLETED", True),
        ("FAILED", True),
        ("CANCELLED", True),
        ("EXPIRED", True),
    ],
)
def test_what_ends_a_wait(state: str, ended: bool) -> None:
    assert watch().ended(status(state)) is ended


def test_each_change_of_state_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    waiting = watch()
    with caplog.at_level(logging.INFO, logger=LOG.name):
        for state in ("QUEUED", "QUEUED", "RUNNING", "RUNNING"):
            waiting.ended(status(state))
    assert [record.getMessage() for record in caplog.records] == ["Export e-1 is QUEUED.", "Export e-1 is RUNNING."]


def test_an_unknown_state_is_warned_of_once_in_genesys_words(caplog: pytest.LogCaptureFixture) -> None:
    waiting = watch()
    for _ in range(5):
        waiting.ended(status("UNKNOWN", "ARCHIVING"))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "'ARCHIVING'" in caplog.text


def test_seconds_left_counts_down_to_the_deadline() -> None:
    now = datetime.now(timezone.utc)
    assert 9 < seconds_left(now + timedelta(seconds=10)) <= 10
    assert seconds_left(now - timedelta(seconds=1)) < 0


def test_the_pauses_of_a_wait_grow() -> None:
    waiting = watch()
    pauses = [waiting.pause() for _ in range(5)]
    assert pauses[0] <= 10
    assert min(pauses[3:]) >= 30
