"""Conversations in the parts of an object store, counted by reading them."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import IO, Any

import msgspec

from airflow_provider_genesys.completeness.tally import LOOK_BACK, Tally
from airflow_provider_genesys.exceptions import AccountError
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.sinks.objects.manifest import read_manifest
from airflow_provider_genesys.stores.base import ObjectStore, is_below
from airflow_provider_genesys.stores.read_through import PIECE, StoredFile
from airflow_provider_genesys.window import Window

_MANIFEST = "/_manifest.json"
_KIND = "conversation_details"
_NOT_OURS = (
    RecursionError,
    msgspec.MsgspecError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    OSError,
    EOFError,
    zlib.error,
)
"""What reading something else than a manifest and its parts raises."""


def counter(
    store: ObjectStore, prefix: str, partition_format: str, columns: Mapping[str, str]
) -> Callable[[Window], Tally]:
    """Return a function that counts the conversations below a prefix.

    It reads the parts of every load in the partitions of the window and of the days before. If several loads hold a
    conversation, the newest load counts.

    :param partition_format: of the loads, in strftime's letters.
    :param columns: the contract's names of :data:`.tally.FIELDS`.
    """

    def count(window: Window) -> Tally:
        try:
            return counted(window)
        except _NOT_OURS as error:
            raise AccountError(
                f"{store.url}/{prefix} holds a manifest, or a part, that no load has written ({shown(error)}). "
                "Something else writes below this prefix: find it, and load the window again."
            ) from error

    def counted(window: Window) -> Tally:
        tally, seen = Tally(), set[str]()
        for manifest in _manifests(store, prefix, partition_format, window):
            for part in manifest["parts"]:
                _check_place(store, str(part["key"]), prefix)
                for row in _rows(store, part, list(columns.values())):
                    conversation = {field: _plain(field, row.get(name)) for field, name in columns.items()}
                    if conversation["conversationId"] not in seen:
                        seen.add(conversation["conversationId"])
                        tally.add(conversation, window)
        return tally

    return count


def _manifests(store: ObjectStore, prefix: str, partition_format: str, window: Window) -> list[dict[str, Any]]:
    """Return the manifests of all loads that may hold conversations of the window, the newest first."""
    root = f"{prefix.strip('/')}/"
    day, folders = window.start - LOOK_BACK, dict[str, None]()
    while day < window.end:
        folders[f"{root}{day.strftime(partition_format)}/"] = None
        day += timedelta(hours=1)
    keys = [one.key for folder in folders for one in store.list_objects(folder) if one.key.endswith(_MANIFEST)]
    found = [read_manifest(store, key) or {} for key in keys]
    loads = [manifest for manifest in found if manifest.get("kind") == _KIND]
    return sorted(loads, key=lambda manifest: str(manifest.get("ended_at")), reverse=True)


def _check_place(store: ObjectStore, key: str, prefix: str) -> None:
    if not is_below(key, f"{prefix.strip('/')}/"):
        raise AccountError(
            f"A manifest below {store.url}/{prefix} lists {key!r:.200}, which is not below it. Something else writes "
            "manifests below this prefix: find it, and load the window again."
        )


def _rows(store: ObjectStore, part: Mapping[str, Any], names: list[str]) -> Iterator[dict[str, Any]]:
    key = str(part["key"])
    with io.BufferedReader(StoredFile(store, key, int(part["bytes"])), PIECE) as file:
        if key.endswith(".parquet"):
            yield from _parquet_rows(file, names)
        else:
            lines = gzip.GzipFile(fileobj=file) if key.endswith(".gz") else file
            yield from (msgspec.json.decode(line) for line in lines)


def _parquet_rows(file: IO[bytes], names: list[str]) -> Iterator[dict[str, Any]]:
    from pyarrow import parquet

    for batch in parquet.ParquetFile(file).iter_batches(batch_size=1_000, columns=names):
        yield from batch.to_pylist()


def _plain(field: str, value: Any) -> Any:
    """Return a field's value; Parquet has JSON as text."""
    in_json = field in ("divisionIds", "participants") and isinstance(value, (bytes, str))
    return msgspec.json.decode(value) if in_json else value
