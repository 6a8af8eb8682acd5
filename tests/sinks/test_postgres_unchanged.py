"""Rows that the table holds just as they are: not rewritten, and in the account all the same."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import AccountError
from airflow_provider_genesys.pipeline.load import Batch, Load
from tests.sinks.batches import DAY, PROCESSED_AT, make_batch, make_batches, make_certificate, make_load, recording_row
from tests.sinks.warehouse import Warehouse, counts, write_all


def submitted(day: int, **settings: Any) -> Load:
    """Return the load of an export that was asked for on that day."""
    load = make_load(f"export-{day}", load_id=f"load-{day}", submitted_at=DAY + timedelta(days=day))
    return replace(load, **settings)


def batches(load: Load, *changed: int, records: int = 10, size: int = 4, at: int = 0) -> Iterator[Batch]:
    """Return ``records`` rows; those ``changed`` are so at the time ``at``, all at a later ``processedAt``."""

    def row(number: int) -> tuple[Any, ...]:
        later = {"processedAt": PROCESSED_AT + timedelta(days=at)}
        return recording_row(number, **later, **({"durationMs": 1000 + at} if number in changed else {}))

    return make_batches(load, records, size=size, row=row)


def versions(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Return where each row lies and which transactions wrote and locked it."""
    return warehouse.execute("SELECT ctid::text, xmin::text, xmax::text FROM recordings ORDER BY recording_id")


def labels(warehouse: Warehouse) -> list[str]:
    return [row["_genesys_export_id"].removeprefix("export-") for row in warehouse.rows()]


def load(warehouse: Warehouse, one: Load, *changed: int, at: int = 0, **options: Any) -> Any:
    return warehouse.load(one, batches(one, *changed, at=at), **{"skip_unchanged": True, **options})


def test_nothing_is_written_to_a_row_that_is_the_same(warehouse: Warehouse) -> None:
    load(warehouse, submitted(1))
    before = versions(warehouse)
    certificate = load(warehouse, submitted(2), at=2)
    assert versions(warehouse) == before
    assert certificate.counts == counts(10)
    assert certificate.parts == [{"key": "public.recordings", "rows": 10, "taken_over": 0, "unchanged": 10}]
    assert labels(warehouse) == ["1"] * 10


def test_a_row_that_differs_is_rewritten(warehouse: Warehouse) -> None:
    load(warehouse, submitted(1))
    before = versions(warehouse)
    certificate = load(warehouse, submitted(2), 3, 7, at=2)
    assert (certificate.counts, certificate.parts[0]["unchanged"]) == (counts(10), 8)
    assert [number for number, row in enumerate(versions(warehouse)) if row != before[number]] == [3, 7]
    assert labels(warehouse) == ["1", "1", "1", "2", "1", "1", "1", "2", "1", "1"]


@pytest.mark.parametrize("column", ["queueName", "metadata", "timestamp"])
@pytest.mark.parametrize("nulled", [0, 1])
def test_null_and_a_value_differ(warehouse: Warehouse, column: str, nulled: int) -> None:
    for day in (0, 1):
        one = submitted(day)
        value = {column: None} if day == nulled else {}
        if column == "timestamp" and value:
            value = {column: DAY + timedelta(hours=5)}
        rows = make_batches(one, range(1, 2), row=lambda number, value=value: recording_row(number, **value))
        certificate = warehouse.load(one, rows, skip_unchanged=True)
    assert certificate.parts[0]["unchanged"] == 0
    assert labels(warehouse) == ["1"]


def test_a_cleared_load_of_the_same_export_writes_nothing_again(warehouse: Warehouse) -> None:
    load(warehouse, submitted(1))
    before = versions(warehouse)
    for _ in range(2):
        certificate = load(warehouse, submitted(1), restart=True)
        assert (certificate.counts, certificate.parts[0]["unchanged"]) == (counts(10), 10)
    assert versions(warehouse) == before


def test_an_export_that_comes_late_does_not_replace_what_a_newer_one_has_confirmed(warehouse: Warehouse) -> None:
    load(warehouse, submitted(1))
    load(warehouse, submitted(3))
    before = versions(warehouse)
    # It differs from the first export, which wrote the rows, and is newer than that.
    certificate = load(warehouse, submitted(2), *range(10), at=2, skip_unchanged=False)
    assert certificate.counts == counts(10, duplicates=10)
    assert versions(warehouse) == before


def test_what_was_confirmed_is_replaced_by_a_still_newer_export(warehouse: Warehouse) -> None:
    load(warehouse, submitted(1))
    load(warehouse, submitted(3))
    assert load(warehouse, submitted(4), 5, at=4).counts == counts(10)
    assert load(warehouse, submitted(2), *range(10), at=2).counts == counts(10, duplicates=10)
    assert [row["duration_ms"] for row in warehouse.rows()] == [0, 7, 14, 21, 28, 1004, 42, 49, 56, 63]


@pytest.mark.parametrize("second", ["alike", "other"])
@pytest.mark.parametrize("size", [1, 3])
def test_a_record_that_is_repeated_counts_once_though_its_row_was_left_unchanged(
    warehouse: Warehouse, second: str, size: int
) -> None:
    load(warehouse, submitted(1))
    one = submitted(2)

    def row(number: int) -> tuple[Any, ...]:
        return recording_row(number % 3, **({"durationMs": 77} if second == "other" and number > 2 else {}))

    assert warehouse.load(one, make_batches(one, 6, size=size, row=row), skip_unchanged=True).counts == counts(
        6, duplicates=3
    )
    expected = [77] * 3 if second == "other" else [0, 7, 14]
    assert [found["duration_ms"] for found in warehouse.rows()][:3] == expected


def test_a_load_that_stops_and_goes_on_counts_what_it_left_before(warehouse: Warehouse) -> None:
    load(warehouse, submitted(1))
    one = submitted(2)
    sink = warehouse.sink(skip_unchanged=True)
    sink.open(one, restart=False)
    sink.write(next(batches(one)))
    sink.abort()
    again = warehouse.sink(skip_unchanged=True)
    again.open(one, restart=False)
    last = write_all(again, list(batches(one, 9))[1:])
    certificate = again.finish(make_certificate(one, last))
    assert (certificate.counts, certificate.parts[0]["unchanged"], certificate.attempts) == (counts(10), 9, 2)


def test_a_row_that_was_left_unchanged_and_is_deleted_by_somebody_fails_the_load(warehouse: Warehouse) -> None:
    load(warehouse, submitted(1))
    one = submitted(2)
    sink = warehouse.sink(skip_unchanged=True)
    sink.open(one, restart=False)
    last = write_all(sink, batches(one))
    warehouse.execute("DELETE FROM recordings WHERE duration_ms = 21")
    with pytest.raises(AccountError, match=r"export-2.*10 rows were written.*holds 9"):
        sink.finish(make_certificate(one, last))


@pytest.mark.parametrize("changed", [(), (2, 3)], ids=["confirmed", "replaced"])
def test_rows_left_unchanged_may_be_taken_over_before_the_load_ends(
    warehouse: Warehouse, changed: tuple[int, ...]
) -> None:
    load(warehouse, submitted(1))
    one = submitted(2)
    sink = warehouse.sink(skip_unchanged=True)
    sink.open(one, restart=False)
    last = write_all(sink, batches(one))
    newer = submitted(3)
    warehouse.load(newer, batches(newer, *changed, records=4, at=3), skip_unchanged=True)
    (part,) = sink.finish(make_certificate(one, last)).parts
    assert part == {"key": "public.recordings", "rows": 6, "taken_over": 4, "unchanged": 10}


def test_rows_that_a_load_wrote_may_be_confirmed_and_replaced_before_it_ends(warehouse: Warehouse) -> None:
    one, confirming, replacing = submitted(1), submitted(2), submitted(3)
    sink = warehouse.sink()
    sink.open(one, restart=False)
    last = write_all(sink, batches(one))
    load(warehouse, confirming)
    load(warehouse, replacing, 4, at=3)
    (part,) = sink.finish(make_certificate(one, last)).parts
    assert (part["rows"], part["taken_over"]) == (9, 1)


def test_rows_without_lineage_are_given_one(warehouse: Warehouse) -> None:
    load(warehouse, submitted(1))
    for column in ("_genesys_export_id", "_genesys_submitted_at", "_source_shard", "_source_offset", "_loaded_at"):
        warehouse.execute(f"ALTER TABLE recordings ALTER {column} DROP NOT NULL")
        warehouse.execute(f"UPDATE recordings SET {column} = NULL")
    assert load(warehouse, submitted(2)).parts[0]["unchanged"] == 0
    assert labels(warehouse) == ["2"] * 10


def test_the_table_of_the_unchanged_is_made_only_where_it_is_asked_for(warehouse: Warehouse) -> None:
    load(warehouse, submitted(1), skip_unchanged=False)
    assert warehouse.execute("SELECT to_regclass('genesys_unchanged') AS name") == [{"name": None}]
    load(warehouse, submitted(2))
    assert len(warehouse.execute("SELECT * FROM genesys_unchanged")) == 10


def test_in_a_partitioned_table_rows_are_left_unchanged_too(warehouse: Warehouse) -> None:
    load(warehouse, submitted(1), partition_by="day")
    certificate = load(warehouse, submitted(2), 3, at=2, partition_by="day")
    assert (certificate.counts, certificate.parts[0]["unchanged"]) == (counts(10), 9)
    assert load(warehouse, submitted(1), restart=True, at=1).counts == counts(10, duplicates=10)


def test_exports_that_load_the_same_keys_at_once_leave_what_the_newest_holds(warehouse: Warehouse) -> None:
    load(warehouse, submitted(1))
    # The second and the fourth leave unchanged what the third would replace.
    exports = {2: (), 3: tuple(range(1000)), 4: ()}
    failures: list[BaseException] = []
    first = submitted(1, load_id="load-0", export_id="export-0")
    warehouse.load(first, batches(first, records=1000, size=100), skip_unchanged=True)

    def run(day: int, changed: tuple[int, ...]) -> None:
        one = submitted(day)
        try:
            found = warehouse.load(one, batches(one, *changed, records=1000, size=25, at=day), skip_unchanged=True)
            found.counts.check("the end")
        except BaseException as error:  # noqa: BLE001 - the test shows it
            failures.append(error)

    threads = [threading.Thread(target=run, args=each) for each in exports.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [row["duration_ms"] for row in warehouse.rows()] == [number * 7 for number in range(1000)]


def test_each_row_is_looked_up_by_its_key_however_many_there_are(warehouse: Warehouse) -> None:
    for day in (1, 2, 3):
        one = submitted(day)
        warehouse.load(one, batches(one, records=3000, size=100), skip_unchanged=True)
    (read,) = warehouse.execute(
        "SELECT idx_tup_read AS n FROM pg_stat_user_indexes WHERE indexrelname = 'genesys_unchanged_pkey'"
    )
    assert 3000 <= read["n"] <= 5 * 3000


def test_columns_of_the_table_may_be_called_as_they_like(warehouse: Warehouse) -> None:
    one = submitted(1)
    warehouse.sink().open(one, restart=False)
    for name in ("label", "confirmer", "seen", "older", "unchanged", "same", "fresh", "source", "held_key", "target"):
        warehouse.execute(f"ALTER TABLE recordings ADD COLUMN {name} text")
    for day in (1, 2):
        assert load(warehouse, submitted(day)).counts == counts(10)


def test_a_batch_of_one_row_is_compared_like_any_other(warehouse: Warehouse) -> None:
    one = submitted(1)
    warehouse.load(one, [make_batch(one, range(1))], skip_unchanged=True)
    again = submitted(2)
    assert warehouse.load(again, [make_batch(again, range(1))], skip_unchanged=True).parts[0]["unchanged"] == 1
