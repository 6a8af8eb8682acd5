"""From an Airflow connection to a bucket or a container, as Airflow's own hooks read it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from azure.storage.blob import ContainerSasPermissions, generate_container_sas
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from google.auth.credentials import AnonymousCredentials

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.hooks import object_store
from airflow_provider_genesys.hooks.clients import azure_container, client
from airflow_provider_genesys.hooks.gcs import gcs_bucket as google_bucket
from airflow_provider_genesys.hooks.object_store import open_folder
from airflow_provider_genesys.sinks.azure_blob import AzureBlobSink
from airflow_provider_genesys.testing.services import AzuriteServer, GCSServer, S3Server
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


KEY = {
    "type": "service_account",
    "project_id": "ours",
    "private_key_id": "1",
    "client_email": "loader@ours.iam.gserviceaccount.com",
    "token_uri": "https://oauth2.googleapis.com/token",
}


@pytest.fixture(scope="module")
def key_file() -> dict[str, str]:
    """A service account's key; its private key is made here, and nobody knows it."""
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {**KEY, "private_key": pem.decode()}


def test_google_is_reached_as_its_connection_says(connect: Connect, gcs: GCSServer, gcs_bucket: Any) -> None:
    connect("google_cloud_default", **gcs.connection())
    store, folder = open_folder(f"gs://{gcs_bucket.name}/raw/", None)
    store.put(f"{folder}a.json", b"{}")
    assert (store.url, store.get("raw/a.json")) == (f"gs://{gcs_bucket.name}", b"{}")


@pytest.mark.parametrize("form", ["keyfile_dict", "key_path", "older name"])
def test_a_service_account_is_read_from_the_connection(
    connect: Connect, key_file: dict[str, str], tmp_path: Path, form: str
) -> None:
    path = tmp_path / "key.json"
    path.write_text(json.dumps(key_file))
    extras: dict[str, dict[str, Any]] = {
        "keyfile_dict": {"keyfile_dict": json.dumps(key_file)},
        "key_path": {"key_path": str(path), "project": "theirs"},
        "older name": {"extra__google_cloud_platform__keyfile_dict": key_file},
    }
    connect("lake", conn_type="google_cloud_platform", extra=extras[form])
    bucket = google_bucket("lake", "raw")
    assert bucket.client._credentials.service_account_email == KEY["client_email"]
    assert bucket.client.project == ("theirs" if form == "key_path" else "ours")


def test_airflows_own_google_hook_gives_the_credentials_where_it_is_installed(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = AnonymousCredentials()

    class Hook:
        def __init__(self, gcp_conn_id: str) -> None:
            assert gcp_conn_id == "lake"

        def get_credentials_and_project_id(self) -> tuple[Any, str]:
            return found, "of the hook"

    module = ModuleType("airflow.providers.google.common.hooks.base_google")
    module.GoogleBaseHook = Hook  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    connect("lake", conn_type="google_cloud_platform", extra={"impersonation_chain": "loader@ours"})
    client = google_bucket("lake", "raw").client
    assert (client._credentials, client.project) == (found, "of the hook")


@pytest.mark.parametrize(
    ("extra", "advice"),
    [
        ({"impersonation_chain": "loader@ours"}, "pip install apache-airflow-providers-google"),
        ({"endpoint_url": "http://127.0.0.1:4443"}, "does not begin with https://"),
    ],
)
def test_what_would_be_ignored_or_sent_in_clear_is_refused(
    connect: Connect, extra: dict[str, str], advice: str
) -> None:
    connect("lake", conn_type="google_cloud_platform", extra=extra)
    with pytest.raises(ConfigurationError, match=advice):
        google_bucket("lake", "raw")


@pytest.mark.parametrize("url", ["s3:///raw/", "s3://lake", "s3://lake/", "ftp://lake/raw/", "raw/", "/raw/"])
def test_what_is_no_folder_in_a_bucket_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="not a folder in a bucket"):
        open_folder(url, None)


@pytest.mark.parametrize("scheme", ["s3", "az", "gs"])
def test_a_bucket_is_opened_with_what_is_given(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []

    def store(client: Any, *given: Any, **more: Any) -> None:
        opened.append((client, *given, more))

    for name in ("s3.S3Store", "azure_blob.AzureStore", "gcs.GCSStore"):
        monkeypatch.setattr(f"airflow_provider_genesys.stores.{name}", store)
    monkeypatch.setattr(object_store, "client", lambda kind, conn_id: f"{kind} by {conn_id}")
    monkeypatch.setattr(object_store, "azure_container", lambda conn_id, name: f"az {name} by {conn_id}")
    monkeypatch.setattr(object_store, "gcs_bucket", lambda conn_id, name: f"gs {name} by {conn_id}")
    object_store.open_bucket(scheme, "lake", "mine", {"an": "extra"})
    first = ("s3 by mine", "lake") if scheme == "s3" else (f"{scheme} lake by mine",)
    assert opened == [(*first, {"retries": 3, "extra_args": {"an": "extra"}})]
    open_folder(f"{scheme}://lake/raw", None)
    assert object_store.DEFAULT_CONN_IDS[scheme] in opened[1][0]
