"""A disk that is really full: a small file system of its own, which only root may mount."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_genesys.exceptions import SinkUnavailableError
from airflow_provider_genesys.sinks.local import LocalSink
from airflow_provider_genesys.testing.services import PostgresServer
from airflow_provider_genesys.testing.sink_conformance.source import written
from tests.sinks.batches import LENGTH, make_batches, make_certificate, make_load
from tests.sinks.lake import bulky
from tests.sinks.pgbouncer import given_away
from tests.sinks.warehouse import Warehouse, counts

SIZE = 48 * 2**20
FILLING = "filling"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(folder)]
    if subprocess.call(mount, stderr=subprocess.DEVNULL):
        pytest.skip("no file system can be mounted here; without root, a full disk is PostgreSQL's own error only")
    yield folder
    subprocess.check_call(["umount", "--lazy", str(folder)])  # noqa: S607 - wherever it is


def fill(disk: Path) -> None:
    """Leave 2 MiB."""
    free = os.statvfs(disk)
    (disk / FILLING).write_bytes(b"\0" * (free.f_bavail * free.f_frsize - 2 * 2**20))


@pytest.mark.outcome("object stores", "the disk of the local sink is full", "SinkUnavailableError")
def test_a_folder_on_a_full_disk_fails_the_part_and_the_next_try_goes_on(disk: Path) -> None:
    load, settings = make_load(), {"part_size": 5 * LENGTH, "dead_letter_raw": "keep"}
    batches = list(bulky(load, 10, size=5))
    sink = LocalSink(disk, "ndjson", **settings)  # type: ignore[arg-type]  # as above
    sink.open(load, restart=False)
    committed = written(sink, batches[0])
    fill(disk)
    with pytest.raises(SinkUnavailableError, match=r"export-1, .*No space left on device.*Check that the disk"):
        written(sink, batches[1])
    (disk / FILLING).unlink()
    again = LocalSink(disk, "ndjson", **settings)  # type: ignore[arg-type]  # as above
    found = again.open(load, restart=False)
    assert committed is not None
    assert found is not None
    assert found.position == committed.position
    written(again, batches[1])
    assert again.finish(make_certificate(load, batches[1].checkpoint)).counts == counts(10)
    assert not list(disk.rglob(".unfinished-*"))


@pytest.mark.outcome("PostgreSQL", "the server's disk is full", "SinkUnavailableError")
def test_a_database_on_a_full_disk_fails_the_batch_and_the_next_try_goes_on(
    postgres: PostgresServer, disk: Path
) -> None:
    database = postgres.create_database("nearly_full")
    space, name = disk / "space", f"small_{os.getpid()}"
    space.mkdir()
    given_away(space)
    warehouse = Warehouse(database)
    warehouse.execute(f"CREATE TABLESPACE {name} LOCATION '{space}'")
    try:
        warehouse.execute(
            f"ALTER ROLE CURRENT_USER IN DATABASE {database.rpartition('/')[2]} SET default_tablespace = {name}"
        )
        load = make_load()
        batches = list(make_batches(load, 20_000, size=10_000))
        sink = warehouse.sink()
        sink.open(load, restart=False)
        committed = written(sink, batches[0])
        fill(disk)
        with pytest.raises(SinkUnavailableError, match=r"export-1.*No space left on device"):
            written(sink, batches[1])
        sink.abort()
        assert len(warehouse.rows()) == 10_000
        (disk / FILLING).unlink()
        again = warehouse.sink()
        found = again.open(load, restart=False)
        assert found is not None
        assert found.position == committed.position
        last = written(again, batches[1])
        assert again.finish(make_certificate(load, last)).counts == counts(20_000)
    finally:
        warehouse.close()
        admin = Warehouse(postgres.dsn)
        admin.execute(f"DROP DATABASE {database.rpartition('/')[2]} WITH (FORCE)")
        admin.execute(f"DROP TABLESPACE {name}")
