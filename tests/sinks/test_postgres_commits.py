"""Several batches in one commit: when it comes, and what becomes of it where something is in its way."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest

from airflow_provider_genesys.contracts.column import Column
from airflow_provider_genesys.exceptions import SinkRefusedError
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.pipeline.load import Batch
from airflow_provider_genesys.sinks.postgres import gathered
from airflow_provider_genesys.sinks.postgres.sink import PostgresSink
from tests.sinks.batches import LENGTH, make_batches, make_certificate, make_load
from tests.sinks.warehouse import Warehouse, counts, write_all

REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM FROM nowhere; RETURN NEW; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON recordings
    FOR EACH ROW WHEN (NEW._source_offset >= {offset}) EXECUTE FUNCTION refuse();
"""
HOLD_UP = (
    """CREATE FUNCTION hold_up() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END $$""",
    "CREATE TRIGGER hold_up AFTER INSERT ON recordings FOR EACH STATEMENT EXECUTE FUNCTION hold_up()",
)
NOTE_TIME = (
    "CREATE TABLE times (time timestamptz)",
    """CREATE FUNCTION note_time() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO times VALUES (now()); RETURN NULL; END $$""",
    "CREATE TRIGGER note_time AFTER INSERT ON recordings FOR EACH STATEMENT EXECUTE FUNCTION note_time()",
)


def commits(warehouse: Warehouse) -> int:
    return len({row["_loaded_at"] for row in warehouse.rows()})


def committed(sink: PostgresSink, batches: Iterable[Batch]) -> list[Checkpoint]:
    """Write ``batches`` and the rest; return each checkpoint that the sink has reported."""
    answers = [sink.write(batch) for batch in batches]
    return [answer for answer in (*answers, *iter(sink.flush, None)) if answer]


def places(checkpoints: list[Checkpoint]) -> list[int]:
    return [checkpoint.position.record_offset // LENGTH for checkpoint in checkpoints]


def test_a_commit_comes_after_so_many_records_and_at_the_end(warehouse: Warehouse) -> None:
    sink, load = warehouse.sink(commit_rows=10), make_load()
    sink.open(load, restart=False)
    found = committed(sink, make_batches(load, range(28), size=4))
    assert places(found) == [12, 24, 28]
    assert sink.flush() is None
    assert sink.finish(make_certificate(load, found[-1])).counts == counts(28)
    assert commits(warehouse) == 3


@pytest.mark.parametrize(("bound", "value"), [("COMMIT_BYTES", LENGTH), ("COMMIT_SECONDS", 0.0)])
def test_a_commit_comes_earlier_for_many_bytes_and_after_a_while(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, bound: str, value: float
) -> None:
    monkeypatch.setattr(gathered, bound, value)
    sink, load = warehouse.sink(commit_rows=1000), make_load()
    sink.open(load, restart=False)
    assert places(committed(sink, make_batches(load, range(12), size=4))) == [4, 8, 12]


def test_what_is_gathered_is_lost_with_the_attempt_and_read_again(warehouse: Warehouse) -> None:
    sink, load = warehouse.sink(commit_rows=8), make_load()
    sink.open(load, restart=False)
    first, second, third = make_batches(load, range(12), size=4)
    for batch in (first, second):
        sink.write(batch)
    assert sink.flush() is not None
    sink.write(third)
    sink.abort()
    sink = warehouse.sink(commit_rows=8)
    start = sink.open(load, restart=False)
    assert start is not None
    assert start.position.record_offset == 8 * LENGTH
    last = write_all(sink, make_batches(load, range(8, 12), size=4))
    assert sink.finish(make_certificate(load, last)).counts == counts(12)


def test_a_refused_row_costs_its_own_batch_the_others_land(warehouse: Warehouse) -> None:
    warehouse.sink().open(make_load("earlier"), restart=False)
    warehouse.execute("ALTER TABLE recordings ADD CHECK (right(recording_id, 2) <> '05')")
    load = make_load()
    sink = warehouse.sink(commit_rows=12)
    sink.open(load, restart=False)
    last = committed(sink, make_batches(load, range(24), size=4))[-1]
    assert last.rules == {"check-violation": 1}
    assert sink.finish(make_certificate(load, last)).counts == counts(24, dead_letters=1)
    assert [row["source_offset"] for row in warehouse.dead_letters()] == [5 * LENGTH]
    assert commits(warehouse) == 4  # three batches one by one, then three as one


def test_an_error_that_is_not_of_a_row_names_its_batch_after_the_others_are_reported(warehouse: Warehouse) -> None:
    warehouse.sink().open(make_load("earlier"), restart=False)
    warehouse.execute(REFUSE.format(offset=5 * LENGTH))
    sink = warehouse.sink(commit_rows=12)
    sink.open(make_load(), restart=False)
    answers = [sink.write(batch) for batch in make_batches(make_load(), range(12), size=4)]
    found = [answer for answer in (*answers, sink.flush()) if answer]
    assert places(found) == [4]
    with pytest.raises(SinkRefusedError, match=f"bytes {4 * LENGTH} to {8 * LENGTH}"):
        sink.flush()
    assert len(warehouse.rows()) == 4


def test_a_lost_connection_costs_a_commit_not_the_load(warehouse: Warehouse) -> None:
    load = make_load()
    sink = warehouse.sink(commit_rows=12)
    sink.open(load, restart=False)
    batches = list(make_batches(load, range(24), size=4))
    for batch in batches[:5]:
        sink.write(batch)
    end_sessions(warehouse)
    last = committed(sink, batches[5:])[-1]
    assert sink.finish(make_certificate(load, last)).counts == counts(24)


def end_sessions(warehouse: Warehouse) -> None:
    warehouse.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid()"
    )


@contextmanager
def held_up(warehouse: Warehouse) -> Iterator[None]:
    """Let no commit with rows end before this does."""
    for statement in HOLD_UP:
        warehouse.execute(statement)
    with psycopg.connect(warehouse.dsn, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(1)")
        yield


def test_batches_are_taken_while_a_commit_is_under_way(warehouse: Warehouse) -> None:
    sink, load = warehouse.sink(commit_rows=8), make_load()
    batches = list(make_batches(load, range(16), size=4))
    sink.open(load, restart=False)
    with held_up(warehouse):
        assert [sink.write(batch) for batch in batches[:3]] == [None] * 3
        assert warehouse.rows() == []
    found = committed(sink, batches[3:])
    assert places(found) == [8, 16]
    assert sink.finish(make_certificate(load, found[-1])).counts == counts(16)


def test_rows_that_are_packed_before_their_transaction_have_its_time(warehouse: Warehouse) -> None:
    sink, load = warehouse.sink(commit_rows=8), make_load()
    batches = list(make_batches(load, range(24), size=4))
    sink.open(load, restart=False)
    for statement in NOTE_TIME:
        warehouse.execute(statement)
    assert places(committed(sink, batches)) == [8, 16, 24]
    times = [row["time"] for row in warehouse.execute("SELECT time FROM times")]
    assert sorted(row["_loaded_at"] for row in warehouse.rows()) == sorted(times * 8)
    assert len(set(times)) == 3


def test_a_commit_under_way_that_loses_its_connection_is_made_again(warehouse: Warehouse) -> None:
    sink, load = warehouse.sink(commit_rows=8), make_load()
    batches = list(make_batches(load, range(12), size=4))
    sink.open(load, restart=False)
    with held_up(warehouse):
        for batch in batches[:2]:
            sink.write(batch)
        end_sessions(warehouse)  # the holder's, too
    found = committed(sink, batches[2:])
    assert places(found) == [8, 12]
    assert sink.finish(make_certificate(load, found[-1])).counts == counts(12)


def test_a_commit_under_way_is_given_up_with_the_attempt(warehouse: Warehouse) -> None:
    sink, load = warehouse.sink(commit_rows=8), make_load()
    sink.open(load, restart=False)
    with held_up(warehouse):
        for batch in make_batches(load, range(8), size=4):
            sink.write(batch)
        sink.abort()
        assert not [thread for thread in threading.enumerate() if thread.name == "genesys-commit"]
    assert warehouse.sink().open(load, restart=False) is None
    assert warehouse.rows() == []


def test_batches_of_another_contract_wait_for_the_commit_under_way(warehouse: Warehouse) -> None:
    """Else its batches, where they fail, could come after batches with more columns."""
    sink, load = warehouse.sink(commit_rows=8), make_load()
    wider = load.contract.evolved([Column("colour", "colour", "string")])
    narrow, wide = list(make_batches(load, range(8), size=4)), next(iter(make_batches(load, range(8, 12), size=4)))
    sink.open(load, restart=False)
    for batch in narrow:
        sink.write(batch)
    sink.write(replace(wide, rows=[(*row, "red") for row in wide.rows], contract=wider))
    assert len(warehouse.rows()) == 8
    last = list(iter(sink.flush, None))[-1]
    assert last is not None
    assert sink.finish(make_certificate(load, last)).counts == counts(12)
    assert [row["colour"] for row in warehouse.rows()] == [None] * 8 + ["red"] * 4


def test_rows_are_read_soon_after_their_commit_so_that_counting_changes_no_page(warehouse: Warehouse) -> None:
    sink, load = warehouse.sink(commit_rows=400), make_load()
    sink.open(load, restart=False)
    committed(sink, make_batches(load, range(8_000), size=200))
    warehouse.execute("CHECKPOINT")
    [found] = warehouse.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT count(*) FROM recordings")
    plan = found["QUERY PLAN"][0]["Plan"]
    pages = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    assert plan["Shared Dirtied Blocks"] < pages / 10  # those of the last commit, which is a twentieth
