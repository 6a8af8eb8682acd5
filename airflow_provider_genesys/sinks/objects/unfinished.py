"""Finds the loads below a prefix of an object store that were begun and are not complete."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from airflow_provider_genesys.pipeline.load import LoadFacts
from airflow_provider_genesys.sinks.objects.layout import ledgers_below
from airflow_provider_genesys.sinks.objects.ledger import Entry, Ledger
from airflow_provider_genesys.sinks.objects.settings import Fencing
from airflow_provider_genesys.stores.base import ObjectStore

_WHOLE = f"/{0:05}/"
"""The end of the name of the ledger folder of a load in one piece."""


def unfinished_loads(store: ObjectStore, prefix: str, fencing: Fencing) -> list[LoadFacts]:
    """Return the loads begun and not complete, the oldest window first. Loads in shards are left out.

    It lists every ledger below the prefix, and reads the newest entry of each: three requests per load.

    :raises CheckpointError: an entry cannot be read.
    :raises SinkUnavailableError: the store cannot be reached.
    """
    found = []
    for folders in _ledgers(store, prefix):
        if not folders[0].endswith(_WHOLE):
            continue
        entry, *shards = [Ledger(store, folder, fencing).latest() for folder in folders]
        in_shards = any(shard and entry and shard.export_id == entry.export_id for shard in shards)
        if entry and entry.state == "loading" and entry.run_id and not in_shards:
            found.append(entry.facts)
    return sorted(found, key=lambda load: load.window_start)


def newest_entries(store: ObjectStore, prefix: str) -> Iterator[tuple[int, Entry]]:
    """Yield the number of the shard and the newest entry of every ledger below ``prefix``."""
    for folders in _ledgers(store, prefix):
        for folder in folders:
            if entry := Ledger(store, folder, "none").latest():
                yield int(folder.rstrip("/").rpartition("/")[2]), entry


def _ledgers(store: ObjectStore, prefix: str) -> Iterator[list[str]]:
    """Yield the folders of each load's ledgers; that of the load in one piece comes first, if there is one."""
    folders = sorted({stored.key.rpartition("/")[0] for stored in store.list_objects(ledgers_below(prefix))})
    for _, shards in groupby(folders, key=lambda folder: folder.rpartition("/")[0]):
        yield [f"{folder}/" for folder in shards]
