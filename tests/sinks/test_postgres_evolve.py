"""The contract evolves while a load runs: the table takes the new columns, and readers go on."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from airflow_provider_genesys.contracts.contract import RECORDINGS, Column, Contract
from airflow_provider_genesys.exceptions import FencedError, SinkRefusedError, SinkUnavailableError
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.sinks.postgres.tables.evolve import evolution_sql
from tests.sinks.batches import make_batch, make_certificate, make_load, recording_row
from tests.sinks.warehouse import Warehouse, counts

EVOLVED = RECORDINGS.evolved([Column("wrapUp", "wrapUp", "string"), Column("score", "score", "decimal")])
NULLABLE = RECORDINGS.evolved([Column("durationMs", "durationMs", "integer")])
SQL = (
    'ALTER TABLE "public"."recordings" ADD COLUMN IF NOT EXISTS "wrap_up" text,'
    ' ADD COLUMN IF NOT EXISTS "score" numeric'
)


def evolved(load: Load, numbers: range, contract: Contract = EVOLVED) -> Batch:
    batch = make_batch(load, numbers, row=lambda number: (*recording_row(number), f"code-{number}", number))
    return replace(batch, contract=contract)


def wrap_ups(warehouse: Warehouse) -> list[str | None]:
    return [row["wrap_up"] for row in warehouse.rows()]


@pytest.mark.parametrize("publish", ["batches", "atomic"])
def test_new_columns_are_added_and_filled_from_then_on(warehouse: Warehouse, publish: str) -> None:
    load, sink = make_load(), warehouse.sink(publish=publish)
    sink.open(load, restart=False)
    sink.write(make_batch(load, range(2)))
    last = sink.write(evolved(load, range(2, 4)))
    assert sink.finish(make_certificate(load, last)).counts == counts(4)
    assert wrap_ups(warehouse) == [None, None, "code-2", "code-3"]


def test_a_column_that_may_be_missing_from_now_on_may_be_null(warehouse: Warehouse) -> None:
    load, sink = make_load(), warehouse.sink()
    sink.open(load, restart=False)
    batch = make_batch(load, range(2), row=lambda number: recording_row(number, durationMs=None))
    last = sink.write(replace(batch, contract=NULLABLE))
    assert sink.finish(make_certificate(load, last)).counts == counts(2)


def test_the_next_attempt_finds_the_columns(warehouse: Warehouse) -> None:
    load, sink = make_load(), warehouse.sink()
    sink.open(load, restart=False)
    sink.write(evolved(load, range(2)))
    sink.abort()
    again = warehouse.sink(create_table=False)
    again.open(load, restart=False)
    last = again.write(evolved(load, range(2, 4)))
    assert again.finish(make_certificate(load, last)).counts == counts(4)
    assert wrap_ups(warehouse) == ["code-0", "code-1", "code-2", "code-3"]


def test_beside_the_table_each_attempt_of_a_load_that_evolves_begins_anew(warehouse: Warehouse) -> None:
    load = make_load(contract=RECORDINGS.with_modes({"unknown": "evolve"}))
    sink = warehouse.sink(publish="atomic")
    sink.open(load, restart=False)
    sink.write(evolved(load, range(2)))
    sink.abort()
    again = warehouse.sink(publish="atomic")
    assert again.open(load, restart=False) is None
    last = again.write(evolved(load, range(4)))
    assert again.finish(make_certificate(load, last)).counts == counts(4)
    assert wrap_ups(warehouse) == ["code-0", "code-1", "code-2", "code-3"]


def test_a_row_that_is_refused_is_rejected_with_its_new_columns(warehouse: Warehouse) -> None:
    load, sink = make_load(), warehouse.sink()
    sink.open(load, restart=False)
    batch = evolved(load, range(3))
    poisoned = [*batch.rows[:2], (*batch.rows[2][:-2], "a\0b", 2)]
    assert sink.write(replace(batch, rows=poisoned)).counts == counts(3, dead_letters=1)
    assert '"wrapUp":"a\\u0000b"' in warehouse.dead_letters()[0]["raw"]


def test_partitions_take_the_new_columns_too(warehouse: Warehouse) -> None:
    load, sink = make_load(), warehouse.sink(partition_by="day")
    sink.open(load, restart=False)
    last = sink.write(evolved(load, range(3)))
    assert sink.finish(make_certificate(load, last)).counts == counts(3)


def test_who_may_not_alter_the_table_gets_the_sql(warehouse: Warehouse) -> None:
    load = make_load()
    warehouse.sink().open(load, restart=False)
    role = f"filler_{warehouse.dsn.rpartition('/')[2]}"
    warehouse.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'filler'")
    warehouse.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    filler = f"postgresql://{role}:filler@{warehouse.dsn.rpartition('@')[2]}"
    sink = warehouse.sink(connect=lambda: psycopg.connect(filler))
    sink.open(load, restart=False)
    with pytest.raises(SinkRefusedError, match="the role does not own it") as caught:
        sink.write(evolved(load, range(3)))
    text = str(caught.value)
    assert SQL in text
    warehouse.execute(text[text.index("ALTER TABLE") : text.index("; then clear")])
    assert sink.write(evolved(load, range(3))).counts == counts(3)


def test_where_nothing_is_to_be_created_nothing_is_altered(warehouse: Warehouse) -> None:
    load = make_load()
    warehouse.sink().open(load, restart=False)
    sink = warehouse.sink(create_table=False)
    sink.open(load, restart=False)
    with pytest.raises(SinkRefusedError, match="create_table is off"):
        sink.write(evolved(load, range(3)))
    assert warehouse.rows() == []


def test_the_sql_can_be_had_without_a_database() -> None:
    assert evolution_sql("public", "recordings", RECORDINGS, EVOLVED) == f"{SQL};"
    assert evolution_sql("public", "recordings", RECORDINGS, NULLABLE).endswith(
        'ALTER COLUMN "duration_ms" DROP NOT NULL;'
    )
    assert evolution_sql("public", "recordings", EVOLVED, EVOLVED) == ""


def test_a_reader_that_reads_long_is_waited_for_and_others_go_on_meanwhile(warehouse: Warehouse) -> None:
    load, sink = make_load(), warehouse.sink(retries=5, retry_wait=0.1)
    sink.open(load, restart=False)
    sink.write(make_batch(load, range(2)))
    reader = warehouse.connect()
    reader.execute("SELECT count(*) FROM recordings")
    results: list[Any] = []
    writing = threading.Thread(target=lambda: results.append(sink.write(evolved(load, range(2, 4)))))
    writing.start()
    waiting = "SELECT count(*) AS n FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted"
    while warehouse.execute(waiting) == [{"n": 0}]:
        assert writing.is_alive()
    assert len(warehouse.rows()) == 2  # after a second at most, when the one who waits gives up
    assert writing.is_alive()
    reader.rollback()
    writing.join()
    assert results[0].counts == counts(4)


def test_a_reader_that_never_ends_fails_the_try_and_the_next_one_goes_on(warehouse: Warehouse) -> None:
    load, sink = make_load(), warehouse.sink(retries=0)
    sink.open(load, restart=False)
    sink.write(make_batch(load, range(2)))
    with warehouse.connect() as reader:
        reader.execute("SELECT count(*) FROM recordings")
        with pytest.raises(SinkUnavailableError, match="55P03"):
            sink.write(evolved(load, range(2, 4)))
    assert sink.write(evolved(load, range(2, 4))).counts == counts(4)


def test_an_older_attempt_does_not_alter_the_table(warehouse: Warehouse) -> None:
    load = make_load()
    old, new = warehouse.sink(), warehouse.sink()
    old.open(load, restart=False)
    new.open(load, restart=False)
    with pytest.raises(FencedError):
        old.write(evolved(load, range(2)))
    assert "wrap_up" not in str(warehouse.execute("SELECT attname FROM pg_attribute"))


def test_readers_and_a_load_that_evolves_again_and_again_live_together(warehouse: Warehouse) -> None:
    load, sink = make_load(), warehouse.sink(retries=9, retry_wait=0.01)
    sink.open(load, restart=False)
    failures: list[Exception] = []
    done = threading.Event()

    def read() -> None:
        with psycopg.connect(warehouse.dsn, autocommit=True) as connection:
            while not done.is_set():
                try:
                    connection.execute("SELECT count(*) FROM recordings")
                except psycopg.Error as error:
                    failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    contract = RECORDINGS
    for step in range(10):
        contract = contract.evolved([Column(f"extra{step}", f"extra{step}", "string")])
        batch = make_batch(
            load, range(step * 5, step * 5 + 5), row=lambda n, step=step: (*recording_row(n), *["x"] * (step + 1))
        )
        last = sink.write(replace(batch, contract=contract))
    done.set()
    for reader in readers:
        reader.join()
    assert failures == []
    assert last.counts == counts(50)
