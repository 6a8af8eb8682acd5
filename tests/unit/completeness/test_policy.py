"""Which days are compared and loaded again, and when one is final."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_genesys.completeness.comparisons import state_of
from airflow_provider_genesys.completeness.policy import day_before, days_at_ages, days_to_reload, merged
from airflow_provider_genesys.window import Window

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)


def found(day: datetime, verdict: str, genesys: int, sink: int) -> dict[str, Any]:
    end = day + timedelta(days=1)
    counts = {"nConversations": {"genesys": genesys, "sink": sink}}
    return {
        "window_start": day.isoformat(),
        "window_end": end.isoformat(),
        "verdict": verdict,
        "counts": counts,
    }


def starts(windows: list[dict[str, str]]) -> list[str]:
    return [one["window_start"][:10] for one in windows]


def test_days_are_compared_at_their_ages() -> None:
    window = Window(DAY, DAY + timedelta(days=1))
    assert starts(days_at_ages(window)) == ["2026-11-21", "2026-11-20", "2026-11-16", "2026-10-24"]
    assert days_at_ages(window, []) == days_at_ages(window, [1]) == []


def test_only_what_differs_is_loaded_again() -> None:
    assert days_to_reload([found(DAY, "agrees", 5, 5), found(DAY, "not comparable", 5, 4), None]) == []
    assert starts(days_to_reload([found(DAY, "differs", 5, 4)])) == ["2026-11-22"]
    assert days_to_reload([found(DAY, "differs", 5, 0)]) == []  # never loaded


def test_a_day_whose_metrics_differ_is_loaded_again_with_the_one_before() -> None:
    reload = days_to_reload([found(DAY, "differs", 5, 5), found(DAY - timedelta(days=1), "differs", 5, 4)])
    assert starts(reload) == ["2026-11-22", "2026-11-21"]
    assert starts(merged(reload, reload[:1])) == ["2026-11-22", "2026-11-21"]


def test_a_run_is_about_the_days_that_have_ended() -> None:
    run = Window(DAY + timedelta(hours=2), DAY + timedelta(days=1, hours=2))
    assert day_before(run) == Window(DAY, DAY + timedelta(days=1))


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ([], "provisional"),
        ([(0, "agrees")], "provisional"),
        ([(0, "agrees"), (3, "agrees")], "provisional"),
        ([(0, "agrees"), (24, "agrees")], "final"),
        ([(0, "agrees"), (12, "not comparable"), (24, "agrees")], "final"),
        ([(0, "agrees"), (12, "differs"), (24, "agrees")], "provisional"),
        ([(0, "agrees"), (24, "agrees"), (48, "differs")], "provisional"),
    ],
)
def test_a_window_is_final_when_it_agreed_twice_a_day_apart(said: list[tuple[int, str]], state: str) -> None:
    assert state_of([(DAY + timedelta(hours=hours), verdict) for hours, verdict in said]) == state
