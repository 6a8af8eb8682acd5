"""Fixtures of the Iceberg tests: those of the sinks, and a catalog."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_genesys.testing.services import S3Server
from tests.lake.tables import Lake, in_s3
from tests.sinks.conftest import client, lake, new_sink

__all__ = ["catalog", "client", "lake", "new_sink"]


@pytest.fixture
def catalog(tmp_path: Path, bucket: str, s3: S3Server) -> Lake:
    return Lake(**in_s3(tmp_path / "catalog.db", bucket, s3.endpoint_url))
