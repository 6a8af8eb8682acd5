"""The manifest of a load in an object store: its certificate, and every object that counts.

An object that it does not list does not exist, for readers and for what removes leftovers. Beside the fields of the
certificate, which has the ``parts``, it has ``children`` (parts by the child's name), ``dead_letters`` and
``replayed``; that of an archive as it came has ``handle``, and :mod:`.landed` reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import msgspec

from airflow_provider_genesys.exceptions import AccountError
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.stores.base import ObjectStore

Manifest = dict[str, Any]


def write_manifest(store: ObjectStore, key: str, facts: Certificate | Manifest, **lists: Any) -> None:
    """Write a manifest.

    :param facts: the certificate, or a manifest of which ``lists`` take the place.
    :param lists: what the certificate does not have, or has otherwise.
    """
    body = asdict(facts) if isinstance(facts, Certificate) else facts
    store.put(key, msgspec.json.format(msgspec.json.encode({**body, **lists})))


def read_manifest(store: ObjectStore, key: str) -> Manifest | None:
    """Return a manifest; None where there is none.

    :raises AccountError: it is no JSON object.
    """
    body = store.get(key)
    try:
        return None if body is None else msgspec.json.decode(body, type=Manifest)
    except msgspec.MsgspecError as error:
        raise AccountError(
            f"{store.url}/{key} is no manifest of this package ({error}). Find out who wrote it; once it is removed, "
            "the window can be loaded again."
        ) from error


def certificate_in(manifest: Manifest) -> Certificate:
    """Return the certificate that a manifest holds."""
    return msgspec.convert(manifest, Certificate)


def shards_in(manifest: Manifest | None) -> int:
    """Return of how many shards a manifest is; 0 where there is none, or the load is in one piece."""
    return len(manifest["shards"]) if manifest else 0


def lists_of(manifests: Sequence[Manifest]) -> dict[str, Any]:
    """Return what the manifests of shards list beside the parts of the rows, each kind together."""
    names = dict.fromkeys(name for manifest in manifests for name in manifest["children"])
    return {
        "children": {name: [part for one in manifests for part in one["children"].get(name, [])] for name in names},
        "dead_letters": [part for manifest in manifests for part in manifest["dead_letters"]],
        "replayed": sum(manifest["replayed"] for manifest in manifests),
    }
