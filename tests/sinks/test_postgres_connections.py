"""A server that has no connection left."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest

from airflow_provider_genesys.exceptions import SinkUnavailableError
from airflow_provider_genesys.testing.services import PostgresServer
from tests.sinks.batches import make_batch, make_certificate, make_load
from tests.sinks.warehouse import Warehouse, counts

MOST = 5


@pytest.fixture(scope="module")
def small() -> Iterator[PostgresServer]:
    settings = {"max_connections": str(MOST), "superuser_reserved_connections": "0", "max_wal_senders": "0"}
    with PostgresServer(settings=settings) as server:
        yield server


@pytest.mark.outcome("PostgreSQL", "no connection is left, for a while", "recovers")
def test_a_free_connection_is_waited_for(small: PostgresServer) -> None:
    load, warehouse = make_load(), Warehouse(small.create_database("patient"))
    sink = warehouse.sink(retry_wait=0.2)
    others = [psycopg.connect(small.dsn) for _ in range(MOST)]
    leaving = threading.Timer(0.3, lambda: [other.close() for other in others])
    leaving.start()
    sink.open(load, restart=False)
    leaving.join()
    last = sink.write(make_batch(load, range(10)))
    assert sink.finish(make_certificate(load, last)).counts == counts(10)
    warehouse.close()


@pytest.mark.outcome("PostgreSQL", "no connection is left, for longer", "SinkUnavailableError")
def test_when_none_becomes_free_the_error_says_so(small: PostgresServer) -> None:
    warehouse = Warehouse(small.create_database("crowded"))
    others = [psycopg.connect(small.dsn) for _ in range(MOST)]
    with pytest.raises(SinkUnavailableError, match=r"export-1.*Tried 4 times.*too many clients already"):
        warehouse.sink().open(make_load(), restart=False)
    for other in others:
        other.close()
