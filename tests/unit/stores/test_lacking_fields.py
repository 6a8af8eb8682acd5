"""Answers of a store that lack a field, or have another type in it: asked for again, and never taken for less."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient

from airflow_provider_genesys.exceptions import SinkError, SinkUnavailableError
from airflow_provider_genesys.stores.azure_blob import AzureStore
from airflow_provider_genesys.stores.base import ObjectStore, Stored
from airflow_provider_genesys.stores.gcs import GCSStore
from airflow_provider_genesys.stores.s3 import S3Store
from airflow_provider_genesys.testing.services.azure import connection_string
from airflow_provider_genesys.testing.services.gcs import client_for as google_client
from tests.sinks.lake import client_for
from tests.unit.cloud.scripted_server import Reply, ScriptedServer

AZURE = """<?xml version="1.0" encoding="utf-8"?>
<EnumerationResults ServiceEndpoint="http://x/" ContainerName="lake"><Prefix>a</Prefix><Blobs><Blob><Name>a/1</Name>
<Properties><Creation-Time>Mon, 23 Nov 2026 10:00:00 GMT</Creation-Time>
<Last-Modified>Mon, 23 Nov 2026 10:00:00 GMT</Last-Modified><Etag>0x1</Etag><Content-Length>5</Content-Length>
<BlobType>BlockBlob</BlobType></Properties></Blob></Blobs><NextMarker /></EnumerationResults>"""
S3 = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>lake</Name><Prefix>a</Prefix>
<KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated><Contents><Key>a/1</Key>
<LastModified>2026-11-23T10:00:00.000Z</LastModified><ETag>0x1</ETag><Size>5</Size></Contents></ListBucketResult>"""
GOOGLE = {"kind": "storage#objects", "items": [{"name": "a/1", "size": "5", "generation": "1"}]}
NEEDED = {
    "azure": ["Name", "Properties", "Etag", "Content-Length"],
    "s3": ["Key", "Size", "IsTruncated"],
    "gcs": ["name", "size", "generation", "kind"],
}
"""Without these nobody knows what is in the store."""


def azure(url: str) -> ObjectStore:
    service = BlobServiceClient.from_connection_string(connection_string(f"{url}/account"))
    return AzureStore(service.get_container_client("lake"), retries=1)


STORES: dict[str, tuple[str, Callable[[str], ObjectStore], Any]] = {
    "azure": ("GET /account/lake", azure, AZURE),
    "s3": ("GET /lake", lambda url: S3Store(client_for(url), "lake", retries=1), S3),
    "gcs": ("GET /storage/v1/b/lake/o", lambda url: GCSStore(google_client(url).bucket("lake"), retries=1), GOOGLE),
}


def changed(answer: Any) -> Iterator[tuple[str, Any]]:
    """Yield the answer without each of its fields, and with a text and nothing in place of its value."""
    if isinstance(answer, str):
        for name in dict.fromkeys(re.findall(r"<([A-Z][\w-]+)[ >]", answer)):
            field = re.compile(f"<{name}( [^>]*)?>.*?</{name}>", re.DOTALL)
            for put in ("", f"<{name}>odd</{name}>", f"<{name}/>"):
                yield name, field.sub(put, answer, count=1)
        return
    fields = ["name", "size", "generation"]
    for place, names in ((lambda of: of, ["kind", "items"]), (lambda of: of["items"][0], fields)):
        for name in names:
            for put in (None, "odd", [], {}):
                other = copy.deepcopy(answer)
                place(other)[name] = put
                yield name, other
            del place(other)[name]
            yield name, other


def reply(answer: Any) -> Reply:
    if isinstance(answer, str):
        return Reply(200, answer.encode(), {"Content-Type": "application/xml"})
    return Reply(200, answer)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_genesys.retries.FIRST_WAIT", 0.0)


@pytest.mark.outcome("object stores", "a list lacks a field, or has another type in it", "SinkUnavailableError")
@pytest.mark.parametrize("kind", STORES)
def test_a_list_that_lacks_a_field_is_an_error_of_ours(kind: str, server: ScriptedServer) -> None:
    request, make, whole = STORES[kind]
    store = make(server.url)
    for name, answer in changed(whole):
        server.on(request, reply(answer))
        try:
            found = list(store.list_objects("a"))
        except SinkError as error:
            assert re.search("not the store's|failed after", str(error)), name  # noqa: PT017 - or it is right
        else:
            [one] = found or [Stored("", 0, "")]
            assert name not in NEEDED[kind] or (one.key, one.size) in {("a/1", 5), ("odd", 5)}, (name, answer)


@pytest.mark.parametrize("kind", STORES)
def test_it_is_asked_for_again(kind: str, server: ScriptedServer) -> None:
    request, make, whole = STORES[kind]
    for lacking in {"azure": ["BlobType"], "s3": ["Size", "IsTruncated"], "gcs": ["size", "kind"]}[kind]:
        broken = next(answer for name, answer in changed(whole) if name == lacking)
        server.on(request, reply(broken), reply(whole))
        [one] = make(server.url).list_objects("a")
        assert (one.key, one.size) == ("a/1", 5)
        server.on(request, reply(broken))
        with pytest.raises(SinkUnavailableError, match="not the store's"):
            list(make(server.url).list_objects("a"))
