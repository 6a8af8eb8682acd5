"""What the page of all loads says: which reconciliation decides, and which loads need a person."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Counts
from airflow_provider_genesys.plugin.overview import overview
from airflow_provider_genesys.source.position import Identity

FIRST = datetime(2026, 11, 1, tzinfo=timezone.utc)
LATER = "2026-11-20T06:00:00+00:00"
WHEN_LOADED = "2026-11-20T05:00:00+00:00"


def at(day: int) -> str:
    return (FIRST + timedelta(days=day)).isoformat()


def row(day: int, operator: str, state: str = "success", **xcoms: Any) -> dict[str, Any]:
    place = {"dag_id": "dag", "run_id": f"run-{day}", "task_id": operator, "map_index": -1, "try_number": 1}
    began = FIRST + timedelta(days=day + 1)
    times = {"started_at": began, "ended_at": began, "interval_start": None, "interval_end": None}
    return {**place, **times, "operator": operator, "state": state, **xcoms}


def load(
    day: int, *, read: int = 1_000, dead: int = 0, kind: str = "conversation_details", **more: Any
) -> dict[str, Any]:
    counts = Counts(read=read, written=read - dead, dead_letters=dead)
    made = Certificate("load", "export", kind, at(day), at(day + 1), "contract", Identity(), 9, counts, "")
    summary = {**made.summary(), "ended_at": WHEN_LOADED, **more}
    return row(day, "GenesysExportToS3Operator", return_value=summary)


def reconciled(day: int, verdict: str, *, when: str = LATER, state: str = "provisional", **more: Any) -> dict[str, Any]:
    window = {"window_start": at(day), "window_end": at(day + 1)}
    found = {"verdict": verdict, "state": state, "reason": verdict, **window, "reconciled_at": when}
    return row(day, "GenesysReconcileOperator", reconciliation=found) | more


def statuses(*rows: dict[str, Any]) -> list[str]:
    return [one["status"] for one in overview(rows)["loads"]]


def test_the_newest_reconciliation_of_a_window_decides() -> None:
    own = {"verdict": "differs", "state": "provisional", "reason": "r", "reconciled_at": WHEN_LOADED}
    loaded = load(1, reconciliation=own)
    assert statuses(loaded) == ["differs"]
    assert statuses(loaded, reconciled(1, "agrees")) == ["provisional"]
    assert statuses(loaded, reconciled(1, "agrees", state="final")) == ["final"]
    newer, newest = "2026-11-20T07:00:00+00:00", "2026-11-20T08:00:00+00:00"
    both = [reconciled(1, "agrees", when=newest), reconciled(1, "differs", when=newer)]
    assert statuses(loaded, *both) == ["provisional"]
    assert statuses(loaded, *reversed(both)) == ["provisional"]
    agreed = {**own, "verdict": "agrees"}
    assert statuses(load(1, reconciliation=agreed), reconciled(1, "differs")) == ["differs"]


@pytest.mark.parametrize(
    "other",
    [
        reconciled(2, "agrees"),
        reconciled(1, "agrees", when="2026-11-20T04:59:59+00:00"),  # before the load, so it judged an earlier one
        reconciled(1, "agrees", dag_id="another"),
    ],
    ids=["window", "earlier", "dag"],
)
def test_a_reconciliation_judges_no_other_load(other: dict[str, Any]) -> None:
    own = {"verdict": "differs", "state": "provisional", "reason": "r", "reconciled_at": WHEN_LOADED}
    assert statuses(load(1, reconciliation=own), other) == ["differs"]
    assert statuses(load(1, kind="recordings"), reconciled(1, "differs")) == ["complete"]


def test_a_load_that_failed_is_not_judged() -> None:
    window = {"kind": "conversation_details", "window_start": at(1), "window_end": at(2)}
    failed = row(1, "GenesysExportToS3Operator", "failed", failure={**window, "error": "SourceChangedError"})
    running = row(1, "GenesysExportToS3Operator", "running", checkpoint={**window, "percent": 5.0})
    assert statuses(failed, reconciled(1, "agrees")) == ["failed"]
    assert statuses(running, reconciled(1, "agrees")) == ["running"]


@pytest.mark.parametrize(("dead", "share", "said"), [(10, 0.01, False), (11, 0.011, True), (250, 0.25, True)])
def test_more_than_one_percent_of_rejected_records_needs_a_person(dead: int, share: float, said: bool) -> None:
    found = overview([load(1, dead=dead, rules={"too-old": dead})])
    assert found["loads"][0]["dead_letter_share"] == share
    asked = [one["why"] for one in found["attention"]]
    assert asked == ([f"{share:.1%} of the records were rejected (too-old: {dead})."] if said else [])
    assert overview([load(1, read=0)])["loads"][0]["dead_letter_share"] == 0


def test_what_needs_a_person_comes_worst_first_and_then_newest_first() -> None:
    drift = [{"field": f"f{number}", "kind": "unknown", "count": 2} for number in range(4)]
    rows = [
        load(4, drift=[*drift, {"field": "typed", "kind": "type", "count": 1}]),
        load(3, incomplete=True),
        *(
            row(
                day, "GenesysExportToS3Operator", "failed", failure={"window_start": at(day), "window_end": at(day + 1)}
            )
            for day in (1, 2)
        ),
    ]
    found = overview(rows)
    assert [(one["status"], one["window_start"]) for one in found["attention"]] == [
        ("failed", at(2)),
        ("failed", at(1)),
        ("complete", at(4)),
        ("complete", at(3)),
    ]
    assert "f0, f1, f2." in found["attention"][2]["why"]
    assert found["loads"][0]["drift"] == 9
    assert "did not have all data" in found["attention"][3]["why"]


def test_a_failed_load_has_the_kind_that_its_task_loads() -> None:
    failed = row(2, "GenesysExportToS3Operator", "failed")
    assert [one["kind"] for one in overview([failed, load(1, kind="recordings")])["loads"]] == ["recordings"] * 2
    assert [one["kind"] for one in overview([failed])["loads"]] == ["unknown"]


def test_of_a_window_the_newest_run_is_shown_and_of_shards_each() -> None:
    again = load(1, read=7) | {"run_id": "again"}
    [shown] = overview([again, load(1)])["loads"]
    assert (shown["run_id"], shown["counts"]["read"]) == ("again", 7)
    cut = {"count": 2, "start": 0, "end": 9}
    shards = [load(1, shard={"number": number, **cut}) | {"map_index": number} for number in (0, 1, 1)]
    assert [one["shard"] for one in overview(shards)["loads"]] == [0, 1]


def test_a_window_is_missing_between_windows_of_the_same_length() -> None:
    found = overview([load(day) for day in (9, 5, 4, 3, 2)])
    assert [one["window_start"] for one in found["missing"]] == [at(6), at(7), at(8)]
    [asked] = found["attention"]
    assert (asked["why"], asked["window_end"], asked["task_id"]) == (
        "3 windows are missing.",
        at(9),
        "GenesysExportToS3Operator",
    )
    assert overview([load(9), load(2)])["missing"] == [], "two windows have no rhythm"


def test_the_newest_snapshot_of_each_listing_is_shown() -> None:
    listings = [load(day, kind="users", snapshot={"present": day}) for day in (3, 2)]
    assert [one["snapshot"] for one in overview(listings)["snapshots"]] == [{"present": 3}]
    assert len(overview(listings)["loads"]) == 2
    assert overview(listings)["missing"] == []


def test_three_windows_of_one_length_have_a_rhythm() -> None:
    assert [one["window_start"] for one in overview([load(day) for day in (5, 3, 2)])["missing"]] == [at(4)]
    short = load(4) | {"run_id": "short"}
    short["return_value"] = {**short["return_value"], "window_end": (FIRST + timedelta(days=4, hours=1)).isoformat()}
    assert overview([load(6), short, load(2)])["missing"] == [], "their lengths differ"
