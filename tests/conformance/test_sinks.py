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


class Abandoned(SinkConformance):
    """For a sink that aborts as another one does: without --long its attempts end without a word, which is harder."""

    @pytest.fixture(params=["abandoned", pytest.param("aborted", marks=pytest.mark.long)])
    def stop(self, request: Any) -> Callable[[Sink], None]:
        return (lambda sink: sink.abort()) if request.param == "aborted" else (lambda _: None)


class TestPostgresSink(SinkConformance):
    @pytest.fixture
    def place(self, table: Table) -> Table:
        return table


MONTHLY = {"partition_by": "month", "commit_rows": 14}
REPLACING = {"publish": "atomic", "write_mode": "replace_window"}
ONE_BY_ONE: list[dict[str, Any]] = [{}, {"partition_by": "month"}, {"commit_rows": 14}, {"publish": "atomic"}]
LONG = [(MONTHLY, True), (REPLACING, False), *((alone, way) for alone in ONE_BY_ONE for way in (True, False))]


class TestPostgresSinkWithOptions(Abandoned):
    """Batches go straight into the table, or by upsert."""

    @pytest.fixture(
        params=[(MONTHLY, False), (REPLACING, True), *(pytest.param(one, marks=pytest.mark.long) for one in LONG)],
        ids=lambda chosen: ", ".join([*map(str, chosen[0].values()), "straight" if chosen[1] else "by upsert"]),
    )
    def place(self, table: Table, request: Any, monkeypatch: pytest.MonkeyPatch) -> Table:
        options, straight = request.param
        if not straight:
            monkeypatch.setattr(Straight, "is_due", False)
        return Table(table.warehouse, options)


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


class TestSqsSink(Abandoned):
    """At least once: what a consumer finds that drops messages whose id it has seen."""

    @pytest.fixture(params=["standard", pytest.param("fifo", marks=pytest.mark.long)])
    def place(self, request: Any, s3: S3Server, checkpoints_in_redis: Any, checkpoints_in_dynamodb: Any) -> QueuePlace:
        fifo = request.param == "fifo"
        return QueuePlace(Queues(s3.endpoint_url, fifo=fifo), checkpoints_in_dynamodb if fifo else checkpoints_in_redis)


class TestLocalSink(Abandoned):
    @pytest.fixture(params=["ndjson.gz", "parquet", pytest.param("ndjson", marks=pytest.mark.long)])
    def place(self, tmp_path: Path, request: Any) -> Folder:
        return Folder(tmp_path, request.param)
