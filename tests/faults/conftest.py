"""What the crash tests share: a fake Genesys, the process that loads, and places of every sink."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from airflow_provider_genesys.testing.services import AzuriteServer, GCSServer, PostgresServer, S3Server
from tests.faults.crash_scene import Loader, Places

_numbers = itertools.count()


@pytest.fixture(scope="module")
def running(children: Loader) -> Iterator[tuple[FakeGenesys, Loader]]:
    with FakeGenesys(requests_per_minute=1_000_000) as genesys:
        yield genesys, children


@pytest.fixture(scope="module")
def places(
    postgres: PostgresServer,
    s3: S3Server,
    azurite: AzuriteServer,
    gcs: GCSServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Places:
    name = f"crashes-{next(_numbers)}"
    return Places(
        postgres.create_database(name.replace("-", "_")),
        s3,
        s3.create_bucket(gcs.create_bucket(name)),
        tmp_path_factory.mktemp(name),
        azurite,
        azurite.create_container(name),
        gcs,
    )
