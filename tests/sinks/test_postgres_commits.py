"""Several batches in one commit: when it comes, and what becomes of it where something is in its way."""

from __future__ import annotations

import psycopg
import pytest

from airflow_provider_genesys.exceptions import SinkRefusedError
from airflow_provider_genesys.sinks.postgres import gathered
from tests.sinks.batches import LENGTH, make_batches, make_certificate, make_load
from tests.sinks.warehouse import Warehouse, counts, write_all

REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE 'no right to this' USING ERRCODE = 'insufficient_privilege'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON recordings
    FOR EACH ROW WHEN (NEW._source_offset >= {offset}) EXECUTE FUNCTION refuse();
"""


def commits(warehouse: Warehouse) -> int:
    return len({row["_loaded_at"] for row in warehouse.rows()})


def test_a_commit_comes_after_so_many_records_and_at_the_end(warehouse: Warehouse) -> None:
    sink, load = warehouse.sink(commit_rows=10), make_load()
    sink.open(load, restart=False)
    answers = [sink.write(batch) for batch in make_batches(load, range(28), size=4)]
    assert [answer and answer.position.record_offset // LENGTH for answer in answers] == [
        None,
        None,
        12,
        None,
        None,
        24,
        None,
    ]
    assert len(warehouse.rows()) == 24
    last = sink.flush()
    assert last is not None
    assert sink.flush() is None
    assert sink.finish(make_certificate(load, last)).counts == counts(28)
    assert commits(warehouse) == 3


@pytest.mark.parametrize(("bound", "value"), [("COMMIT_BYTES", LENGTH), ("COMMIT_SECONDS", 0.0)])
def test_a_commit_comes_earlier_for_many_bytes_and_after_a_while(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, bound: str, value: float
) -> None:
    monkeypatch.setattr(gathered, bound, value)
    sink, load = warehouse.sink(commit_rows=1000), make_load()
    sink.open(load, restart=False)
    assert all(sink.write(batch) for batch in make_batches(load, range(12), size=4))


def test_what_is_gathered_is_lost_with_the_attempt_and_read_again(warehouse: Warehouse) -> None:
    sink, load = warehouse.sink(commit_rows=8), make_load()
    sink.open(load, restart=False)
    for batch in make_batches(load, range(12), size=4):
        sink.write(batch)
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
    answers = [sink.write(batch) for batch in make_batches(load, range(24), size=4)]
    last = answers[-1]
    assert last is not None
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
    assert answers[-1] is not None
    assert answers[-1].position.record_offset == 4 * LENGTH
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
    with psycopg.connect(warehouse.dsn, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid()"
        )
    last = sink.write(batches[5])
    assert last is not None
    assert sink.finish(make_certificate(load, last)).counts == counts(24)
