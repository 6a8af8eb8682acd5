"""The conformance suite, on every sink that is shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_genesys.testing.sink_conformance import SinkConformance
from tests.conformance.conftest import Bucket, Container, Folder, Table


class TestPostgresSink(SinkConformance):
    @pytest.fixture
    def place(self, table: Table) -> Table:
        return table


class TestS3Sink(SinkConformance):
    @pytest.fixture
    def place(self, empty_bucket: Bucket) -> Bucket:
        return empty_bucket


class TestAzureBlobSink(SinkConformance):
    @pytest.fixture
    def place(self, empty_container: Container) -> Container:
        return empty_container


class TestLocalSink(SinkConformance):
    @pytest.fixture(params=["ndjson.gz", "ndjson"])
    def place(self, tmp_path: Path, request: Any) -> Folder:
        return Folder(tmp_path, request.param)
