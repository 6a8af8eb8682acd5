"""A fake Genesys Cloud and a client of it, which change listings while they are read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.http import shared
from airflow_provider_genesys.cloud.http.client import CloudClient
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys


@pytest.fixture
def genesys() -> Iterator[FakeGenesys]:
    shared._known.clear()
    with FakeGenesys(users=23, requests_per_minute=1_000_000) as genesys:
        yield genesys


@pytest.fixture
def client(genesys: FakeGenesys) -> Iterator[CloudClient]:
    with client_of(genesys) as client:
        yield client


def client_of(genesys: FakeGenesys) -> CloudClient:
    config = CloudConfig(
        genesys.client_id,
        genesys.client_secret,
        genesys.url,
        genesys.url,
        requests_per_minute=1_000_000,
        allow_insecure=True,
    )
    return CloudClient(config)
