"""What the pages show of a load whose XComs an XCom backend keeps elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import HTTPException

from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Counts
from airflow_provider_genesys.plugin import xcoms
from airflow_provider_genesys.plugin.app import _index as map_index
from airflow_provider_genesys.plugin.overview import overview
from airflow_provider_genesys.plugin.rows import decoded
from airflow_provider_genesys.plugin.shown import loads_of
from airflow_provider_genesys.source.position import Identity

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
    (asked,) = found["attention"]
    assert (asked["status"], asked["windows"]) == ("missing", 2)
    # A backfill goes from the start of the first to the start of the last.
    assert [asked[name][:10] for name in ("window_start", "last_start")] == ["2026-11-05", "2026-11-06"]


def test_a_loading_task_without_a_certificate_has_loaded_nothing() -> None:
    assert list(loads_of(row(2, "success", return_value=None))) == []
    assert list(loads_of(row(2, "success", return_value=REFERENCE) | {"operator": "GenesysExportSensor"})) == []


WRONG = (
    None,
    [],
    5,
    -1,
    float("nan"),
    10**400,
    "x",
    "\ud800",
    ["x"],
    [None],
    {"a": 1},
    "2026-13-01",
    "2026-11-03T00:00:00",
    "1234",
)

VERDICT = {"verdict": "differs", "state": "final", "reason": "r", "counts": {"a": 1}, "differences": [{}]}
WINDOW = {"kind": "recordings", "window_start": "2026-11-05T00:00:00+00:00", "window_end": "2026-11-06T00:00:00+00:00"}


def certificate(day: int) -> dict[str, Any]:
    window = [f"2026-11-0{one}T00:00:00+00:00" for one in (day, day + 1)]
    counts = Counts(read=2, written=1, dead_letters=1)
    made = Certificate("load", "export", "recordings", *window, "contract", Identity(), 9, counts, "")
    drift = [{"field": "x", "kind": "unknown", "count": 2}]
    more = {"rules": {"r": 1}, "drift": drift, "reconciliation": VERDICT, "location": "s3://b/p"}
    return {**made.summary(), **more, "shard": {"number": 1, "count": 1, "start": 0, "end": 9}}


XCOMS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "certificate": ("success", "return_value", certificate(5)),
    "listing": ("success", "return_value", {**certificate(5), "snapshot": {"present": 1}}),
    "checkpoint": ("running", "checkpoint", {**WINDOW, "percent": 5.0, "records": 5}),
    "failure": ("failed", "failure", {**WINDOW, "error": "SourceChangedError"}),
    "verdict": ("success", "reconciliation", VERDICT),
}


def variants(value: Any) -> Iterator[Any]:
    """``value`` with each member, at any depth, in turn of each wrong type."""
    yield from WRONG
    for name, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        for wrong in variants(one):
            copy = value.copy()
            copy[name] = wrong
            yield copy


@pytest.mark.parametrize(
    ("stored", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ({"a": 1}, {"a": 1}),
        ('{"__classname__": "their.own", "__version__": 1, "__data__": {}}', None),
        ("[" * 100_000, None),
    ],
)
def test_an_xcom_that_airflow_cannot_read_is_absent(stored: Any, value: Any) -> None:
    assert decoded(SimpleNamespace(value=stored)) == value


@pytest.mark.parametrize("case", XCOMS)
def test_an_xcom_that_another_task_wrote_over_does_not_break_the_pages(case: str) -> None:
    state, key, value = XCOMS[case]
    others = [row(day, "success", return_value=certificate(day)) for day in (4, 3, 2)]
    (shown,) = loads_of(row(5, state, **{"return_value": certificate(5), key: value}))
    expected = {"running": "progress", "failed": "failure"}.get(state, "counts")
    assert shown[expected], "what is as it should be is shown"
    for wrong in variants(value):
        rows = [row(5, state, **{key: wrong}), *others]
        found = overview(rows)
        assert len(found["loads"]) >= len(others), wrong
        json.dumps([found, list(loads_of(rows[0]))], allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("text", "index"),
    [("0", 0), ("-1", -1), ("{MAP_INDEX}", -1), *((one, None) for one in ("x", "-2", "9" * 20, "9" * 5000, "", "1.0"))],
)
def test_a_map_index_fits_its_column(text: str, index: int | None) -> None:
    if index is not None:
        assert map_index(text) == index
        return
    with pytest.raises(HTTPException) as caught:
        map_index(text)
    assert caught.value.status_code == 404


@pytest.mark.parametrize(
    ("state", "status"),
    [
        *((state, "failed") for state in ("failed", "upstream_failed")),
        *((state, "running") for state in ("scheduled", "queued", "running", "deferred", "up_for_retry")),
        ("skipped", None),
    ],
)
def test_a_load_without_a_result_has_the_status_of_its_task(state: str, status: str | None) -> None:
    assert [one["status"] for one in loads_of(row(22, state))] == ([status] if status else [])


@pytest.mark.parametrize("name", ["window_start", "window_end"])
def test_a_certificate_whose_window_has_no_such_end_is_none(name: str) -> None:
    assert xcoms.certificate(certificate(5))
    assert xcoms.certificate({**certificate(5), name: "2026-13-01"}) is None
