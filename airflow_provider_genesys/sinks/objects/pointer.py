"""A small object that names the newest complete load below a prefix, for readers that want no other."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from airflow_provider_genesys.stores.base import ObjectStore

POINTER = "_latest.json"


def point_to(store: ObjectStore, prefix: str, certificate: dict[str, Any], submitted_at: datetime) -> bool:
    """Let the pointer below ``prefix`` name a load that is complete; return False where a newer one is named.

    :param certificate: the summary of the load's certificate.
    :param submitted_at: when the load was begun, aware; the newest stays.
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
    """Return what a pointer says; None where there is none that can be read."""
    try:
        return datetime.fromisoformat(msgspec.json.decode(body or b"")["submitted_at"])
    except (msgspec.DecodeError, KeyError, TypeError, ValueError):
        return None
