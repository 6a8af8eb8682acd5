"""The scripted server of the API client's tests lies beside them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import pytest

sys.path.append(str(Path(__file__).parents[1] / "cloud"))

from scripted_server import ScriptedServer

from airflow_provider_genesys.cloud.http import shared as shared_module

SECRET = "s3cret-of-the-client"  # noqa: S105 -- of no client


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    monkeypatch.setattr(shared_module, "_known", {})
    monkeypatch.setattr(shared_module, "_pools", WeakValueDictionary())
    server = ScriptedServer()
    yield server
    server.close()


@pytest.fixture
def connect(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let ``genesys_default`` lead to the server, with parts and extras as given."""

    def connect(*, login: str = "client", password: str = SECRET, host: str = server.url, **extra: Any) -> None:
        standard = {
            "login_url": server.url,
            "allow_insecure": "true",
            "requests_per_minute": "60000",
            "allowed_download_hosts": "127.0.0.1, *.amazonaws.com",
        }
        connection = {"conn_type": "genesys_cloud", "login": login, "password": password, "host": host}
        monkeypatch.setenv("AIRFLOW_CONN_GENESYS_DEFAULT", json.dumps({**connection, "extra": {**standard, **extra}}))

    connect()
    return connect
