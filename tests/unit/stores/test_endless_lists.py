"""A list of objects ends, whatever the store says: with ever new objects, or with the same ones again and again."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from azure.storage.blob import ContainerClient
from botocore.config import Config

from airflow_provider_genesys.exceptions import SinkRefusedError
from airflow_provider_genesys.stores.azure_blob import AzureStore
from airflow_provider_genesys.stores.base import ObjectStore
from airflow_provider_genesys.stores.gcs import GCSStore
from airflow_provider_genesys.stores.s3 import S3Store
from airflow_provider_genesys.testing.services.gcs import client_for

Keys = Callable[[int], list[str]]
"""Returns the keys on a page, given its number from 1 on."""


def of_s3(keys: list[str], token: str) -> str:
    contents = "".join(f'<Contents><Key>{key}</Key><Size>1</Size><ETag>"e"</ETag></Contents>' for key in keys)
    following = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    truncated = f"<IsTruncated>{str(bool(token)).lower()}</IsTruncated>"
    return f"<ListBucketResult>{truncated}{contents}{following}</ListBucketResult>"


def of_gcs(keys: list[str], token: str) -> str:
    items = [{"name": key, "size": "1", "generation": "1"} for key in keys]
    more = {"nextPageToken": token} if token else {}
    return json.dumps({"kind": "storage#objects", "items": items, **more})


def of_azure(keys: list[str], token: str) -> str:
    members = "<Content-Length>1</Content-Length><Etag>e</Etag><BlobType>BlockBlob</BlobType>"
    blobs = "".join(f"<Blob><Name>{key}</Name><Properties>{members}</Properties></Blob>" for key in keys)
    return f"<EnumerationResults><Blobs>{blobs}</Blobs><NextMarker>{token}</NextMarker></EnumerationResults>"


class Store(ThreadingHTTPServer):
    """Answers each request for a list with the next page, up to ``last``."""

    daemon_threads = True

    def __init__(self, written: Callable[[list[str], str], str]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.written = written
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.keys: Keys = lambda _: []
        self.last, self.asked = 10**9, 0


class Handler(BaseHTTPRequestHandler):
    server: Store

    def do_GET(self) -> None:
        of = self.server
        of.asked += 1
        body = of.written(of.keys(of.asked), f"t{of.asked}" if of.asked < of.last else "").encode()
        self.send_response(200)
        kind = "application/json" if body.startswith(b"{") else "application/xml"
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Be silent."""


def s3(url: str) -> ObjectStore:
    one = Config(retries={"max_attempts": 0})
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    return S3Store(boto3.client("s3", endpoint_url=url, region_name="eu-west-1", config=one, **keys), "bucket")


def gcs(url: str) -> ObjectStore:
    return GCSStore(client_for(url).bucket("bucket"))


def azure(url: str) -> ObjectStore:
    return AzureStore(ContainerClient(url, "container"))


@pytest.fixture(params=[(s3, of_s3), (gcs, of_gcs), (azure, of_azure)], ids=["s3", "gcs", "azure"])
def listed(request: pytest.FixtureRequest) -> Iterator[tuple[Store, ObjectStore]]:
    opened, written = request.param
    with Store(written) as server:
        thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
        thread.start()
        yield server, opened(server.url)
        server.shutdown()
        thread.join()


def new(page: int) -> list[str]:
    return [f"p/{page:05}-{number}" for number in range(3)]


@pytest.mark.parametrize("keys", [new, lambda _: []], ids=["ever new objects", "empty pages"])
def test_a_list_without_an_end_is_left(
    listed: tuple[Store, ObjectStore], keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, store = listed
    server.keys = keys
    monkeypatch.setattr("airflow_provider_genesys.stores.base.MOST_STORE_PAGES", 20)
    with pytest.raises(SinkRefusedError, match=r"list of .*/p/ does not end: 21 pages came"):
        list(store.list_objects("p/"))


def test_a_list_in_circles_is_left(listed: tuple[Store, ObjectStore]) -> None:
    server, store = listed
    server.keys = lambda page: new(page % 4)
    with pytest.raises(SinkRefusedError, match="lists the same objects again"):
        list(store.list_objects("p/"))
    assert server.asked <= 6  # Google's client asks for one page ahead


def test_a_long_list_is_read_to_its_end(listed: tuple[Store, ObjectStore]) -> None:
    server, store = listed
    server.keys, server.last = lambda page: [] if page % 3 else new(page), 20
    assert [one.key for one in store.list_objects("p/")] == [key for page in range(3, 20, 3) for key in new(page)]
