"""What Genesys has corrected since the last load takes its place, whatever schedule or clear asked for it again."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.airflow_home import states

if TYPE_CHECKING:
    from conftest import Warehouse

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)
Rows = dict[str, int]


def archive(durations: Rows) -> bytes:
    """Return an archive of recordings, by id and duration in milliseconds, from the beginning of :data:`DAY` on."""
    moments = [DAY + timedelta(seconds=number) for number in range(len(durations))]
    records = [
        {"recordingId": key, "conversationId": f"c-{key}", "durationMs": duration, "timestamp": moment.isoformat()}
        for (key, duration), moment in zip(durations.items(), moments, strict=True)
    ]
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


FIRST = {f"recording-{number:03}": number for number in range(1_000)}
CORRECTED = {
    **{key: duration for key, duration in FIRST.items() if key != "recording-500"},
    "recording-007": 70_000,
    "recording-999": 99_000,
    "recording-new": 1,
}


@pytest.fixture
def load(warehouse: Warehouse) -> Callable[..., Any]:
    """Export and load what is given, by a Genesys that does not say when an export was asked for."""
    warehouse.genesys.tells_submission = False

    def load(durations: Rows, day: datetime = DAY, **settings: Any) -> dict[str, str]:
        warehouse.genesys.content = archive(durations)
        return states(warehouse.run(day, **settings))

    return load


def held(warehouse: Warehouse) -> Rows:
    return dict(warehouse.rows("recording_id, duration_ms"))


@pytest.mark.parametrize("write_mode", ["upsert", "replace_window"])
def test_a_run_that_is_cleared_and_made_again_brings_the_corrections(
    warehouse: Warehouse, load: Callable[..., Any], write_mode: str
) -> None:
    load(FIRST)
    assert set(load(CORRECTED, loads={"write_mode": write_mode}).values()) == {"success"}
    vanished = {"recording-500": 500} if write_mode == "upsert" else {}
    assert held(warehouse) == {**CORRECTED, **vanished}


def test_a_backfill_for_an_old_date_brings_what_is_exported_now(
    warehouse: Warehouse, load: Callable[..., Any]
) -> None:
    window = {"window_start": DAY.isoformat(), "window_end": (DAY + timedelta(days=1)).isoformat()}
    load(FIRST, DAY + timedelta(days=30), **window)
    load(CORRECTED, DAY, loads={"write_mode": "replace_window"})
    assert held(warehouse) == CORRECTED


def test_what_a_killed_run_has_left_half_loaded_is_replaced(warehouse: Warehouse, load: Callable[..., Any]) -> None:
    stop = {"batch_size": 100, "max_dead_letters": 0}
    broken = archive(FIRST).replace(b'"recording-650"', b"null")
    warehouse.genesys.content = broken
    assert states(warehouse.run(DAY, loads=stop))["load_into_postgres"] == "failed"
    assert len(held(warehouse)) >= 600
    load(CORRECTED, loads={"write_mode": "replace_window"})
    assert held(warehouse) == CORRECTED
