"""Lost connections, restarts, timeouts: a batch is in once or not at all, and the load goes on."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from airflow_provider_genesys.exceptions import SinkRefusedError, SinkUnavailableError
from airflow_provider_genesys.testing.services import PostgresServer
from tests.sinks.batches import LENGTH, make_batch, make_batches, make_certificate, make_load, recording_row
from tests.sinks.severed import Cut, severed
from tests.sinks.warehouse import Warehouse, counts
from tests.support.watching import until

LOCKED_OUT = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

_numbers = itertools.count()


@pytest.fixture(scope="module")
def mortal() -> Iterator[PostgresServer]:
    """A server that may be killed."""
    with PostgresServer(settings={"wal_writer_delay": "10s"}) as server:
        yield server


@pytest.fixture
def doomed(mortal: PostgresServer) -> Iterator[Warehouse]:
    """A database on that server."""
    mortal.restart()
    warehouse = Warehouse(mortal.create_database(f"doomed_{next(_numbers)}"))
    yield warehouse
    warehouse.close()


class Saboteur:
    """Stands where dead letters are encrypted, hence in the middle of a batch's transaction."""

    def __init__(self, warehouse: Warehouse, times: int) -> None:
        self.left = times
        self._warehouse = warehouse

    def __call__(self, plain: bytes, _: bytes) -> bytes:
        if self.left:
            self.left -= 1
            self._warehouse.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                " AND datname = current_database()"
            )
        return plain


@pytest.mark.outcome("PostgreSQL", "the connection is lost in a batch", "recovers")
def test_a_backend_killed_in_the_middle_of_a_batch_is_replaced(warehouse: Warehouse) -> None:
    load, saboteur = make_load(), Saboteur(warehouse, times=3)
    batches = make_batches(load, 40, size=10, dead=[25])
    certificate = warehouse.load(load, batches, dead_letter_raw="encrypt", encrypt=saboteur)
    assert saboteur.left == 0
    assert certificate.counts == counts(40, dead_letters=1)
    assert len(warehouse.connections) == 4
    assert len(warehouse.rows()) == 39


def test_when_retries_are_spent_the_error_tells_what_to_load_again(warehouse: Warehouse) -> None:
    load, saboteur = make_load(), Saboteur(warehouse, times=4)
    sink = warehouse.sink(dead_letter_raw="encrypt", encrypt=saboteur)
    sink.open(load, restart=False)
    sink.write(make_batch(load, range(10)))
    with pytest.raises(SinkUnavailableError) as caught:
        sink.write(make_batch(load, range(10, 20), dead=[15]))
    text = str(caught.value)
    for part in ("export-1", "public.recordings", f"bytes {10 * LENGTH} to {20 * LENGTH}", "10 records", "4 times"):
        assert part in text
    assert "recording-00000" not in text
    assert len(warehouse.rows()) == 10
    assert warehouse.dead_letters() == []
    # The sink is as good as before.
    assert sink.write(make_batch(load, range(10, 20), dead=[15])).counts == counts(20, dead_letters=1)


@pytest.mark.outcome("PostgreSQL", "the server crashes and restarts", "recovers")
def test_it_waits_for_a_server_that_restarts(doomed: Warehouse, mortal: PostgresServer) -> None:
    load = make_load()
    sink = doomed.sink(retry_wait=0.2)
    sink.open(load, restart=False)
    sink.write(make_batch(load, range(10)))
    mortal.kill()
    revival = threading.Timer(0.3, mortal.restart)
    revival.start()
    last = sink.write(make_batch(load, range(10, 20)))
    revival.join()
    assert sink.finish(make_certificate(load, last)).counts == counts(20)


@pytest.mark.outcome("PostgreSQL", "the server stays away", "SinkUnavailableError")
def test_a_server_that_stays_away_fails_the_batch_and_the_next_attempt_goes_on(
    doomed: Warehouse, mortal: PostgresServer
) -> None:
    load = make_load()
    sink = doomed.sink()
    sink.open(load, restart=False)
    checkpoint = sink.write(make_batch(load, range(10)))
    mortal.kill()
    with pytest.raises(SinkUnavailableError, match=f"bytes {10 * LENGTH} to {20 * LENGTH}"):
        sink.write(make_batch(load, range(10, 20)))
    with pytest.raises(SinkUnavailableError, match="export-1"):
        doomed.sink().open(load, restart=False)
    mortal.restart()
    assert doomed.sink().open(load, restart=False) == checkpoint


@pytest.mark.outcome("PostgreSQL", "the server has lost commits that it confirmed", "SinkUnavailableError")
@pytest.mark.parametrize("claim_survives", [True, False])
def test_a_server_that_forgets_what_it_confirmed_is_found_out(
    doomed: Warehouse, mortal: PostgresServer, *, claim_survives: bool
) -> None:
    load = make_load()
    forgetful = f"{doomed.dsn}?options=-c%20synchronous_commit%3Doff"
    sink = doomed.sink(connect=lambda: psycopg.connect(forgetful))
    doomed.sink().open(load, restart=False)
    sink.open(load, restart=False)
    if claim_survives:
        sink.write(make_batch(load, range(10)))
        doomed.execute("CHECKPOINT")
    sink.write(make_batch(load, range(10 * claim_survives, 20)))
    mortal.kill()
    mortal.restart()
    with pytest.raises(SinkUnavailableError, match=r"export-1.*has lost transactions into public\.recordings"):
        sink.write(make_batch(load, range(20, 30)))
    last = doomed.sink().open(load, restart=False)
    assert (last.counts if last else None) == (counts(10) if claim_survives else None)


@pytest.mark.outcome("PostgreSQL", "the connection is lost before or after COMMIT, and its answer with it", "recovers")
@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_commit_without_an_answer_is_looked_up(postgres: PostgresServer, warehouse: Warehouse, cut: Cut) -> None:
    load = make_load()
    with severed(postgres.host, postgres.port) as proxy:

        def connect() -> psycopg.Connection[Any]:
            connection = psycopg.connect(warehouse.dsn, host="127.0.0.1", port=proxy.port)
            warehouse.connections.append(connection)
            return connection

        sink = warehouse.sink(connect=connect)
        sink.open(load, restart=False)
        sink.write(make_batch(load, range(10)))
        proxy.cut = cut
        checkpoint = sink.write(make_batch(load, range(10, 20), dead=[11]))
        assert checkpoint.counts == counts(20, dead_letters=1)
        last = sink.write(make_batch(load, range(20, 30)))
        proxy.cut = cut
        certificate = sink.finish(make_certificate(load, last))
    assert proxy.cuts == 2
    assert certificate.counts == counts(30, dead_letters=1)
    # Had the batch been written twice, its rows would stand in a later transaction than its checkpoint.
    assert len({row["_loaded_at"] for row in warehouse.rows()}) == 3


@pytest.mark.parametrize("spare", [0, 1], ids=["in the search", "in the batch"])
def test_poison_is_counted_once_whichever_answer_is_lost(
    postgres: PostgresServer, warehouse: Warehouse, spare: int
) -> None:
    load = make_load()
    with severed(postgres.host, postgres.port) as proxy:
        sink = warehouse.sink(connect=lambda: psycopg.connect(warehouse.dsn, host="127.0.0.1", port=proxy.port))
        sink.open(load, restart=False)
        proxy.cut, proxy.spare = "after", spare

        def poisoned(number: int) -> tuple[Any, ...]:
            return recording_row(number, durationMs=2**63 if number == 2 else number)

        checkpoint = sink.write(make_batch(load, range(5), row=poisoned))
        sink.abort()
    assert proxy.cuts == 1
    assert (checkpoint.counts, checkpoint.rules) == (counts(5, dead_letters=1), {"data-error": 1})


@pytest.mark.outcome("PostgreSQL", "a lock or statement timeout", "recovers")
@pytest.mark.parametrize(("setting", "state"), [("lock_timeout", "55P03"), ("statement_timeout", "57014")])
def test_a_timeout_is_tried_again(
    warehouse: Warehouse, setting: str, state: str, caplog: pytest.LogCaptureFixture
) -> None:
    load = make_load()
    impatient = f"{warehouse.dsn}?options=-c%20{setting}%3D200ms"
    sink = warehouse.sink(connect=lambda: psycopg.connect(impatient), retry_wait=0.05)
    sink.open(load, restart=False)
    with warehouse.connect() as blocker:
        blocker.execute("SELECT * FROM genesys_ledger FOR UPDATE")

        def end_after_a_timeout() -> None:
            until(lambda: state in caplog.text, pause=0.01, what="the timeout")
            blocker.commit()

        release = threading.Thread(target=end_after_a_timeout)
        release.start()
        assert sink.write(make_batch(load, range(10))).counts == counts(10)
        release.join()
    sink.abort()
    assert state in caplog.text


@pytest.mark.outcome("PostgreSQL", "a serialization failure", "recovers")
def test_a_serialization_failure_is_tried_again(warehouse: Warehouse, caplog: pytest.LogCaptureFixture) -> None:
    """Raised by a trigger, once: a load's own transactions are READ COMMITTED and cannot meet it by themselves."""
    load, sink = make_load(), warehouse.sink()
    sink.open(load, restart=False)
    warehouse.execute(
        "CREATE SEQUENCE tries;"
        "CREATE FUNCTION collide() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF nextval('tries') = 1 THEN"
        " RAISE EXCEPTION 'could not serialize access' USING ERRCODE = '40001'; END IF; RETURN NULL; END $$;"
        "CREATE TRIGGER collide BEFORE INSERT ON recordings EXECUTE FUNCTION collide()"
    )
    assert sink.write(make_batch(load, range(10))).counts == counts(10)
    sink.abort()
    assert "40001" in caplog.text


@pytest.mark.outcome("PostgreSQL", "the server becomes read-only while a load runs", "SinkRefusedError")
def test_a_server_that_becomes_read_only_is_told_and_nothing_is_lost(warehouse: Warehouse) -> None:
    load, sink = make_load(), warehouse.sink()
    sink.open(load, restart=False)
    checkpoint = sink.write(make_batch(load, range(10)))
    name = warehouse.dsn.rpartition("/")[2]
    warehouse.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    Saboteur(warehouse, times=1)(b"", b"")
    with pytest.raises(SinkRefusedError, match=r"export-1.*bytes 12000 to 24000.*point it at the primary"):
        sink.write(make_batch(load, range(10, 20)))
    sink.abort()
    with psycopg.connect(warehouse.dsn, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    assert warehouse.sink().open(load, restart=False) == checkpoint


@pytest.mark.outcome("PostgreSQL", "a value that a narrower column does not take", "dead letter")
def test_a_value_that_a_narrower_column_does_not_take_is_rejected(warehouse: Warehouse) -> None:
    load = make_load()
    warehouse.sink().open(load, restart=False)
    warehouse.execute("ALTER TABLE recordings ALTER duration_ms TYPE smallint")

    def long_call(number: int) -> tuple[Any, ...]:
        return recording_row(number, durationMs=40_000 if number == 7 else number)

    certificate = warehouse.load(load, make_batches(load, 10, row=long_call))
    assert certificate.counts == counts(10, dead_letters=1)
    [letter] = warehouse.dead_letters()
    assert letter["rule"] == "numeric-value-out-of-range"
    assert letter["message"].endswith(": numeric value out of range, column duration_ms of type smallint")


@pytest.mark.outcome("PostgreSQL", "a deadlock", "recovers")
def test_a_deadlock_is_tried_again(warehouse: Warehouse, caplog: pytest.LogCaptureFixture) -> None:
    load = make_load()
    warehouse.load(load, make_batches(load, 10))
    sink = warehouse.sink()
    sink.open(load, restart=True)
    blocker = warehouse.connect()
    blocker.execute("SET deadlock_timeout = '10s'")
    blocker.execute("SELECT * FROM recordings WHERE duration_ms = 63 FOR UPDATE")
    waiting = threading.Thread(target=lambda: blocker.execute("SELECT * FROM genesys_ledger FOR UPDATE"))

    def close_the_circle() -> None:
        until(lambda: warehouse.execute(LOCKED_OUT), pause=0.01, what="the wait for the row")
        waiting.start()
        waiting.join()
        blocker.rollback()

    circle = threading.Thread(target=close_the_circle)
    circle.start()
    # It waits for the row, the blocker for the ledger: the server ends one of the two after a second, this one.
    assert sink.write(make_batch(load, range(10))).counts == counts(10)
    circle.join()
    sink.abort()
    assert "40P01" in caplog.text


def test_a_full_disk_ends_the_try_and_the_next_one_goes_on(warehouse: Warehouse) -> None:
    """The server's own error of a full disk, raised where a table grows; a disk of our own to fill would need root."""
    load = make_load()
    sink = warehouse.sink()
    sink.open(load, restart=False)
    committed = sink.write(make_batch(load, range(10)))
    warehouse.execute(
        "CREATE FUNCTION disk_is_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$"
    )
    warehouse.execute("CREATE TRIGGER growing BEFORE INSERT ON recordings EXECUTE FUNCTION disk_is_full()")
    with pytest.raises(SinkUnavailableError, match=r"in the function disk_is_full\(\) \(SQLSTATE 53100\)"):
        sink.write(make_batch(load, range(10, 20)))
    sink.abort()
    assert len(warehouse.rows()) == 10
    warehouse.execute("DROP TRIGGER growing ON recordings")
    again = warehouse.sink()
    found = again.open(load, restart=False)
    assert found is not None
    assert committed is not None
    assert found.position == committed.position
    last = again.write(make_batch(load, range(10, 20)))
    assert last is not None
    assert again.finish(make_certificate(load, last)).counts == counts(20)
