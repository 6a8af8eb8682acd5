"""Parts that a manifest names are counted only where loads are, and of several loads the newest."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from airflow_provider_genesys.completeness.comparisons import ObjectHistory
from airflow_provider_genesys.completeness.objects import counter
from airflow_provider_genesys.completeness.tally import FIELDS
from airflow_provider_genesys.completeness.verdict import not_comparable
from airflow_provider_genesys.exceptions import AccountError
from airflow_provider_genesys.sinks.objects.layout import DAY
from airflow_provider_genesys.stores.folder import FolderStore
from airflow_provider_genesys.window import Window

START = datetime(2026, 11, 1, tzinfo=timezone.utc)
MANIFEST = {"kind": "conversation_details", "ended_at": None}
COLUMNS = {"conversationId": "conversation_id", "conversationStart": "conversation_start"}


@pytest.mark.parametrize("key", ["other/secret.ndjson", "details/../other/secret.ndjson", "detailsmore/secret.ndjson"])
def test_a_manifest_that_lists_what_lies_elsewhere_is_refused(tmp_path: Path, key: str) -> None:
    store = FolderStore(tmp_path)
    manifest = {"kind": "conversation_details", "ended_at": None, "parts": [{"key": key, "bytes": 2}]}
    store.put("details/dt=2026-11-01/load-1/_manifest.json", json.dumps(manifest).encode())
    store.put("other/secret.ndjson", b"{}")
    with pytest.raises(AccountError, match="which is not below it"):
        counter(store, "details", DAY, {})(Window(START, START + timedelta(days=1)))


PART = "details/dt=2026-11-01/load-1/00000/0.ndjson"


@pytest.mark.parametrize("parts", [5, [5], [{}], [{"key": PART}], [{"key": PART, "bytes": "x"}], None])
@pytest.mark.parametrize("name", [PART, f"{PART}.gz", PART.replace("ndjson", "parquet")])
@pytest.mark.parametrize("body", [b"<html>", b"5", b"[]", b"\x1f\x8b\x08\xff"])
def test_what_no_load_has_written_is_an_error_of_ours(tmp_path: Path, parts: object, name: str, body: bytes) -> None:
    """So ``reconcile="warn"`` does not fail the load for it."""
    store = FolderStore(tmp_path)
    listed = [{"key": name, "bytes": len(body)}] if parts is None else parts
    store.put(name, body)
    store.put("details/dt=2026-11-01/load-1/_manifest.json", json.dumps({**MANIFEST, "parts": listed}).encode())
    with pytest.raises(AccountError, match="no load has written"):
        counter(store, "details", DAY, COLUMNS)(Window(START, START + timedelta(days=1)))


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[5]", b"[{}]", b'[{"reconciled_at": "x", "verdict": "agrees"}]'])
def test_comparisons_that_are_none_are_named(tmp_path: Path, body: bytes) -> None:
    store, window = FolderStore(tmp_path), Window(START, START + timedelta(days=1))
    history, found = ObjectHistory(store, "details"), not_comparable(window, "why")
    history.add(found)
    (kept,) = [one.key for one in store.list_objects("details/_reconciled/")]
    store.put(kept, body)
    with pytest.raises(AccountError, match=r"_reconciled/.*holds no comparisons"):
        history.add(found)
    assert store.get(kept) == body


@pytest.mark.parametrize("newest", ["load-1", "load-2"])
def test_of_two_loads_of_a_conversation_the_newest_counts(tmp_path: Path, newest: str) -> None:
    store = FolderStore(tmp_path)
    for load, media in (("load-1", "voice"), ("load-2", "email")):
        place, ended = f"details/{START:{DAY}}/{load}", f"2026-11-0{3 if load == newest else 2}T00:00:00+00:00"
        row = {
            "conversationId": "c",
            "conversationStart": START.isoformat(),
            "originatingDirection": "inbound",
            "divisionIds": [],
            "participants": [{"sessions": [{"mediaType": media}]}],
        }
        body = json.dumps(row).encode()
        store.put(f"{place}/part.ndjson", body)
        part = {"key": f"{place}/part.ndjson", "bytes": len(body)}
        manifest = {"kind": "conversation_details", "ended_at": ended, "parts": [part]}
        store.put(f"{place}/_manifest.json", json.dumps(manifest).encode())
    found = counter(store, "details", DAY, {name: name for name in FIELDS})(Window(START, START + timedelta(days=1)))
    assert {cell.media_type for cell in found.cells} == {"voice" if newest == "load-1" else "email"}
