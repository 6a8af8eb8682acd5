"""From an Airflow connection to a bucket or a container, as S3Hook and WasbHook read it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from azure.storage.blob import ContainerSasPermissions, generate_container_sas

from airflow_provider_genesys.hooks.clients import azure_container, client
from airflow_provider_genesys.hooks.object_store import open_folder
from airflow_provider_genesys.sinks.azure_blob import AzureBlobSink
from airflow_provider_genesys.testing.services import AzuriteServer, S3Server
from tests.sinks.batches import make_load
from tests.sinks.lake import batches_of, run

Connect = Callable[..., None]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Set a connection for this test."""
    return lambda name, **fields: monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(fields))


def shared_key(azurite: AzuriteServer, _: str) -> dict[str, Any]:
    return {"login": azurite.account, "password": azurite.key, "host": azurite.account_url}


def sas(azurite: AzuriteServer, container: str) -> dict[str, Any]:
    rights = ContainerSasPermissions.from_string("racwdl")
    until = datetime.now(timezone.utc) + timedelta(hours=1)
    token = generate_container_sas(azurite.account, container, azurite.key, permission=rights, expiry=until)
    return {"host": azurite.account_url, "extra": {"sas_token": token}}


def in_one_string(azurite: AzuriteServer, _: str) -> dict[str, Any]:
    return {"extra": {"connection_string": azurite.connection_string}}


@pytest.mark.parametrize("fields", [shared_key, sas, in_one_string])
def test_azure_is_reached_as_its_connection_says(
    connect: Connect, azurite: AzuriteServer, container: str, fields: Callable[[AzuriteServer, str], dict[str, Any]]
) -> None:
    connect("lake", conn_type="wasb", **fields(azurite, container))
    load = make_load()
    sink = AzureBlobSink(lambda: azure_container("lake", container), "raw", dead_letter_raw="drop")
    location = run(sink, load, batches_of(load, 60)).location
    store, folder = open_folder(location, "lake")
    assert json.loads(store.get(f"{folder}_manifest.json") or b"")["counts"]["written"] == 60


def test_s3_is_reached_with_the_sinks_settings_where_the_connection_has_none(
    connect: Connect, s3: S3Server, bucket: str
) -> None:
    connect("lake", **s3.connection())
    store, folder = open_folder(f"s3://{bucket}/raw/", "lake")
    store.put(f"{folder}a.json", b"{}")
    assert store.get("raw/a.json") == b"{}"
    config = client("s3", "lake").meta.config
    assert (config.retries["total_max_attempts"], config.connect_timeout) == (1, 10)

    own = s3.connection()
    own["extra"]["config_kwargs"] = {"connect_timeout": 3, "request_checksum_calculation": "when_required"}
    connect("lake", **own)
    chosen = client("s3", "lake").meta.config
    assert (config.request_checksum_calculation, chosen.request_checksum_calculation) == (
        "when_supported",
        "when_required",
    )
    assert chosen.connect_timeout == 3
