"""Fixtures of the sinks' tests: a database to look into for PostgreSQL, a bucket and a flaky proxy for S3."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_genesys.sinks.s3 import S3Sink
from airflow_provider_genesys.stores import piece_writer
from airflow_provider_genesys.testing.services import S3Server
from tests.sinks.flaky import FlakyProxy, flaky_proxy
from tests.sinks.lake import CUT, MEBIBYTE, Bucket, client_for
from tests.sinks.warehouse import Warehouse


@pytest.fixture
def warehouse(database: str) -> Iterator[Warehouse]:
    """An empty database of this test's own."""
    warehouse = Warehouse(database)
    yield warehouse
    warehouse.close()


@pytest.fixture
def client(s3: S3Server) -> Any:
    return client_for(s3.endpoint_url)


@pytest.fixture
def proxy(s3: S3Server) -> Iterator[FlakyProxy]:
    with flaky_proxy(s3.endpoint_url) as running:
        yield running


@pytest.fixture
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects are sent in the smallest pieces that S3 takes."""
    monkeypatch.setattr(piece_writer, "PIECE", 5 * MEBIBYTE)


@pytest.fixture
def lake(client: Any, bucket: str) -> Bucket:
    return Bucket(client, bucket)


@pytest.fixture
def new_sink(client: Any, bucket: str) -> Callable[..., S3Sink]:
    """Makes a sink on this test's bucket; settings are replaced by name."""

    def make(**settings: Any) -> S3Sink:
        chosen = {"prefix": "raw", "part_size": CUT, "dead_letter_raw": "keep", "bucket": bucket, **settings}
        endpoint = chosen.pop("client", client)
        return S3Sink(lambda: endpoint, **chosen)

    return make
