"""Fakes for one test each, with a client that has a token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fake_client import Client

from airflow_provider_genesys.testing.fake_genesys import FakeGenesys


@pytest.fixture
def start() -> Iterator[Callable[..., Client]]:
    """Start fakes with the settings given and return a client of each."""
    started: list[Client] = []

    def start(**settings: Any) -> Client:
        started.append(Client(FakeGenesys(**settings).start()))
        return started[-1]

    yield start
    for client in started:
        client.close()
        client.genesys.close()
