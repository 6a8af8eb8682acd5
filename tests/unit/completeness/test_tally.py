"""Which conversations count in a window, and which comparisons of it are kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_genesys.completeness.comparisons import APART, ObjectHistory, state_of
from airflow_provider_genesys.completeness.tally import BEGAN, LOOK_BACK, Cell, Tally
from airflow_provider_genesys.completeness.verdict import Verdict, not_comparable, reconcile
from airflow_provider_genesys.stores.folder import FolderStore
from airflow_provider_genesys.window import Window

START = datetime(2026, 11, 22, tzinfo=timezone.utc)
WINDOW = Window(START, START + timedelta(days=1))
MOMENT = timedelta(milliseconds=1)


def conversation(began: datetime, *emitted: datetime) -> dict[str, Any]:
    metrics = [{"name": "nOffered", "emitDate": moment.isoformat()} for moment in emitted]
    participants = [{"sessions": [{"mediaType": "voice", "metrics": metrics}]}]
    return {"conversationStart": began.isoformat(), "originatingDirection": "inbound", "participants": participants}


def tallied(*conversations: dict[str, Any]) -> Tally:
    tally = Tally()
    for one in conversations:
        tally.add(one, WINDOW)
    return tally


@pytest.mark.parametrize(
    ("began", "counted"),
    [(START - MOMENT, 0), (START, 1), (WINDOW.end - MOMENT, 1), (WINDOW.end, 0)],
)
def test_a_conversation_counts_where_it_began(began: datetime, counted: int) -> None:
    assert tallied(conversation(began)).cells[Cell(BEGAN, "inbound", "voice")] == counted


def test_a_metric_counts_where_it_was_emitted() -> None:
    moments = (START - MOMENT, START, WINDOW.end - MOMENT, WINDOW.end)
    assert tallied(conversation(START, *moments)).cells[Cell("nOffered", "inbound", "voice")] == 2


@pytest.mark.parametrize(
    ("began", "earlier"),
    [(START - LOOK_BACK - MOMENT, 0), (START - LOOK_BACK, 1), (START - MOMENT, 1), (START, 0)],
)
def test_earlier_are_the_conversations_whose_metrics_may_count(began: datetime, earlier: int) -> None:
    assert tallied(conversation(began)).earlier == earlier


@pytest.mark.parametrize(
    ("said", "state"),
    [
        (["agrees"], "provisional"),
        (["agrees", "agrees"], "final"),
        (["agrees", "not comparable", "agrees"], "final"),
        (["agrees", "differs", "agrees"], "provisional"),
        (["agrees", "agrees", "differs"], "provisional"),
    ],
)
def test_a_window_is_final_that_agreed_twice_a_day_apart(said: list[Verdict], state: str) -> None:
    assert state_of([(START + place * APART, verdict) for place, verdict in enumerate(said)]) == state
    assert state_of([(START + place * (APART - MOMENT) / 2, one) for place, one in enumerate(said)]) == "provisional"


def test_of_many_comparisons_the_newest_are_kept(tmp_path: Path) -> None:
    history = ObjectHistory(FolderStore(tmp_path), "calls")
    for hour in range(30):
        at = (START + timedelta(hours=hour)).isoformat()
        kept = history.add(replace(not_comparable(WINDOW, "a test"), reconciled_at=at))
    assert [moment for moment, _ in kept] == [START + timedelta(hours=hour) for hour in range(10, 30)]


@pytest.mark.parametrize(
    ("window", "reason"),
    [
        (Window(START, datetime.now(timezone.utc) + timedelta(hours=1)), "is not over"),
        (Window(START - timedelta(days=400), START - timedelta(days=1)), "is longer than"),
    ],
)
def test_a_window_that_cannot_be_compared_costs_no_request(window: Window, reason: str) -> None:
    client: Any = None
    found = reconcile(client, window, lambda _: pytest.fail("the sink is not asked either"))
    assert (found.verdict, reason in found.reason, found.requests) == ("not comparable", True, 0)
