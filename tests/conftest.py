"""Servers that tests share, one of each for the session; a database, bucket or container for each test."""

from __future__ import annotations

import gc
import inspect
import itertools
import os
import shutil
import sys
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from botocore.loaders import JSONFileLoader
from hypothesis import HealthCheck, settings

from airflow_provider_genesys import retries
from airflow_provider_genesys.cloud.http import client
from airflow_provider_genesys.source import download
from airflow_provider_genesys.testing.services import AzuriteServer, GCSServer, PostgresServer, S3Server
from tests.support import outcome_report
from tests.support.emptied import empty

_numbers = itertools.count(1)
_empty_databases: list[str] = []
_frozen = [0]
"""How many modules there were when the collector was last kept off them."""

_BESIDE_EACH_OTHER = ("tests/ui/", "tests/unit/testing/test_fake_sdk")
"""How files begin that share an API server and its loads, or Genesys' own SDK: they take half a minute and seconds."""

_MEMORY, _ROOM = Path("/dev/shm"), 6 * 2**30  # noqa: S108 - the server makes a folder of its own there
"""Where Linux has files in memory, and the bytes that have to be free: each worker's cluster grows to 1.5 GiB."""

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("a few", deadline=None, max_examples=20, suppress_health_check=_SLOW)
settings.register_profile("many", settings.get_profile("a few"), max_examples=200)
settings.load_profile("a few")  # without a deadline: under load an example may take seconds, and is no worse for it

os.fsync = lambda _: None  # what a killed process has written stays without it; it is for machines that lose power
# Seconds between two tries, of which longer ones find nothing more.
retries.FIRST_WAIT = download._BEFORE_AGAIN = client._FIRST_WAIT = 0.01

# Airflow's hooks make a session for each client, and each session reads a megabyte of descriptions.
JSONFileLoader.load_file = staticmethod(cache(JSONFileLoader().load_file))
# And each client looks for its operator on the stack: without lines of source, which would take a tenth of a second.
inspect.stack = partial(inspect.stack, context=0)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run what is marked 'long'")
    parser.addoption("--screenshots", metavar="DIR", help="write pictures of the pages in Airflow's UI into DIR")
    parser.addoption("--write-guarantees", action="store_true", help="write the tables of docs/guarantees.md")


def pytest_configure(config: pytest.Config) -> None:
    gc.disable()  # until everything is imported: half of the imports' time would go into collections that find nothing
    if config.getoption("--long"):
        settings.load_profile("many")
    outcome_report.configure(config)


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Without --long, do not make the long cases of a test that has others: a quarter of all would only be left out."""
    if metafunc.config.getoption("--long"):
        return
    for parametrized in metafunc.definition.iter_markers("parametrize"):
        cases = parametrized.args[1]
        if isinstance(cases, list) and (short := [case for case in cases if not _is_long(case)]):
            cases[:] = short


def _is_long(case: object) -> bool:
    return any(mark.name == "long" for mark in getattr(case, "marks", ()))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        long = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("long")]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """One worker takes all files of a group, which share what takes long to begin."""
    from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]  # xdist has no types

    class BesideEachOther(LoadFileScheduling):  # type: ignore[misc]  # as above
        def _split_scope(self, nodeid: str) -> str:
            scope = str(super()._split_scope(nodeid))
            return next((group for group in _BESIDE_EACH_OTHER if scope.startswith(group)), scope)

    return BesideEachOther(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_runtest_teardown() -> None:
    """Let Airflow forget this test's secrets: for each new one it compiles an expression of all that it has masked."""
    for name in ("airflow._shared.secrets_masker", "airflow.sdk._shared.secrets_masker"):
        if masking := sys.modules.get(name):
            masking._secrets_masker().reset_masker()
    if len(sys.modules) > _frozen[0] + 100:
        gc.collect()
        _freeze()


def pytest_collection_finish() -> None:
    _freeze()  # before the collector is on: else it would look at everything once
    gc.enable()


def _freeze() -> None:
    """Keep the collector off what is imported, which stays: Airflow alone makes each collection take half a second."""
    gc.freeze()
    _frozen[:] = [len(sys.modules)]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One cluster for the session. Tests that kill or restart it start one of their own.

    In memory, where there is room: files of tables come and go with each test, which takes the server a fifth less CPU.
    """
    place = _MEMORY if _MEMORY.exists() and shutil.disk_usage(_MEMORY).free > _ROOM else None
    with PostgresServer(settings={"autovacuum": "off"}, place=place) as server:
        yield server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """One S3 endpoint for the session."""
    with S3Server() as server:
        yield server


@pytest.fixture(scope="session")
def azurite() -> Iterator[AzuriteServer]:
    """One Azure Blob endpoint for the session."""
    with AzuriteServer() as server:
        yield server


@pytest.fixture(scope="session")
def gcs() -> Iterator[GCSServer]:
    """One Google Cloud Storage endpoint for the session."""
    with GCSServer() as server:
        yield server


@pytest.fixture(scope="session")
def children() -> Iterator[Any]:
    """The :class:`~tests.faults.crash_scene.Loader` of the session: it takes seconds to start."""
    from tests.faults.crash_scene import loader

    with loader() as running:
        yield running


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """DSN of an empty database, for this test alone."""
    dsn = _empty_databases.pop() if _empty_databases else postgres.create_database(f"test_{next(_numbers)}")
    yield dsn
    with psycopg.connect(dsn, autocommit=True) as connection:
        empty(connection)
    _empty_databases.append(dsn)


@pytest.fixture(scope="session")
def bucket_maker(s3: S3Server) -> Any:
    """A client that makes buckets: to make a client takes as long as to make a bucket."""
    return s3.client()


@pytest.fixture
def bucket(bucket_maker: Any) -> str:
    """Name of an empty bucket of this test's own."""
    name = f"test-{os.getpid()}-{next(_numbers)}"
    bucket_maker.create_bucket(Bucket=name)
    return name


@pytest.fixture
def container(azurite: AzuriteServer) -> str:
    """Name of an empty container of this test's own."""
    return azurite.create_container(f"test-{os.getpid()}-{next(_numbers)}")


@pytest.fixture
def gcs_bucket(gcs: GCSServer) -> Any:
    """An empty bucket of this test's own, as Google's client has it."""
    return gcs.client().bucket(gcs.create_bucket(f"test-{os.getpid()}-{next(_numbers)}"))
