"""The manifest of a load in an object store: its certificate, and every object that counts.

Readers must ignore objects that it does not list; leftovers among them are removed. Beside the fields of the
certificate, which has the ``parts``, it has ``children`` (parts by the child's name), ``dead_letters`` and
``replayed``; that of a raw archive has ``handle``, and :mod:`.landed` reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import msgspec

from airflow_provider_genesys.exceptions import AccountError
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.stores.base import ObjectStore, is_below

Manifest = dict[str, Any]


def write_manifest(store: ObjectStore, key: str, facts: Certificate | Manifest, **lists: Any) -> None:
    """Write a manifest.

    :param facts: the certificate, or a manifest; ``lists`` replace its fields.
    :param lists: further fields, or replaced ones.
    """
    body = asdict(facts) if isinstance(facts, Certificate) else facts
    store.put(key, msgspec.json.format(msgspec.json.encode({**body, **lists})))


def read_manifest(store: ObjectStore, key: str) -> Manifest | None:
    """Return a manifest; None if there is none.

    :raises AccountError: it is no JSON object.
    """
    body = store.get(key)
    try:
        return None if body is None else msgspec.json.decode(body, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise AccountError(
            f"{store.url}/{key} is no manifest of this package ({error}). Find out who wrote it; once it is removed, "
            "the window can be loaded again."
        ) from error


def check_keys(store: ObjectStore, folder: str, keys: Iterable[str]) -> None:
    """Check that a manifest lists only objects of one load: anyone who may write to the bucket can have made it.

    :param folder: the folder of the manifest: it ends with the load's partition and id, as those of its dead letters
        and children do.
    :raises AccountError: it lists another one.
    """
    own = f"/{'/'.join(folder.strip('/').split('/')[-2:])}/" if folder else "/"
    for key in keys:
        if not is_below(key, "") or own not in f"/{key}":
            raise AccountError(
                f"The manifest in {store.url}/{folder} lists {shown(key)!r}, which is no object of its load. Something "
                "else writes manifests below this prefix: find it, and load the window again."
            )


def certificate_in(manifest: Manifest) -> Certificate:
    """Return the certificate that a manifest holds."""
    return msgspec.convert(manifest, Certificate)


def shards_in(manifest: Manifest | None) -> int:
    """Return the number of shards in a manifest; 0 if there is none, or the load is in one piece."""
    return len(manifest["shards"]) if manifest else 0


def lists_of(manifests: Sequence[Manifest]) -> dict[str, Any]:
    """Return the joined lists of the shards' manifests, except the parts of rows."""
    names = dict.fromkeys(name for manifest in manifests for name in manifest["children"])
    return {
        "children": {name: [part for one in manifests for part in one["children"].get(name, [])] for name in names},
        "dead_letters": [part for manifest in manifests for part in manifest["dead_letters"]],
        "replayed": sum(manifest["replayed"] for manifest in manifests),
    }


POINTER = "_latest.json"
"""A small object below a prefix that names the newest complete load, for readers that want only that one."""


def point_to(store: ObjectStore, prefix: str, certificate: dict[str, Any], submitted_at: datetime) -> bool:
    """Set the pointer below ``prefix`` to a complete load; return False if it already names a newer one.

    :param certificate: the summary of the load's certificate.
    :param submitted_at: when the load began, aware; the pointer keeps the newest.
    """
    key = f"{prefix.rstrip('/')}/{POINTER}"
    before = _submitted_at(store.get(key))
    if before and before > submitted_at:
        return False
    location = certificate["location"]
    body = {
        "manifest": f"{location}_manifest.json",
        "load_id": certificate["load_id"],
        "export_id": certificate["export_id"],
        "submitted_at": submitted_at.isoformat(),
        "rows": certificate["counts"]["written"],
    }
    store.put(key, msgspec.json.encode(body))
    return True


def _submitted_at(body: bytes | None) -> datetime | None:
    """Return the time in a pointer; None if there is no readable pointer."""
    try:
        return datetime.fromisoformat(msgspec.json.decode(body or b"")["submitted_at"])
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, RecursionError):
        return None
