from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import tenacity
from fake_clock import Clock
from scripted_server import ScriptedServer

from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.http import client as client_module
from airflow_provider_genesys.cloud.http import shared as shared_module
from airflow_provider_genesys.cloud.http.client import CloudClient


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test inherit another's tokens and budgets, or wait for a backoff that nobody asked for."""
    monkeypatch.setattr(shared_module, "_known", {})
    monkeypatch.setattr(client_module, "_backoff", tenacity.wait_none())


@pytest.fixture
def make_config(server: ScriptedServer) -> Callable[..., CloudConfig]:
    def make(**settings: Any) -> CloudConfig:
        given = {
            "client_id": "client",
            "client_secret": "s3cret-of-the-client",
            "api_url": server.url,
            "login_url": server.url,
            "timeout": 5.0,
            "requests_per_minute": 60_000,
            "allow_insecure": True,
        }
        return CloudConfig(**{**given, **settings})

    return make


@pytest.fixture
def config(make_config: Callable[..., CloudConfig]) -> CloudConfig:
    return make_config()


@pytest.fixture
def secrets() -> list[str]:
    """What the client reported as secret, in order."""
    return []


@pytest.fixture
def client(config: CloudConfig, secrets: list[str]) -> Iterator[CloudClient]:
    with CloudClient(config, on_secret=secrets.append) as client:
        yield client


@pytest.fixture
def clock() -> Clock:
    return Clock()
