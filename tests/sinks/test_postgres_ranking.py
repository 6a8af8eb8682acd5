"""Of two exports the one that was asked for later is right; where no evidence says which that is, the load ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import SinkRefusedError, UnrankedExportError
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.load import Load
from tests.sinks.batches import DAY, make_batches, make_load, recording_row
from tests.sinks.warehouse import Warehouse, counts

DAILY = timedelta(days=1)
AT_MIDNIGHT = DAY + DAILY
REPLACE = {"write_mode": "replace_window"}
OPTIONS: list[dict[str, Any]] = [{}, REPLACE, {"publish": "atomic"}, {**REPLACE, "publish": "atomic"}]


def asked_for(export_id: str, submitted_at: datetime | None) -> Load:
    return make_load(export_id, load_id=f"load of {export_id}", submitted_at=submitted_at)


def load(warehouse: Warehouse, one: Load, numbers: range, **options: Any) -> Certificate:
    return warehouse.load(one, make_batches(one, numbers, size=4), **options)


def exports(warehouse: Warehouse) -> list[str]:
    return [row["_genesys_export_id"] for row in warehouse.rows()]


@pytest.mark.outcome(
    "jobs",
    "two exports have the same record, and nobody knows which was asked for later",
    "UnrankedExportError",
)
@pytest.mark.parametrize(
    ("options", "first", "second"),
    [
        # Without --long each way to load meets two of the three.
        pytest.param(options, *times, marks=[pytest.mark.long] if way % 3 == place else [])
        for way, options in enumerate(OPTIONS)
        for place, times in enumerate([(AT_MIDNIGHT, AT_MIDNIGHT), (None, None), (AT_MIDNIGHT, None)])
    ],
)
def test_exports_that_nobody_can_rank_are_not_ranked(
    warehouse: Warehouse, options: dict[str, Any], first: datetime | None, second: datetime | None
) -> None:
    load(warehouse, asked_for("b", first), range(6))
    before = warehouse.rows()
    late = asked_for("a", second)
    with pytest.raises(UnrankedExportError, match=r"Export a and public.recordings.*from export b.*submitted_at"):
        load(warehouse, late, range(4, 8), **options)
    assert warehouse.rows()[:6] == before
    assert load(warehouse, replace(late, submitted_at=AT_MIDNIGHT + timedelta(days=60)), range(4, 8), **options)
    assert exports(warehouse)[-4:] == ["a"] * 4


@pytest.mark.parametrize("options", OPTIONS)
def test_exports_that_share_no_record_need_no_rank(warehouse: Warehouse, options: dict[str, Any]) -> None:
    other = replace(asked_for("other", None), window_start=DAY + DAILY, window_end=DAY + 2 * DAILY)
    load(warehouse, asked_for("one", None), range(4), **options)
    assert warehouse.load(other, make_batches(other, 5, row=a_day_later), **options).counts == counts(5)
    assert load(warehouse, asked_for("one", None), range(4), restart=True, **options).counts == counts(4)


@pytest.mark.parametrize("options", OPTIONS)
def test_rows_of_an_unknown_time_are_older_than_what_was_asked_for_after_they_were_written(
    warehouse: Warehouse, options: dict[str, Any]
) -> None:
    load(warehouse, asked_for("unknown", None), range(4), **options)
    load(warehouse, asked_for("new", datetime.now(timezone.utc)), range(1, 4), **options)
    assert exports(warehouse) == ["unknown"] * (options.get("write_mode") is None) + ["new"] * 3


def test_a_window_that_was_replaced_is_closed_to_what_nobody_can_rank(warehouse: Warehouse) -> None:
    load(warehouse, asked_for("whole", AT_MIDNIGHT), range(4), **REPLACE)
    with pytest.raises(UnrankedExportError, match="2 of its records from export whole"):
        load(warehouse, asked_for("unknown", None), range(10, 12))
    outside = replace(asked_for("another", None), window_start=DAY + timedelta(days=1))
    assert warehouse.load(outside, make_batches(outside, 3, row=a_day_later)).counts == counts(3)


@pytest.mark.parametrize("publish", ["batches", "atomic"])
def test_what_nobody_can_rank_is_not_removed_even_if_no_record_is_shared(warehouse: Warehouse, publish: str) -> None:
    load(warehouse, asked_for("there", AT_MIDNIGHT), range(4))
    with pytest.raises(UnrankedExportError, match="4 of its records from export there"):
        load(warehouse, asked_for("unknown", None), range(10, 12), **REPLACE, publish=publish)
    assert exports(warehouse)[:4] == ["there"] * 4
    assert {
        row["state"] for row in warehouse.execute("SELECT state FROM genesys_ledger WHERE export_id = 'unknown'")
    } == {"loading"}


def a_day_later(number: int) -> tuple[Any, ...]:
    return recording_row(number, recordingId=f"later-{number}", timestamp=DAY + timedelta(days=1, seconds=number))


def test_the_time_may_be_given_to_a_try_that_goes_on(warehouse: Warehouse) -> None:
    load(warehouse, asked_for("old", AT_MIDNIGHT), range(6, 8))
    unknown = asked_for("unknown", None)
    with pytest.raises(UnrankedExportError):
        load(warehouse, unknown, range(8))
    known = replace(unknown, submitted_at=AT_MIDNIGHT + timedelta(hours=1))
    sink = warehouse.sink()
    assert sink.open(known, restart=False) is not None
    sink.write(list(make_batches(known, 8, size=4))[1])
    assert exports(warehouse) == ["unknown"] * 8
    assert warehouse.execute("SELECT submitted_at FROM genesys_ledger WHERE export_id = 'unknown'") == [
        {"submitted_at": known.submitted_at}
    ]


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("recordings", "_genesys_submitted_at"),
        ("genesys_ledger", "submitted_at"),  # as earlier releases created it
        ("genesys_dead_letters", "submitted_at"),
    ],
)
def test_a_table_that_wants_the_time_is_refused_before_anything_is_downloaded(
    warehouse: Warehouse, table: str, column: str
) -> None:
    warehouse.sink().open(make_load(), restart=False)
    warehouse.execute(f"ALTER TABLE {table} ALTER {column} SET NOT NULL")
    with pytest.raises(SinkRefusedError, match=f'"{table}" ALTER COLUMN "{column}" DROP NOT NULL'):
        warehouse.sink().open(asked_for("unknown", None), restart=False)
    warehouse.execute(f"ALTER TABLE {table} ALTER {column} DROP NOT NULL")
    assert warehouse.sink().open(asked_for("unknown", None), restart=False) is None
