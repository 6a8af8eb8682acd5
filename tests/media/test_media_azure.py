"""Media in Azure Blob, on Azurite; what does not depend on the store is in :mod:`.test_media`."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec
import pytest

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.media import store as media_store
from airflow_provider_genesys.media.store import KeptRecording
from airflow_provider_genesys.stores.azure_blob import AzureStore
from airflow_provider_genesys.testing.services import AzuriteServer
from airflow_provider_genesys.transfers.genesys_media_to_azure_blob import azure_media
from airflow_provider_genesys.transfers.genesys_media_to_s3 import s3_media

PIECE = 2**16


@pytest.fixture
def client(azurite: AzuriteServer, container: str) -> Any:
    return azurite.client().get_container_client(container)


def blobs(client: Any, *include: str) -> list[str]:
    return [blob.name for blob in client.list_blobs(include=list(include))]


def test_a_large_file_is_staged_in_blocks_and_found_again(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_store, "PIECE", PIECE)
    store = azure_media(client, "media", None)
    key = store.key("c", "r", "audio/ogg", 1)
    AzureStore(client).upload(key).send(b"of an attempt that was killed")
    body = bytes(range(256)) * (PIECE // 64)
    file = store.write(key, "audio/ogg", [body[:1000], body[1000:-1], body[-1:], b""])
    assert client.download_blob(key).readall() == body
    assert (file.bytes, file.sha256) == (4 * PIECE, sha256(body).hexdigest())
    assert client.get_blob_client(key).get_blob_properties().content_settings.content_type == "audio/ogg"
    assert store.kept("c") == {}
    store.describe("c", KeptRecording({"id": msgspec.Raw(b'"r"')}, [file]))
    [(found, kept)] = store.kept("c").items()
    assert (found, kept.files, kept.is_of({"id": "r"})) == ("r", [file], True)
    assert blobs(client, "uncommittedblobs") == blobs(client) == [f"{key.removesuffix('.ogg')}.metadata.json", key]


def test_a_file_that_breaks_off_leaves_nothing_that_is_seen(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_store, "PIECE", PIECE)
    store = azure_media(client, "media", None)

    def breaking() -> Any:
        yield bytes(3 * PIECE)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        store.write("media/r.ogg", "audio/ogg", breaking())
    assert blobs(client) == []
    file = store.write("media/r.ogg", "audio/ogg", [bytes(2 * PIECE)])
    assert (blobs(client, "uncommittedblobs"), file.bytes) == ([file.key], 2 * PIECE)


@pytest.mark.parametrize(
    ("prefix", "extra"), [("a\\b", {}), ("a./b", {}), ("a", {"tier": "Hot"}), ("a", {"standard_blob_tier": "Archive"})]
)
def test_what_azure_changes_or_does_not_know_is_refused(client: Any, prefix: str, extra: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        azure_media(client, prefix, extra)


@pytest.mark.parametrize("extra", [{"StorageClass": "GLACIER"}, {"Encryption": "AES256"}])
def test_what_s3_does_not_know_or_give_back_at_once_is_refused(extra: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        s3_media(None, "bucket", "media", extra)
