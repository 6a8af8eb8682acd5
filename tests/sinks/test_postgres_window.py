"""``write_mode="replace_window"``: a complete load leaves no older row in its window, whichever load comes last."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import SinkRefusedError
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.sinks.postgres.sink import PostgresSink
from tests.sinks.batches import DAY, make_batches, make_certificate, make_load, recording_row
from tests.sinks.warehouse import Warehouse, counts, write_all

REPLACE = {"write_mode": "replace_window"}
ATOMIC = {**REPLACE, "publish": "atomic"}


def submitted(day: int, **settings: Any) -> Load:
    """Return the load of an export of the first day, asked for on that ``day``."""
    load = make_load(f"export-{day}", load_id=f"load-{day}", submitted_at=DAY + timedelta(days=day))
    return replace(load, **settings)


def batches(
    load: Load, numbers: range, *, size: int = 4, hour: int = 0, duration: int | None = None
) -> Iterator[Batch]:
    def row(number: int) -> tuple[Any, ...]:
        changed = {} if duration is None else {"durationMs": duration}
        return recording_row(number, timestamp=DAY + timedelta(hours=hour, seconds=number), **changed)

    return make_batches(load, numbers, size=size, row=row)


def run(warehouse: Warehouse, load: Load, numbers: range, **options: Any) -> Certificate:
    of_batches = {name: options.pop(name) for name in ("hour", "duration") if name in options}
    return warehouse.load(load, batches(load, numbers, **of_batches), **options)


def opened(warehouse: Warehouse, load: Load, numbers: range, **options: Any) -> tuple[PostgresSink, Any]:
    """Return a sink that has written all of a load, and how it ended, not finished."""
    sink = warehouse.sink(**options)
    sink.open(load, restart=False)
    return sink, write_all(sink, batches(load, numbers))


def held(warehouse: Warehouse) -> dict[int, str]:
    """Return the exports of the rows, both by number."""
    return {
        int(row["recording_id"][-4:]): row["_genesys_export_id"].removeprefix("export-") for row in warehouse.rows()
    }


@pytest.mark.parametrize("options", [REPLACE, ATOMIC], ids=["batches", "atomic"])
def test_rows_that_the_newer_export_does_not_hold_are_removed(warehouse: Warehouse, options: dict[str, Any]) -> None:
    run(warehouse, submitted(1), range(10))
    certificate = run(warehouse, submitted(2), range(3, 12), **options)
    assert certificate.counts == counts(9)
    assert certificate.parts == [
        {"key": "public.recordings", "rows": 9, "taken_over": 0, "removed": 3},
    ]
    assert held(warehouse) == dict.fromkeys(range(3, 12), "2")


@pytest.mark.parametrize("options", [REPLACE, ATOMIC], ids=["batches", "atomic"])
def test_what_lies_outside_of_the_window_stays(warehouse: Warehouse, options: dict[str, Any]) -> None:
    for number, hour in enumerate((-1, 0, 23, 24)):
        run(warehouse, submitted(1, load_id=f"at {hour}"), range(number, number + 1), hour=hour)
    run(warehouse, submitted(2), range(10, 12), **options)
    # Row 0 lies an hour before the window; row 3 at its end and three seconds.
    assert held(warehouse) == {0: "1", 3: "1", 10: "2", 11: "2"}


def test_until_the_load_is_complete_nothing_is_removed(warehouse: Warehouse) -> None:
    run(warehouse, submitted(1), range(10))
    sink, last = opened(warehouse, submitted(2), range(5), **REPLACE)
    assert len(held(warehouse)) == 10
    sink.finish(make_certificate(submitted(2), last))
    assert held(warehouse) == dict.fromkeys(range(5), "2")


def test_a_load_that_stopped_removes_when_it_goes_on_and_ends(warehouse: Warehouse) -> None:
    run(warehouse, submitted(1), range(10))
    load = submitted(2)
    first = warehouse.sink(**REPLACE)
    first.open(load, restart=False)
    first.write(next(batches(load, range(8))))
    first.abort()
    second = warehouse.sink(**REPLACE)
    second.open(load, restart=False)
    last = write_all(second, list(batches(load, range(8)))[1:])
    assert second.finish(make_certificate(load, last)).parts[0]["removed"] == 2
    assert held(warehouse) == dict.fromkeys(range(8), "2")


def test_what_a_cleared_load_does_not_bring_again_is_removed(warehouse: Warehouse) -> None:
    load = submitted(1)
    run(warehouse, load, range(10), **REPLACE)
    certificate = run(warehouse, load, range(2, 10), restart=True, **REPLACE)
    assert (certificate.counts, certificate.parts[0]["removed"]) == (counts(8), 2)
    assert held(warehouse) == dict.fromkeys(range(2, 10), "1")


def test_rows_without_lineage_are_removed(warehouse: Warehouse) -> None:
    run(warehouse, submitted(1), range(3))
    for column in ("_genesys_export_id", "_genesys_submitted_at", "_source_shard", "_source_offset", "_loaded_at"):
        warehouse.execute(f"ALTER TABLE recordings ALTER {column} DROP NOT NULL")
        warehouse.execute(f"UPDATE recordings SET {column} = NULL")
    run(warehouse, submitted(2), range(5, 8), **REPLACE)
    assert held(warehouse) == dict.fromkeys(range(5, 8), "2")


@pytest.mark.parametrize(
    ("options", "order"),
    [
        # Without --long each way to load meets every other order.
        pytest.param(options, order, marks=[pytest.mark.long] if (way + place) % 2 else [])
        for way, options in enumerate(({}, REPLACE, ATOMIC))
        for place, order in enumerate(itertools.permutations([1, 2, 3]))
    ],
)
def test_in_whatever_order_loads_come_the_newest_replacement_holds(
    warehouse: Warehouse, order: tuple[int, ...], options: dict[str, Any]
) -> None:
    """The second replaces; the first and the third do as the options say."""
    numbers = {1: range(10), 2: range(5, 15), 3: range(12, 18)}
    for day in order:
        certificate = run(warehouse, submitted(day), numbers[day], **(REPLACE if day == 2 else options))
        certificate.counts.check("the end")
    newest = dict.fromkeys(range(12, 18), "3")
    assert held(warehouse) == (newest if options else {**dict.fromkeys(range(5, 12), "2"), **newest})


@pytest.mark.parametrize("publish", ["batches", "atomic"])
def test_a_late_export_counts_what_was_replaced_as_duplicates(warehouse: Warehouse, publish: str) -> None:
    run(warehouse, submitted(2), range(5), **REPLACE)
    late = submitted(1)
    rows = [*batches(late, range(8), size=8), *batches(late, range(8, 12), size=4, hour=30)]
    assert warehouse.load(late, rows, publish=publish).counts == counts(12, duplicates=8)
    assert held(warehouse) == {**dict.fromkeys(range(5), "2"), **dict.fromkeys(range(8, 12), "1")}


def test_a_load_whose_rows_are_removed_before_it_ends_is_told_so(warehouse: Warehouse) -> None:
    older = submitted(1)
    sink, last = opened(warehouse, older, range(10))
    run(warehouse, submitted(2), range(6), **REPLACE)
    (part,) = sink.finish(make_certificate(older, last)).parts
    assert (part["rows"], part["taken_over"]) == (0, 10)


def test_a_batch_that_comes_after_the_removal_is_kept_out(warehouse: Warehouse) -> None:
    older = submitted(1)
    sink = warehouse.sink()
    sink.open(older, restart=False)
    first, second = batches(older, range(10), size=5)
    sink.write(first)
    run(warehouse, submitted(2), range(20, 25), **REPLACE)
    assert sink.write(second).counts == counts(10, duplicates=5)
    assert set(held(warehouse).values()) == {"2"}


def test_a_batch_on_its_way_is_waited_for(warehouse: Warehouse) -> None:
    older = submitted(1)
    on_its_way, go_on = threading.Event(), threading.Event()

    def hold(plain: bytes, _: bytes) -> bytes:
        """Stand in the middle of the batch's transaction, where its dead letter is encrypted."""
        on_its_way.set()
        go_on.wait(10)
        return plain

    sink = warehouse.sink(dead_letter_raw="encrypt", encrypt=hold)
    sink.open(older, restart=False)
    newer, last = opened(warehouse, submitted(2), range(20, 25), **REPLACE)
    writing = threading.Thread(target=lambda: sink.write(next(make_batches(older, 5, dead=[4]))))
    finishing = threading.Thread(target=lambda: newer.finish(make_certificate(submitted(2), last)))
    writing.start()
    assert on_its_way.wait(10)
    finishing.start()
    waiting = "SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    while warehouse.execute(waiting) == [{"n": 0}]:
        assert finishing.is_alive()
    go_on.set()
    writing.join()
    finishing.join()
    assert set(held(warehouse).values()) == {"2"}


def test_shards_of_one_export_do_not_remove_each_other(warehouse: Warehouse) -> None:
    for shard in (0, 1):
        run(warehouse, submitted(1, shard=shard), range(shard * 10, shard * 10 + 5), **REPLACE)
    assert sorted(held(warehouse)) == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]


def test_a_row_that_others_refer_to_is_not_removed_and_the_load_not_complete(warehouse: Warehouse) -> None:
    run(warehouse, submitted(1), range(10))
    warehouse.execute("CREATE TABLE notes (recording_id text REFERENCES recordings)")
    warehouse.execute("INSERT INTO notes VALUES ('recording-0000001')")
    sink, last = opened(warehouse, submitted(2), range(5, 8), **REPLACE)
    with pytest.raises(SinkRefusedError, match="foreign-key-violation of notes_recording_id_fkey"):
        sink.finish(make_certificate(submitted(2), last))
    assert sorted(held(warehouse)) == list(range(10))
    warehouse.execute("DELETE FROM notes")
    again = warehouse.sink(**REPLACE)
    assert again.open(submitted(2), restart=False) is not None
    again.finish(make_certificate(submitted(2), last))
    assert sorted(held(warehouse)) == [5, 6, 7]


def test_an_empty_export_empties_its_window(warehouse: Warehouse) -> None:
    run(warehouse, submitted(1), range(10))
    load = submitted(2)
    sink = warehouse.sink(**REPLACE)
    sink.open(load, restart=False)
    last = replace(next(batches(load, range(1))).checkpoint, digest=0)
    assert sink.finish(make_certificate(load, last)).parts[0]["removed"] == 10
    assert warehouse.rows() == []


def test_rows_to_which_other_tables_refer_are_named_by_their_constraint(warehouse: Warehouse) -> None:
    load = make_load()
    warehouse.load(load, make_batches(load, 10))
    warehouse.execute("CREATE TABLE notes (recording text REFERENCES recordings)")
    warehouse.execute("INSERT INTO notes SELECT max(recording_id) FROM recordings")
    later = make_load("export-2", submitted_at=DAY + timedelta(days=3))
    with pytest.raises(SinkRefusedError, match=r"notes_recording_fkey.*Delete those references first"):
        warehouse.load(later, make_batches(later, 5), write_mode="replace_window")
    assert len(warehouse.rows()) == 10
