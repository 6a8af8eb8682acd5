"""Places to hold the sinks against, each empty and of one test's own."""

from __future__ import annotations

import json
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError

from airflow_provider_genesys.checkpoints.conditional import ConditionalStore
from airflow_provider_genesys.checkpoints.redis import RedisCheckpointStore
from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.pipeline.sink import Sink
from airflow_provider_genesys.sinks.azure_blob import AzureBlobSink
from airflow_provider_genesys.sinks.gcs import GCSSink
from airflow_provider_genesys.sinks.local import LocalSink
from airflow_provider_genesys.sinks.objects.parts import OutputFormat
from airflow_provider_genesys.sinks.postgres.sink import PostgresSink
from airflow_provider_genesys.sinks.postgres.tables.columns import column_names
from airflow_provider_genesys.sinks.s3 import S3Sink
from airflow_provider_genesys.testing.services import AzuriteServer, RedisServer, S3Server
from airflow_provider_genesys.testing.sink_conformance import PART_SIZE, Contents
from tests.sinks.lake import client_for, rows_in
from tests.sinks.queues import Queues, dynamodb_store, state_of
from tests.sinks.warehouse import Warehouse


@dataclass
class Table:
    """A PostgreSQL table, loaded with these options."""

    warehouse: Warehouse
    options: dict[str, Any] = field(default_factory=dict)

    def make_sink(self) -> PostgresSink:
        return self.warehouse.sink(**self.options)

    def read_back(self, load: Load) -> Contents | None:
        found = self.warehouse.execute("SELECT state FROM genesys_ledger WHERE load_id = %s", load.load_id)
        if [row["state"] for row in found] != ["complete"]:
            return None
        return Contents(
            [_by_column(row, load.contract) for row in self.warehouse.rows()],
            [{"offset": row["source_offset"], "rule": row["rule"]} for row in self.warehouse.dead_letters()],
        )


def _by_column(row: dict[str, Any], contract: Contract) -> dict[str, Any]:
    names = zip(contract.columns, column_names(contract), strict=True)
    return {column.name: row[name] for column, name in names}


class Objects(ABC):
    """What the manifest of a bucket or folder lists."""

    @abstractmethod
    def read(self, key: str) -> bytes | None:
        """Return an object; None where there is none of that key."""

    def read_back(self, load: Load) -> Contents | None:
        manifest = self.read(f"dt={load.window_start.date()}/{load.load_id}/_manifest.json")
        if manifest is None:
            return None
        listed = json.loads(manifest)
        parts = {part["key"]: self.read(part["key"]) or b"" for part in listed["parts"]}
        letters = [self.read(part["key"]) or b"" for part in listed["dead_letters"]]
        return Contents(
            [row for key, body in parts.items() for row in rows_in(key, body)],
            [_letter(line) for body in letters for line in body.splitlines()],
            parts,
        )


def _letter(line: bytes) -> dict[str, Any]:
    letter = json.loads(line)
    return {"offset": letter["source_offset"], "rule": letter["rule"]}


@dataclass
class Bucket(Objects):
    """An S3 bucket."""

    client: Any
    name: str

    def make_sink(self) -> Sink:
        return S3Sink(lambda: self.client, self.name, "", part_size=PART_SIZE, dead_letter_raw="keep")

    def read(self, key: str) -> bytes | None:
        try:
            return bytes(self.client.get_object(Bucket=self.name, Key=key)["Body"].read())
        except self.client.exceptions.NoSuchKey:
            return None


@dataclass
class Container(Objects):
    """An Azure Blob container; ``client`` is a ``ContainerClient``."""

    client: Any

    def make_sink(self) -> Sink:
        return AzureBlobSink(lambda: self.client, "", part_size=PART_SIZE, dead_letter_raw="keep")

    def read(self, key: str) -> bytes | None:
        try:
            return bytes(self.client.download_blob(key).readall())
        except ResourceNotFoundError:
            return None


@dataclass
class GCSBucket(Objects):
    """A bucket of Google Cloud Storage."""

    bucket: Any

    def make_sink(self) -> Sink:
        return GCSSink(lambda: self.bucket, "", part_size=PART_SIZE, dead_letter_raw="keep")

    def read(self, key: str) -> bytes | None:
        blob = self.bucket.get_blob(key)
        return bytes(blob.download_as_bytes()) if blob else None


@dataclass
class Folder(Objects):
    """A local folder."""

    path: Path
    output_format: OutputFormat

    def make_sink(self) -> Sink:
        return LocalSink(self.path, self.output_format, part_size=PART_SIZE, dead_letter_raw="keep")

    def read(self, key: str) -> bytes | None:
        path = self.path / key
        return path.read_bytes() if path.exists() else None


@dataclass
class QueuePlace:
    """A pair of queues, read by a consumer that drops what it has seen before."""

    queues: Queues
    make_store: Callable[[], ConditionalStore]

    def make_sink(self) -> Sink:
        return self.queues.sink(self.make_store)

    def read_back(self, load: Load) -> Contents | None:
        held = state_of(self.make_store(), load.load_id, self.queues.records.url)
        if not held.get("certificate"):
            return None
        letters = self.queues.letters.drain().of(held["export_id"])
        return Contents(
            self.queues.records.drain().of(held["export_id"]),
            [{"offset": letter["source_offset"], "rule": letter["rule"]} for letter in letters],
        )


@pytest.fixture
def table(database: str) -> Any:
    warehouse = Warehouse(database)
    yield Table(warehouse)
    warehouse.close()


@pytest.fixture(scope="session")
def client(s3: S3Server) -> Any:
    return client_for(s3.endpoint_url)


@pytest.fixture
def empty_bucket(client: Any, bucket: str) -> Bucket:
    return Bucket(client, bucket)


@pytest.fixture
def empty_container(azurite: AzuriteServer, container: str) -> Container:
    return Container(azurite.client().get_container_client(container))


@pytest.fixture(scope="session")
def valkey() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def checkpoints_in_redis(valkey: RedisServer) -> Callable[[], ConditionalStore]:
    prefix = f"test:{uuid.uuid4().hex}:"
    return lambda: RedisCheckpointStore(valkey.client, prefix=prefix, retry_wait=0.01)


@pytest.fixture
def checkpoints_in_dynamodb(s3: S3Server) -> Callable[[], ConditionalStore]:
    table = f"test_{uuid.uuid4().hex}"
    return lambda: dynamodb_store(s3, table)
