"""``publish="atomic"``: readers see nothing of a load, and then all of it; whatever crashes, once."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from airflow_provider_genesys.exceptions import AccountError, ConfigurationError, FencedError, SinkRefusedError
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.sinks.postgres.sink import PostgresSink
from airflow_provider_genesys.testing.services import PostgresServer
from tests.sinks.batches import DAY, make_batch, make_batches, make_certificate, make_load, recording_row
from tests.sinks.severed import Cut, severed
from tests.sinks.warehouse import Warehouse, counts, write_all

ATOMIC = {"publish": "atomic"}
LATER = DAY + timedelta(days=2)


def staging(warehouse: Warehouse) -> list[str]:
    found = warehouse.execute("SELECT tablename FROM pg_tables WHERE tablename LIKE 'genesys_staging_%%'")
    return [row["tablename"] for row in found]


def opened(warehouse: Warehouse, load: Load, records: int = 10, **options: Any) -> tuple[PostgresSink, Any]:
    """Return a sink that has written all of a load, and how it ended, not finished."""
    sink = warehouse.sink(**{**ATOMIC, **options})
    sink.open(load, restart=False)
    return sink, write_all(sink, make_batches(load, records, size=4))


def test_readers_see_nothing_and_then_all(warehouse: Warehouse) -> None:
    load = make_load()
    sink, last = opened(warehouse, load)
    assert warehouse.rows() == []
    assert len(staging(warehouse)) == 1
    certificate = sink.finish(make_certificate(load, last))
    assert certificate.counts == counts(10)
    assert certificate.parts == [{"key": "public.recordings", "rows": 10, "taken_over": 0}]
    assert len({row["_loaded_at"] for row in warehouse.rows()}) == 1
    assert staging(warehouse) == []


def test_a_reader_that_is_reading_keeps_what_it_saw(warehouse: Warehouse) -> None:
    old, new = make_load("old"), make_load("new", load_id="load-2", submitted_at=LATER)
    warehouse.load(old, make_batches(old, 10))
    with warehouse.connect() as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM recordings")
        warehouse.load(new, make_batches(new, range(5, 8)), write_mode="replace_window", **ATOMIC)
        (seen,) = reader.execute("SELECT count(*), count(DISTINCT _genesys_export_id) FROM recordings").fetchall()
    assert seen == (10, 1)
    assert {row["_genesys_export_id"] for row in warehouse.rows()} == {"new"}


def test_the_account_is_made_when_the_load_is_published(warehouse: Warehouse) -> None:
    old, new = make_load("old"), make_load("new", load_id="load-2", submitted_at=LATER)
    # Both are loaded beside the table; the older is published after the newer.
    sink, _ = opened(warehouse, old)
    last = sink.write(make_batch(old, range(10, 15), dead=[11], row=lambda number: recording_row(number % 13)))
    assert last.counts == counts(15, dead_letters=1, duplicates=2)
    warehouse.load(new, make_batches(new, 4), **ATOMIC)
    certificate = sink.finish(make_certificate(old, last))
    assert certificate.counts == counts(15, dead_letters=1, duplicates=6)
    assert [row["_genesys_export_id"] for row in warehouse.rows()] == ["new"] * 4 + ["old"] * 8


def test_duplicates_within_the_load_are_told_beside_the_table(warehouse: Warehouse) -> None:
    load = make_load()
    batches = make_batches(load, 10, size=3, row=lambda number: recording_row(number % 4, durationMs=number))
    assert warehouse.load(load, batches, **ATOMIC).counts == counts(10, duplicates=6)
    assert [row["duration_ms"] for row in warehouse.rows()] == [8, 9, 6, 7]


def test_a_partitioned_table_is_published_into(warehouse: Warehouse) -> None:
    load = make_load()
    assert warehouse.load(load, make_batches(load, 10), partition_by="day", **ATOMIC).counts == counts(10)
    assert warehouse.execute("SELECT count(*) AS n FROM recordings_20261101") == [{"n": 10}]


def test_a_load_that_stops_goes_on_beside_the_table(warehouse: Warehouse) -> None:
    load = make_load()
    first = warehouse.sink(**ATOMIC)
    first.open(load, restart=False)
    first.write(make_batch(load, range(4), dead=[1]))
    first.abort()
    second = warehouse.sink(**ATOMIC)
    start = second.open(load, restart=False)
    assert start is not None
    assert start.counts == counts(4, dead_letters=1)
    last = second.write(make_batch(load, range(4, 10)))
    certificate = second.finish(make_certificate(load, last))
    assert (certificate.counts, certificate.attempts) == (counts(10, dead_letters=1), 2)
    assert len(warehouse.rows()) == 9


@pytest.mark.parametrize("publish", ["atomic", "batches"])
def test_the_leftovers_of_a_dead_load_go_when_it_begins_anew(warehouse: Warehouse, publish: str) -> None:
    load = make_load()
    dead, _ = opened(warehouse, load, 10)
    dead.abort()
    # Another export, or another way to publish: nothing of it can be continued.
    again = replace(load, export_id="export-2") if publish == "atomic" else load
    sink = warehouse.sink(publish=publish)
    assert sink.open(again, restart=False) is None
    last = sink.write(make_batch(again, range(3)))
    assert sink.finish(make_certificate(again, last)).counts == counts(3)
    assert (len(warehouse.rows()), staging(warehouse)) == (3, [])


def test_a_load_that_began_in_batches_begins_anew_beside_the_table(warehouse: Warehouse) -> None:
    load = make_load()
    sink = warehouse.sink()
    sink.open(load, restart=False)
    sink.write(make_batch(load, range(3)))
    sink.abort()
    assert warehouse.sink(**ATOMIC).open(load, restart=False) is None


def test_where_somebody_has_dropped_the_staging_table_the_load_begins_anew(warehouse: Warehouse) -> None:
    load = make_load()
    dead, _ = opened(warehouse, load)
    dead.abort()
    (name,) = staging(warehouse)
    warehouse.execute(f"DROP TABLE {name}")
    assert warehouse.sink(**ATOMIC).open(load, restart=False) is None


def test_rows_that_vanish_from_beside_the_table_fail_the_load(warehouse: Warehouse) -> None:
    load = make_load()
    sink, last = opened(warehouse, load)
    (name,) = staging(warehouse)
    warehouse.execute(f"DELETE FROM {name} WHERE duration_ms = 7")
    with pytest.raises(AccountError, match=r"10 rows were loaded.*it holds 9"):
        sink.finish(make_certificate(load, last))
    assert warehouse.rows() == []


def test_an_older_attempt_neither_writes_nor_publishes(warehouse: Warehouse) -> None:
    load = make_load()
    old, last = opened(warehouse, load)
    new = warehouse.sink(**ATOMIC)
    new.open(load, restart=True)
    with pytest.raises(FencedError):
        old.write(make_batch(load, range(10, 12)))
    with pytest.raises(FencedError):
        old.finish(make_certificate(load, last))
    last = new.write(make_batch(load, range(5)))
    assert new.finish(make_certificate(load, last)).counts == counts(5)
    with pytest.raises(FencedError):
        old.finish(make_certificate(load, last))
    assert len(warehouse.rows()) == 5


@pytest.mark.parametrize("cut", ["before", "after"])
@pytest.mark.parametrize("write_mode", ["upsert", "replace_window"])
def test_a_publication_without_an_answer_is_looked_up(
    postgres: PostgresServer, warehouse: Warehouse, cut: Cut, write_mode: str
) -> None:
    old = make_load("old", load_id="load-0", submitted_at=DAY)
    warehouse.load(old, make_batches(old, 20))
    load = make_load()
    with severed(postgres.host, postgres.port) as proxy:

        def connect() -> psycopg.Connection[Any]:
            return psycopg.connect(warehouse.dsn, host="127.0.0.1", port=proxy.port)

        sink, last = opened(warehouse, load, connect=connect, write_mode=write_mode)
        proxy.cut = cut
        certificate = sink.finish(make_certificate(load, last))
    assert proxy.cuts == 1
    assert certificate.counts == counts(10)
    if write_mode == "replace_window":
        assert certificate.parts[0]["removed"] == 10
    (kept,) = warehouse.execute("SELECT certificate FROM genesys_ledger WHERE load_id = 'load-1'")
    assert kept["certificate"]["parts"] == certificate.parts
    assert (len(warehouse.rows()), staging(warehouse)) == (10 if write_mode == "replace_window" else 20, [])


@pytest.mark.parametrize(
    "constraint", ["CHECK (duration_ms <> 21)", "EXCLUDE USING btree (duration_ms WITH =) WHERE (duration_ms = -1)"]
)
def test_what_a_row_breaks_by_itself_rejects_it_as_it_lands(warehouse: Warehouse, constraint: str) -> None:
    load = make_load()
    warehouse.sink().open(make_load(load_id="first"), restart=False)
    warehouse.execute(f"ALTER TABLE recordings ADD {constraint}, ALTER queue_name TYPE varchar(5) USING NULL")
    names = {3: {"queueName": None}, 4: {"queueName": "much too long"}}
    batches = make_batches(
        load, 6, row=lambda number: recording_row(number, **{"queueName": "short", **names.get(number, {})})
    )
    broken = 2 if constraint.startswith("CHECK") else 1
    certificate = warehouse.load(load, batches, **ATOMIC)
    assert certificate.counts == counts(6, dead_letters=broken)
    assert len(warehouse.rows()) == 6 - broken


def test_what_the_target_alone_can_tell_fails_the_publication_and_nothing_is_visible(warehouse: Warehouse) -> None:
    load = make_load()
    warehouse.sink().open(make_load(load_id="first"), restart=False)
    warehouse.execute("CREATE TABLE queues (id text PRIMARY KEY)")
    warehouse.execute("INSERT INTO queues SELECT 'queue-' || n FROM generate_series(0, 3) AS n")
    warehouse.execute(
        "ALTER TABLE recordings ADD CONSTRAINT known_queue FOREIGN KEY (queue_id) REFERENCES queues"
        " DEFERRABLE INITIALLY DEFERRED"
    )
    sink, last = opened(warehouse, load)
    with pytest.raises(
        SinkRefusedError, match=r"foreign-key-violation of known_queue.*Nothing of it is visible"
    ) as told:
        sink.finish(make_certificate(load, last))
    assert staging(warehouse)[0] in str(told.value)
    assert "queue-4" not in str(told.value)
    assert warehouse.rows() == []
    # Mended, the load is published without being loaded again.
    warehouse.execute("INSERT INTO queues VALUES ('queue-4')")
    again = warehouse.sink(**ATOMIC)
    assert again.open(load, restart=False) == replace(last, fence=1)
    assert again.finish(make_certificate(load, last)).counts == counts(10)


def test_columns_that_fill_themselves_fill_themselves(warehouse: Warehouse) -> None:
    warehouse.sink().open(make_load(load_id="first"), restart=False)
    warehouse.execute(
        "ALTER TABLE recordings ADD number bigint GENERATED ALWAYS AS IDENTITY,"
        " ADD seconds numeric NOT NULL GENERATED ALWAYS AS (duration_ms / 1000.0) STORED,"
        " ADD note text NOT NULL DEFAULT 'none'"
    )
    load = make_load()
    assert warehouse.load(load, make_batches(load, 10), **ATOMIC).counts == counts(10)
    assert {row["note"] for row in warehouse.rows()} == {"none"}


def test_loads_of_several_targets_and_windows_have_a_table_each(warehouse: Warehouse) -> None:
    loads = [make_load(load_id="a"), make_load(load_id="b")]
    for load in loads:
        warehouse.sink(**ATOMIC).open(load, restart=False)
    PostgresSink(warehouse.connect, "others", dead_letter_raw="keep", publish="atomic").open(loads[0], restart=False)
    assert len(staging(warehouse)) == 3


def test_loads_that_are_published_at_once_both_close_their_accounts(warehouse: Warehouse) -> None:
    loads = [make_load(f"export-{n}", load_id=f"load-{n}", submitted_at=DAY + timedelta(days=n)) for n in range(3)]
    ended = [opened(warehouse, load, 300) for load in loads]
    certificates: list[Any] = []

    def finish(place: int) -> None:
        sink, last = ended[place]
        certificates.append(sink.finish(make_certificate(loads[place], last)))

    threads = [threading.Thread(target=finish, args=[place]) for place in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(certificates) == 3
    assert {row["_genesys_export_id"] for row in warehouse.rows()} == {"export-2"}


@pytest.mark.parametrize("wrong", [{"publish": "at once"}, {"write_mode": "replace"}])
def test_options_that_do_not_exist_are_refused_at_once(warehouse: Warehouse, wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="is one of"):
        warehouse.sink(**wrong)


def test_a_column_that_became_narrower_since_the_rows_were_staged_ends_the_load(warehouse: Warehouse) -> None:
    load = make_load()
    dead, _ = opened(warehouse, load)
    dead.abort()
    warehouse.execute("ALTER TABLE recordings ALTER direction TYPE varchar(3)")
    sink = warehouse.sink(**ATOMIC)
    last = sink.open(load, restart=False)
    assert last is not None
    with pytest.raises(SinkRefusedError, match=r"have got other types since: column direction of type .*varying"):
        sink.finish(make_certificate(load, last))
    assert warehouse.rows() == []
