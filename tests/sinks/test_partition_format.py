"""Partitions with other names than ``dt=``: where objects lie, and what becomes of a load when the name is changed."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from airflow_provider_genesys.pipeline.land import land
from airflow_provider_genesys.pipeline.run import Options
from airflow_provider_genesys.sinks.local import LocalSink
from airflow_provider_genesys.sinks.objects.raw_landing import RawLanding
from airflow_provider_genesys.sinks.objects.replay import ObjectReplay
from airflow_provider_genesys.sinks.objects.settings import ObjectSettings
from airflow_provider_genesys.stores.folder import FolderStore
from airflow_provider_genesys.testing.sink_conformance.source import written
from airflow_provider_genesys.times import now
from tests.sinks.batches import make_batches, make_load
from tests.sinks.lake import CUT, batches_of, run
from tests.sinks.replaying import LENIENT, letters_of, record
from tests.unit.pipeline.sources import InMemory

MONTHS = "year=%Y/month=%m"
FOLDER = "year=2026/month=11/load-1/"


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


def sink_in(folder: Path, partition_format: str = MONTHS) -> LocalSink:
    return LocalSink(folder, "ndjson", part_size=CUT, dead_letter_raw="keep", partition_format=partition_format)


def folders(store: FolderStore) -> set[str]:
    return {found.key.partition("load-1/")[0] for found in store.list_objects("")}


def test_objects_lie_in_the_partition_and_the_certificate_says_so(tmp_path: Path, store: FolderStore) -> None:
    load = make_load()
    certificate = run(sink_in(tmp_path), load, batches_of(load, 130, dead={3}))
    assert certificate.location == f"{store.url}/{FOLDER}"
    assert folders(store) == {"year=2026/month=11/", "_dead_letters/year=2026/month=11/", "_ledger/"}


def test_a_load_stays_where_it_was_begun_though_the_name_changes(tmp_path: Path, store: FolderStore) -> None:
    load, batches = make_load(), list(batches_of(make_load(), 250))
    begun = sink_in(tmp_path)
    begun.open(load, restart=False)
    for batch in batches[:2]:
        written(begun, batch)
    begun.abort()
    certificate = run(sink_in(tmp_path, "dt=%Y-%m-%d"), load, batches)
    assert certificate.attempts == 2
    later = make_load("export-2", submitted_at=now())
    again = run(sink_in(tmp_path, "day=%d"), later, list(batches_of(later, 250)))
    assert certificate.location == again.location == f"{store.url}/{FOLDER}"
    assert folders(store) == {"year=2026/month=11/", "_ledger/"}


def test_dead_letters_are_replayed_into_the_partition(tmp_path: Path, store: FolderStore) -> None:
    load = make_load()
    run(sink_in(tmp_path), load, [letters_of(load, {3: record(3)}), *list(make_batches(load, 20, size=10))[1:]])
    replay = ObjectReplay(store, "", opened=lambda letter: bytes(record(3)))
    assert replay.run(lambda _: LENIENT, "dag/replay/task").replayed == 1
    assert folders(store) == {"year=2026/month=11/", "_dead_letters/year=2026/month=11/", "_ledger/"}


def test_an_archive_is_landed_in_the_partition(tmp_path: Path, store: FolderStore) -> None:
    settings = ObjectSettings("", dead_letter_raw="drop", partition_format=MONTHS)
    landing = RawLanding(partial(FolderStore, tmp_path), settings)
    certificate = land(make_load(), {}, InMemory(b'{"a": 1}\n'), landing, Options())
    assert certificate.location == f"{store.url}/{FOLDER}"
