"""Attempts that create one ledger entry at the same moment, in each store: the store's own condition decides."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import FencedError
from airflow_provider_genesys.sinks.azure_blob import AzureBlobSink
from airflow_provider_genesys.sinks.gcs import GCSSink
from airflow_provider_genesys.sinks.local import LocalSink
from airflow_provider_genesys.sinks.objects.sink import ObjectSink
from airflow_provider_genesys.sinks.s3 import S3Sink
from airflow_provider_genesys.stores.azure_blob import AzureStore
from airflow_provider_genesys.stores.base import ObjectStore
from airflow_provider_genesys.stores.folder import FolderStore
from airflow_provider_genesys.stores.gcs import GCSStore
from airflow_provider_genesys.stores.s3 import S3Store
from airflow_provider_genesys.testing.sink_conformance.source import written
from tests.sinks.batches import make_certificate, make_checkpoint, make_load
from tests.sinks.lake import CUT, batches_of

AT_ONCE = 8


@dataclass
class Place:
    store: ObjectStore
    sink: Callable[..., ObjectSink]

    def ledger(self) -> list[str]:
        return [found.key for found in self.store.list_objects("_ledger/")]


@pytest.fixture(params=["folder", "s3", "azure", "gcs"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    settings: dict[str, Any] = {"part_size": CUT, "dead_letter_raw": "keep"}
    if request.param == "folder":
        return Place(FolderStore(tmp_path), lambda: LocalSink(tmp_path, **settings))
    if request.param == "s3":
        client, bucket = request.getfixturevalue("client"), request.getfixturevalue("bucket")
        return Place(S3Store(client, bucket), lambda: S3Sink(lambda: client, bucket, "", **settings))
    if request.param == "gcs":
        gcs_bucket = request.getfixturevalue("gcs_bucket")
        return Place(GCSStore(gcs_bucket), lambda: GCSSink(lambda: gcs_bucket, "", **settings))
    azurite, name = request.getfixturevalue("azurite"), request.getfixturevalue("container")
    container = azurite.client().get_container_client(name)
    return Place(AzureStore(container), lambda: AzureBlobSink(lambda: container, "", **settings))


def test_of_many_that_create_an_object_at_once_one_does(place: Place) -> None:
    start = threading.Barrier(AT_ONCE)

    def create(number: int, key: str) -> bool:
        start.wait()
        return place.store.put_if_absent(key, b"%d" % number)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        for key in ("_ledger/load/1.json", "_ledger/load/2.json", "_ledger/load/3.json"):
            created = list(threads.map(create, range(AT_ONCE), [key] * AT_ONCE))
            assert created.count(True) == 1
            assert place.store.get(key) == b"%d" % created.index(True)
    assert len(place.ledger()) == 3


@pytest.mark.outcome("object stores", "two attempts create the same ledger entry at once", "FencedError in one of them")
def test_attempts_that_race_for_an_entry_do_not_both_get_it(place: Place) -> None:
    """Both have looked and seen that nobody is ahead: the conditional create alone decides."""
    load = make_load()
    batches = list(batches_of(load, 100))
    old, new = place.sink(), place.sink()
    old.open(load, restart=False)
    written(old, batches[0])
    ledger: Any = old._opened._ledger
    confirm = ledger.confirm
    ledger.confirm = lambda entry: (confirm(entry), new.open(load, restart=False))

    with pytest.raises(FencedError):
        written(old, batches[1])

    assert len(place.ledger()) == 2
    for batch in batches:
        written(new, batch)
    assert new.finish(make_certificate(load, make_checkpoint(load, 100))).counts.written == 100
