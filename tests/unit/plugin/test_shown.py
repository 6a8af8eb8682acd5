"""What the pages show of a load whose XComs an XCom backend keeps elsewhere."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_provider_genesys.plugin.overview import overview
from airflow_provider_genesys.plugin.shown import loads_of

REFERENCE = "s3://xcoms/dag/run/load/0b0e7a4e.json"


def row(day: int, state: str, **xcoms: Any) -> dict[str, Any]:
    place = {"dag_id": "dag", "run_id": f"run-{day}", "task_id": "load", "map_index": -1, "try_number": 1}
    start, end = (datetime(2026, 11, day + one, tzinfo=timezone.utc) for one in (0, 1))
    times = {"started_at": end, "ended_at": end, "interval_start": start, "interval_end": end}
    return {**place, **times, "operator": "GenesysExportToS3Operator", "state": state, **xcoms}


@pytest.mark.parametrize(
    ("state", "status"), [("success", "complete"), ("failed", "failed"), ("running", "running"), ("skipped", None)]
)
def test_a_load_with_a_reference_has_its_state_and_no_figures(state: str, status: str | None) -> None:
    kept = dict.fromkeys(("return_value", "checkpoint", "reconciliation", "failure"), REFERENCE)
    found = list(loads_of(row(2, state, **kept)))
    assert [one["status"] for one in found] == ([status] if status else [])
    for one in found:
        assert (one["window_start"], one["sink"]) == ("2026-11-02T00:00:00+00:00", "s3")
        assert one.get("counts") is None
        assert REFERENCE not in str(one)


def test_such_loads_are_not_missing() -> None:
    found = overview([row(day, "success", return_value=REFERENCE) for day in (8, 7, 4, 3, 2)])
    assert [one["status"] for one in found["loads"]] == ["complete"] * 5
    assert [one["window_start"][:10] for one in found["missing"]] == ["2026-11-05", "2026-11-06"]
    assert [one["status"] for one in found["attention"]] == ["missing"]


def test_a_loading_task_without_a_certificate_has_loaded_nothing() -> None:
    assert list(loads_of(row(2, "success", return_value=None))) == []
    assert list(loads_of(row(2, "success", return_value=REFERENCE) | {"operator": "GenesysExportSensor"})) == []
