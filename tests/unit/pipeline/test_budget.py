"""How many records may become dead letters, over all tries of a load, and what the error says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import DeadLetterBudgetError, SinkUnavailableError
from airflow_provider_genesys.pipeline.budget import RATIO_FROM, Budget
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, Counts
from airflow_provider_genesys.pipeline.run import Options, run
from tests.unit.pipeline.memory_sink import MemorySink, Shelf
from tests.unit.pipeline.sources import InMemory, a_load

TIME = "2026-11-22T10:00:00Z"
RECORDS = 100
FAULTS: dict[int, str] = {
    **dict.fromkeys(range(0, 60, 10), '{"recordingId": "%d", "timestamp": "' + TIME + '"}'),  # 6 lack a duration
    **dict.fromkeys(range(5, 45, 10), "no JSON %d"),  # 4
    **dict.fromkeys(range(7, 100, 31), '{"recordingId": "%d", "timestamp": "noon", "durationMs": 1}'),  # 3
    99: "[%d]",
}


def archive() -> bytes:
    good = json.dumps({"recordingId": "%d", "timestamp": TIME, "durationMs": 1})
    return "\n".join(FAULTS.get(number, good) % number for number in range(RECORDS)).encode()


def load(shelf: Shelf, sink: dict[str, Any] | None = None, **budget: Any) -> Certificate:
    options = Options(batch_size=5, flush_interval=60.0, **{"max_dead_letter_ratio": None, **budget})
    return run(a_load(), InMemory(archive()), MemorySink(shelf, **(sink or {})), options)


def test_the_error_names_the_three_most_frequent_reasons() -> None:
    with pytest.raises(DeadLetterBudgetError) as raised:
        load(Shelf(), max_dead_letters=13)
    assert str(raised.value).startswith(
        "14 of 100 records of export export-1 were rejected, more than max_dead_letters=13 allows. "
        "Most frequent: missing-required (6), not-json (4), wrong-type (3)."
    )


@pytest.mark.parametrize("cut_every", [None, 1000])
@pytest.mark.parametrize("fail_at", [1, 7, 12, 19])
def test_a_load_that_was_resumed_passes_its_limit_where_one_passes_it_that_was_not(
    fail_at: int, cut_every: int | None
) -> None:
    """Neither does a resume forget what was rejected before it, nor count any of it twice."""
    shelf, sink = Shelf(), {"cut_every": cut_every}
    with pytest.raises(SinkUnavailableError):
        load(shelf, {**sink, "fail_at": fail_at}, max_dead_letters=14)
    with pytest.raises(SinkUnavailableError):
        load(shelf, {**sink, "fail_at": 0, "answered": False}, max_dead_letters=14)
    assert load(shelf, sink, max_dead_letters=14).counts.dead_letters == 14

    shelf = Shelf()
    with pytest.raises(SinkUnavailableError):
        load(shelf, {**sink, "fail_at": fail_at}, max_dead_letters=13)
    with pytest.raises(DeadLetterBudgetError, match=r"^14 of 100 .*missing-required \(6\), not-json \(4\), wrong"):
        load(shelf, sink, max_dead_letters=13)


def test_what_only_the_sink_refuses_counts_at_the_end_too() -> None:
    refusing = {"refuse": frozenset({"97", "98"})}
    assert load(Shelf(), refusing, max_dead_letter_ratio=0.16).counts.dead_letters == 16
    with pytest.raises(DeadLetterBudgetError, match=r"16 of 100 .* max_dead_letter_ratio=0\.15 "):
        load(Shelf(), refusing, max_dead_letter_ratio=0.15)


def test_a_load_over_its_budget_fails_again_before_anything_is_downloaded() -> None:
    shelf, opened = Shelf(), []
    with pytest.raises(DeadLetterBudgetError):
        load(shelf, max_dead_letters=3)
    options = Options(max_dead_letters=3, max_dead_letter_ratio=None)
    with pytest.raises(DeadLetterBudgetError):
        run(a_load(), opened.append, MemorySink(shelf), options)  # type: ignore[arg-type, return-value]
    assert not opened


def test_a_share_is_judged_when_there_are_enough_records_and_at_the_end() -> None:
    def after(read: int, dead: int) -> Checkpoint:
        return Checkpoint("l", "e", TIME, counts=Counts(read=read, dead_letters=dead))

    budget = Budget(None, 0.1)
    budget.check(after(RATIO_FROM - 1, RATIO_FROM - 1))
    budget.check(after(RATIO_FROM, RATIO_FROM // 10))
    for read, ended in ((RATIO_FROM, False), (10, True)):
        with pytest.raises(DeadLetterBudgetError):
            budget.check(after(read, read // 10 + 1), ended=ended)
