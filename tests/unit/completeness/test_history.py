"""The comparisons of a window are kept beside the data, and make it final when it agreed twice, a day apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import psycopg
import pytest

from airflow_provider_genesys.completeness.comparisons import (
    APART,
    History,
    ObjectHistory,
    PostgresHistory,
    with_state,
)
from airflow_provider_genesys.completeness.verdict import Reconciliation
from airflow_provider_genesys.stores.folder import FolderStore

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)
FOUND = Reconciliation(
    DAY.isoformat(), (DAY + timedelta(days=1)).isoformat(), "agrees", "", "", {"nOffered": {"genesys": 3, "sink": 3}}
)
Of = Callable[[str], History]
"""Returns the history of a target by its name."""


@pytest.fixture(params=["table", "folder"])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> Of:
    if request.param == "folder":
        return lambda target: ObjectHistory(FolderStore(tmp_path), target)
    dsn = request.getfixturevalue("database")
    return lambda target: PostgresHistory(lambda: psycopg.connect(dsn), "public", f"public.{target}")


def at(hours: float, found: Reconciliation = FOUND) -> Reconciliation:
    return replace(found, reconciled_at=(DAY + timedelta(days=2, hours=hours)).isoformat())


def test_a_window_is_final_after_two_agreements_a_day_apart(history: Of) -> None:
    own = history("calls")
    assert with_state(at(0), own).state == "provisional"
    assert with_state(at(APART / timedelta(hours=1) - 0.1), own).state == "provisional"
    assert with_state(at(APART / timedelta(hours=1)), history("calls")).state == "final"
    said = own.add(at(50, replace(FOUND, verdict="differs")))
    assert [verdict for _, verdict in said] == ["agrees"] * 3 + ["differs"]
    assert said[0][0] == DAY + timedelta(days=2)
    assert with_state(at(51), own).state == "provisional", "it has differed since"


def test_other_windows_and_targets_do_not_count(history: Of) -> None:
    history("calls").add(at(0))
    assert with_state(at(30), history("others")).state == "provisional"
    next_day = replace(FOUND, window_start=FOUND.window_end, window_end=(DAY + timedelta(days=2)).isoformat())
    assert with_state(at(30, next_day), history("calls")).state == "provisional"
    shorter = replace(FOUND, window_end=(DAY + timedelta(hours=1)).isoformat())
    assert with_state(at(30, shorter), history("calls")).state == "provisional"
    assert with_state(at(30), history("calls")).state == "final"


def test_a_folder_keeps_the_newest_comparisons(tmp_path: Path) -> None:
    history = ObjectHistory(FolderStore(tmp_path), "calls/")
    for hours in range(22):
        said = history.add(at(hours))
    assert [moment for moment, _ in said] == [DAY + timedelta(days=2, hours=hours) for hours in range(2, 22)]
    assert [path.relative_to(tmp_path).parts[:2] for path in tmp_path.rglob("*.json")] == [("calls", "_reconciled")]
