"""The conformance suite, on every sink that is shipped."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_genesys.pipeline.sink import Sink
from airflow_provider_genesys.sinks.postgres.straight import Straight
from airflow_provider_genesys.testing.services import S3Server
from airflow_provider_genesys.testing.sink_conformance import SinkConformance
from tests.conformance.conftest import Bucket, Container, Folder, GCSBucket, QueuePlace, Table
from tests.sinks.queues import Queues
from tests.sinks.strict_s3 import SwiftServer

POSTGRES = [
    {},
    {"partition_by": "month", "commit_rows": 14},
    {"publish": "atomic", "write_mode": "replace_window"},
    *(
        pytest.param(alone, marks=pytest.mark.long)
        for alone in ({"partition_by": "month"}, {"commit_rows": 14}, {"publish": "atomic"})
    ),
]


class Abandoned(SinkConformance):
    """For a sink that aborts as another one does: without --long its attempts end without a word, which is harder."""

    @pytest.fixture(params=["abandoned", pytest.param("aborted", marks=pytest.mark.long)])
    def stop(self, request: Any) -> Callable[[Sink], None]:
        return (lambda sink: sink.abort()) if request.param == "aborted" else (lambda _: None)


class TestPostgresSink(SinkConformance):
    @pytest.fixture(params=POSTGRES, ids=lambda options: ", ".join(map(str, options.values())) or "plain")
    def place(self, table: Table, request: Any) -> Table:
        return Table(table.warehouse, request.param)


class TestPostgresSinkByUpsert(Abandoned):
    """No batch goes straight into the table."""

    @pytest.fixture
    def place(self, table: Table, monkeypatch: pytest.MonkeyPatch) -> Table:
        monkeypatch.setattr(Straight, "is_due", False)
        return table


class TestS3Sink(SinkConformance):
    @pytest.fixture
    def place(self, empty_bucket: Bucket) -> Bucket:
        return empty_bucket


@pytest.fixture(scope="module")
def swift() -> Iterator[SwiftServer]:
    with SwiftServer() as server:
        yield server


@pytest.mark.long
class TestS3SinkOnStrictServer(SinkConformance):
    """On OpenStack Swift, which checks signatures, checksums and conditions."""

    @pytest.fixture
    def place(self, swift: SwiftServer) -> Bucket:
        client, name = swift.client(), f"conformance-{uuid.uuid4().hex}"
        client.create_bucket(Bucket=name)
        return Bucket(client, name)


class TestAzureBlobSink(Abandoned):
    @pytest.fixture
    def place(self, empty_container: Container) -> Container:
        return empty_container


class TestGCSSink(Abandoned):
    @pytest.fixture
    def place(self, gcs_bucket: Any) -> GCSBucket:
        return GCSBucket(gcs_bucket)


class TestSqsSink(SinkConformance):
    """At least once: what a consumer finds that drops messages whose id it has seen."""

    @pytest.fixture(params=["standard", pytest.param("fifo", marks=pytest.mark.long)])
    def place(self, request: Any, s3: S3Server, checkpoints_in_redis: Any, checkpoints_in_dynamodb: Any) -> QueuePlace:
        fifo = request.param == "fifo"
        return QueuePlace(Queues(s3.endpoint_url, fifo=fifo), checkpoints_in_dynamodb if fifo else checkpoints_in_redis)


class TestLocalSink(Abandoned):
    @pytest.fixture(params=["ndjson.gz", "parquet", pytest.param("ndjson", marks=pytest.mark.long)])
    def place(self, tmp_path: Path, request: Any) -> Folder:
        return Folder(tmp_path, request.param)
