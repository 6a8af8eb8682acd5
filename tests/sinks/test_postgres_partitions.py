"""Targets that are partitioned by the contract's timestamp, whoever made them."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_genesys.contracts.contract import RECORDINGS
from airflow_provider_genesys.exceptions import ConfigurationError, ContractError, GenesysError, SinkRefusedError
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.sinks.postgres.tables.partitions import PartitionBy, Partitions
from tests.sinks.batches import DAY, make_batch, make_batches, make_certificate, make_load, recording_row
from tests.sinks.warehouse import Warehouse, counts

MONTH = datetime(2026, 11, 1, tzinfo=timezone.utc)


def of_day(day: int, **settings: Any) -> Load:
    start = MONTH + timedelta(days=day - 1)
    load = make_load(f"export-{day}", load_id=f"load-{day}", **settings)
    return replace(load, window_start=start, window_end=start + timedelta(days=1))


def on(day: int, number: int) -> tuple[Any, ...]:
    return recording_row(number, timestamp=MONTH + timedelta(days=day - 1, seconds=number))


def partition_names(warehouse: Warehouse) -> list[str]:
    found = warehouse.execute("SELECT relid::text FROM pg_partition_tree('recordings') WHERE isleaf ORDER BY 1")
    return [row["relid"] for row in found]


def rows_by_partition(warehouse: Warehouse) -> dict[str, int]:
    found = warehouse.execute("SELECT tableoid::regclass::text AS name, count(*) AS n FROM recordings GROUP BY 1")
    return {row["name"]: row["n"] for row in found}


@pytest.mark.parametrize(
    ("by", "expected"),
    [("day", ["recordings_20261101", "recordings_default"]), ("month", ["recordings_202611", "recordings_default"])],
)
def test_the_table_is_created_with_the_partitions_of_the_window(
    warehouse: Warehouse, by: PartitionBy, expected: list[str]
) -> None:
    load = make_load()
    assert warehouse.load(load, make_batches(load, 20, dead=[3]), partition_by=by).counts == counts(20, dead_letters=1)
    assert partition_names(warehouse) == expected
    assert rows_by_partition(warehouse) == {expected[0]: 19}


def test_each_load_adds_the_partitions_that_it_needs(warehouse: Warehouse) -> None:
    for day in (1, 2, 1):
        load = of_day(day)
        batches = make_batches(load, range(day * 100, day * 100 + 10), row=lambda number, day=day: on(day, number))
        assert warehouse.load(load, batches, partition_by="day").counts == counts(10)
    assert rows_by_partition(warehouse) == {"recordings_20261101": 10, "recordings_20261102": 10}


def test_rows_outside_of_the_window_go_to_the_default_partition(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    load = of_day(1)
    warehouse.load(load, make_batches(load, 10, row=lambda number: on(1 + number % 2, number)), partition_by="day")
    assert rows_by_partition(warehouse) == {"recordings_20261101": 5, "recordings_default": 5}
    # Now the second day comes, whose partition would have to take rows that the default partition holds.
    later = of_day(2)
    assert warehouse.load(
        later, make_batches(later, range(20, 30), row=lambda number: on(2, number)), partition_by="day"
    ).counts
    assert "recordings_20261102 was not created" in caplog.text
    assert len(warehouse.rows()) == 20


def test_loads_that_need_the_same_partition_at_once_do_not_meet(warehouse: Warehouse) -> None:
    failures: list[GenesysError] = []

    def load(number: int) -> None:
        export = make_load(f"export-{number}", load_id=f"load-{number}")
        try:
            numbers = range(number * 10, number * 10 + 10)
            warehouse.load(export, make_batches(export, numbers), partition_by="day", retries=1)
        except GenesysError as error:
            failures.append(error)

    threads = [threading.Thread(target=load, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert rows_by_partition(warehouse) == {"recordings_20261101": 60}


def test_readers_go_on_reading_while_a_partition_is_added(warehouse: Warehouse) -> None:
    first = of_day(1)
    warehouse.load(first, make_batches(first, 10), partition_by="day")
    with warehouse.connect() as reader:
        reader.execute("SELECT count(*) FROM recordings_20261101")
        reader.execute("SELECT count(*) FROM ONLY recordings")
        second = of_day(2)
        warehouse.load(second, make_batches(second, range(10, 20), row=lambda n: on(2, n)), partition_by="day")
    assert len(warehouse.rows()) == 20


def test_key_and_timestamp_tell_rows_apart_in_a_partitioned_table(warehouse: Warehouse) -> None:
    load = make_load()

    def row(number: int) -> tuple[Any, ...]:
        return recording_row(number % 4, timestamp=DAY + timedelta(hours=number % 2), durationMs=number)

    # Of ids 0 to 3, each always comes with the same time, and thrice: the last stays.
    assert warehouse.load(load, make_batches(load, 12, size=5, row=row), partition_by="day").counts == counts(
        12, duplicates=8
    )
    assert [found["duration_ms"] for found in warehouse.rows()] == [8, 9, 10, 11]


def test_a_record_whose_timestamp_changes_is_another_row(warehouse: Warehouse) -> None:
    old = make_load()
    new = make_load("new", load_id="load-2", submitted_at=DAY + timedelta(days=2))
    warehouse.load(old, make_batches(old, 3), partition_by="day")
    moved = make_batches(new, 3, row=lambda number: recording_row(number, timestamp=DAY + timedelta(hours=1)))
    assert warehouse.load(new, moved, partition_by="day").counts == counts(3)
    assert len(warehouse.rows()) == 6


def partitioned_by_hand(warehouse: Warehouse) -> None:
    """Make a partitioned table of the columns of an ordinary one."""
    warehouse.sink().open(make_load(load_id="first"), restart=False)
    warehouse.execute("ALTER TABLE recordings RENAME TO ordinary")
    warehouse.execute("CREATE TABLE recordings (LIKE ordinary) PARTITION BY RANGE (timestamp)")
    warehouse.execute("CREATE TABLE november PARTITION OF recordings FOR VALUES FROM ('2026-11-01') TO ('2026-12-01')")


def test_a_table_that_was_partitioned_by_hand_is_used_as_it_is(warehouse: Warehouse) -> None:
    partitioned_by_hand(warehouse)
    load = make_load()
    with pytest.raises(SinkRefusedError, match="no unique key on recording_id, timestamp") as caught:
        warehouse.sink().open(load, restart=False)
    text = str(caught.value)
    warehouse.execute(text[text.index("ALTER TABLE") :])
    for options in ({}, {"partition_by": "month"}):
        assert warehouse.load(load, make_batches(load, 20, size=7), **options).counts == counts(20)
    assert rows_by_partition(warehouse) == {"november": 20}


def test_a_partition_that_lacks_for_the_window_fails_the_load(warehouse: Warehouse) -> None:
    partitioned_by_hand(warehouse)
    warehouse.execute("ALTER TABLE recordings ADD PRIMARY KEY (recording_id, timestamp)")
    december = replace(make_load(), window_start=datetime(2026, 12, 1, tzinfo=timezone.utc))
    december = replace(december, window_end=december.window_start + timedelta(days=1))
    sink = warehouse.sink()
    sink.open(december, restart=False)
    with pytest.raises(SinkRefusedError, match="no partition for 2026-12-01"):
        sink.write(make_batch(december, range(3), row=lambda number: on(31, number)))
    assert warehouse.dead_letters() == []


def test_a_row_outside_of_the_window_that_no_partition_takes_is_rejected(warehouse: Warehouse) -> None:
    partitioned_by_hand(warehouse)
    warehouse.execute("ALTER TABLE recordings ADD PRIMARY KEY (recording_id, timestamp)")
    load = make_load()
    batches = make_batches(load, 9, row=lambda number: on(31 if number == 4 else 1, number))
    certificate = warehouse.load(load, batches)
    assert (certificate.counts, certificate.rules) == (counts(9, dead_letters=1), {"missing-partition": 1})


def test_who_may_not_create_a_partition_gets_the_sql(warehouse: Warehouse) -> None:
    first, second = of_day(1), of_day(2)
    warehouse.load(first, make_batches(first, 3), partition_by="day")
    with pytest.raises(SinkRefusedError, match=r"no partition.*recordings_20261102") as caught:
        warehouse.sink(partition_by="day", create_table=False).open(second, restart=False)
    text = str(caught.value)
    warehouse.execute(text[text.index("CREATE TABLE") :])
    batches = make_batches(second, range(10, 13), row=lambda number: on(2, number))
    warehouse.load(second, batches, partition_by="day", create_table=False)
    assert rows_by_partition(warehouse) == {"recordings_20261101": 3, "recordings_20261102": 3}


def test_a_table_that_is_not_partitioned_stays_so_and_the_error_says_it(warehouse: Warehouse) -> None:
    load = make_load()
    warehouse.load(load, make_batches(load, 3))
    with pytest.raises(SinkRefusedError, match="is not partitioned"):
        warehouse.sink(partition_by="day").open(load, restart=False)


def test_what_cannot_be_partitioned_is_refused_at_once(warehouse: Warehouse) -> None:
    with pytest.raises(ConfigurationError, match="day, month"):
        warehouse.sink(partition_by="year")
    with pytest.raises(ConfigurationError, match="at most 54 bytes"):
        Partitions("public", "x" * 55, "day")
    columns = tuple(replace(column, required=column.name == "recordingId") for column in RECORDINGS.columns)
    with pytest.raises(ContractError, match="required timestamp"):
        warehouse.sink(partition_by="day").open(make_load(contract=replace(RECORDINGS, columns=columns)), restart=False)


def test_partitions_are_cut_at_utc_midnight_and_at_the_first_of_the_month() -> None:
    end = datetime(2027, 3, 1, tzinfo=timezone.utc)
    months = Partitions("public", "t", "month").touched(datetime(2026, 12, 31, 23, tzinfo=timezone.utc), end)
    assert [name for name, _, _ in months] == ["t_202612", "t_202701", "t_202702"]
    kolkata = timezone(timedelta(hours=5, minutes=30))
    days = Partitions("public", "t", "day").touched(
        datetime(2026, 11, 2, 3, tzinfo=kolkata), datetime(2026, 11, 3, 3, tzinfo=kolkata)
    )
    assert [name for name, _, _ in days] == ["t_20261101", "t_20261102"]


def test_the_schema_is_created_where_it_is_asked_for(warehouse: Warehouse) -> None:
    load = make_load()
    for _ in range(2):
        sink = warehouse.sink(schema="New one", create_schema=True)
        sink.open(load, restart=True)
        assert sink.finish(make_certificate(load, sink.write(make_batch(load, range(5))))).counts == counts(5)
    (row,) = warehouse.execute('SELECT count(*) AS n FROM "New one".recordings')
    assert row["n"] == 5
