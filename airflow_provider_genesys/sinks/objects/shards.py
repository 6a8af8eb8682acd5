"""The one manifest over the shards of a load in an object store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.sinks.objects.layout import Layout
from airflow_provider_genesys.sinks.objects.ledger import Ledger
from airflow_provider_genesys.sinks.objects.manifest import (
    certificate_in,
    lists_of,
    read_manifest,
    shards_in,
    write_manifest,
)
from airflow_provider_genesys.sinks.objects.settings import ObjectSettings
from airflow_provider_genesys.sinks.objects.successor import check_other_shards
from airflow_provider_genesys.stores.base import ObjectStore, below


class Shards:
    """All shards of the load to which the shard ``load`` belongs."""

    def __init__(self, load: Load, settings: ObjectSettings, store: ObjectStore) -> None:
        count = load.range.count
        self._load = load
        self._store = store
        self._fencing = settings.fencing
        whole, *shards = (
            Layout(settings.prefix, replace(load, shard=number), settings.output_format) for number in range(count + 1)
        )
        self._whole = whole
        self._shards = shards

    def join(self, joined: Callable[[Sequence[Certificate]], Certificate]) -> Certificate | None:
        """If all shards are complete, write the manifest of the whole and remove objects that belong to no shard.

        :raises SinkRefusedError: there is a load of a later export.
        """
        before = self._complete()
        if before is None:
            return None
        check_other_shards(self._store, self._whole, self._load)
        manifests = [read_manifest(self._store, layout.manifest) or {} for layout in self._shards]
        if any((manifest.get("shard") or {}).get("count") != len(self._shards) for manifest in manifests):
            return None  # one is from another plan
        joint = joined([certificate_in(manifest) for manifest in manifests])
        write_manifest(self._store, self._whole.manifest, joint, **lists_of(manifests))
        if self._complete() != before:  # a shard is loaded again, and its attempt saw no manifest to withdraw
            withdraw(self._store, self._whole)
            return None
        self._remove_others()
        return joint

    def _complete(self) -> list[int] | None:
        """Return the fences with which the shards were completed; None if one is not complete."""
        fences = []
        for layout in self._shards:
            entry = Ledger(self._store, layout.ledger, self._fencing).latest()
            if entry is None or entry.state != "complete" or entry.export_id != self._load.export_id:
                return None
            fences.append(entry.fence)
        return fences

    def _remove_others(self) -> None:
        """Remove objects that the load left when it was in one piece, or in another number of shards."""
        manifests = [layout.manifest for layout in (self._whole, *self._shards)]
        kept = (*manifests, *(prefix for layout in self._shards for prefix in layout.objects))
        for key in below(self._store, self._whole.objects):
            if not key.startswith(kept):
                self._store.delete(key)


def joins(store: ObjectStore, whole: Layout) -> int:
    """Return the number of shards in the manifest ``whole``; 0 if there is none, or the load is in one piece."""
    return shards_in(read_manifest(store, whole.manifest))


def list_again(store: ObjectStore, whole: Layout, shards: Sequence[Layout]) -> None:
    """Write the manifest of the whole again, from those of its shards."""
    joint, *manifests = (read_manifest(store, layout.manifest) or {} for layout in (whole, *shards))
    parts = [part for manifest in manifests for part in manifest["parts"]]
    write_manifest(store, whole.manifest, joint, parts=parts, **lists_of(manifests))


def withdraw(store: ObjectStore, whole: Layout) -> None:
    """Remove the manifest of a load that was made of shards, because one of them is loaded again."""
    if joins(store, whole):
        store.delete(whole.manifest)
