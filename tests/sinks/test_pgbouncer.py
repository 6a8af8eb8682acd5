"""Behind pgbouncer in transaction mode: no transaction meets the connection of the one before it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import psycopg
import pytest

from airflow_provider_genesys.testing.services import PostgresServer
from tests.sinks.batches import make_batch, make_batches, make_certificate, make_load
from tests.sinks.pgbouncer import PgBouncer
from tests.sinks.warehouse import Warehouse, counts


@pytest.fixture(scope="module")
def bouncer(postgres: PostgresServer) -> Iterator[PgBouncer]:
    with PgBouncer(postgres, pool_size=2) as running:
        yield running


@pytest.mark.outcome("PostgreSQL", "pgbouncer in transaction mode is between", "recovers")
def test_loads_that_share_connections_land_as_without_pgbouncer(warehouse: Warehouse, bouncer: PgBouncer) -> None:
    shared = Warehouse(bouncer.dsn(warehouse.dsn))
    loads = [make_load(f"export-{number}", load_id=f"load-{number}") for number in range(4)]
    sinks = [shared.sink() for _ in loads]
    for sink, load in zip(sinks, loads, strict=True):
        sink.open(load, restart=False)
    ranges = [range(number * 100, number * 100 + 100) for number in range(4)]
    turns = zip(*(make_batches(load, which, size=10) for load, which in zip(loads, ranges, strict=True)), strict=True)
    last = {}
    for sink, batch in itertools.chain.from_iterable(zip(sinks, turn, strict=True) for turn in turns):
        last[sink] = sink.write(batch)
    for sink, load in zip(sinks, loads, strict=True):
        assert sink.finish(make_certificate(load, last[sink])).counts == counts(100)
    assert len(warehouse.rows()) == 400
    shared.close()


@pytest.mark.outcome("PostgreSQL", "pgbouncer restarts", "recovers")
def test_a_bouncer_that_restarts_costs_a_retry(warehouse: Warehouse, bouncer: PgBouncer) -> None:
    load, shared = make_load(), Warehouse(bouncer.dsn(warehouse.dsn))
    sink = shared.sink()
    sink.open(load, restart=False)
    sink.write(make_batch(load, range(10)))
    bouncer.restart()
    last = sink.write(make_batch(load, range(10, 20), dead=[11]))
    assert sink.finish(make_certificate(load, last)).counts == counts(20, dead_letters=1)
    assert len(shared.connections) == 2
    shared.close()


@pytest.mark.outcome("PostgreSQL", "a client encoding other than UTF-8", "recovers")
def test_an_encoding_that_another_client_set_does_not_matter(warehouse: Warehouse, bouncer: PgBouncer) -> None:
    load, dsn = make_load(run_id="выгрузка"), bouncer.dsn(warehouse.dsn)
    with psycopg.connect(f"{dsn}?client_encoding=LATIN1") as other:
        other.execute("SELECT 1")
        Warehouse(dsn).load(load, make_batches(load, 3))
    assert warehouse.ledger()["run_id"] == "выгрузка"
