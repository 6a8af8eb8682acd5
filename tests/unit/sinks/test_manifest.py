"""A manifest that is none says so, whoever reads it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import AccountError, CheckpointError, SinkUnavailableError
from airflow_provider_genesys.sinks.objects.ledger import Ledger
from airflow_provider_genesys.sinks.objects.manifest import check_keys, lists_of, point_to, read_manifest
from airflow_provider_genesys.sinks.objects.settings import Fencing
from airflow_provider_genesys.stores.folder import FolderStore

DEEP = b'{"a":' * 100_000


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"parts": ', b"\xff", b'{"a": "\xff"}', DEEP])
def test_a_manifest_that_cannot_be_read_is_named(tmp_path: Path, body: bytes) -> None:
    store = FolderStore(tmp_path)
    store.put("load/_manifest.json", body)
    with pytest.raises(AccountError, match=r"load/_manifest.json is no manifest.*once it is removed"):
        read_manifest(store, "load/_manifest.json")
    assert read_manifest(store, "other/_manifest.json") is None


@pytest.mark.parametrize(
    "key",
    [
        *("secret/a.ndjson", "lake/dt=2026-11-01/other/00000/0.ndjson", "lake/dt=2026-11-02/l0/00000/0.ndjson"),
        *("lake/dt=2026-11-01/l0/../x", "/lake/dt=2026-11-01/l0/x", "dt=2026-11-01/l0"),
    ],
)
def test_a_manifest_lists_objects_of_its_own_load(tmp_path: Path, key: str) -> None:
    store, folder = FolderStore(tmp_path), "lake/dt=2026-11-01/l0/"
    own = ["lake", "lake/_dead_letters", "lake_participants"]
    check_keys(store, folder, [f"{root}/dt=2026-11-01/l0/00000/0.ndjson" for root in own])
    with pytest.raises(AccountError, match="which is no object of its load"):
        check_keys(store, folder, [key])


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"a": "\xff"}', DEEP])
def test_an_entry_of_a_ledger_that_is_none_is_named(tmp_path: Path, body: bytes) -> None:
    store = FolderStore(tmp_path)
    store.put("lake/_ledger/l0/00000/00000001.json", body)
    with pytest.raises(CheckpointError, match=r"00000001.json cannot be read"):
        Ledger(store, "lake/_ledger/l0/00000/", "conditional").latest()


@pytest.mark.parametrize("fencing", ["conditional", "none"])
def test_an_entry_that_is_listed_and_not_given_is_no_new_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fencing: Fencing
) -> None:
    """With ``fencing="none"`` the first entry would be written over."""
    store = FolderStore(tmp_path)
    store.put("lake/_ledger/l0/00000/00000001.json", b"an entry")
    monkeypatch.setattr(store, "get", lambda _key: None)
    with pytest.raises(SinkUnavailableError, match=r"00000001.json is listed and cannot be read"):
        Ledger(store, "lake/_ledger/l0/00000/", fencing).claim(lambda _: pytest.fail("a load began"))


def test_the_lists_of_shards_are_joined_in_their_order() -> None:
    manifests: list[Any] = [
        {"children": {"calls": ["a", "b"], "notes": ["c"]}, "dead_letters": ["l"], "replayed": 1},
        {"children": {"calls": ["d"]}, "dead_letters": ["m", "n"], "replayed": 2},
        {"children": {"notes": ["e"]}, "dead_letters": [], "replayed": 4},
    ]
    assert lists_of(manifests) == {
        "children": {"calls": ["a", "b", "d"], "notes": ["c", "e"]},
        "dead_letters": ["l", "m", "n"],
        "replayed": 7,
    }


def test_the_pointer_names_the_newest_load(tmp_path: Path) -> None:
    store, day = FolderStore(tmp_path), datetime(2026, 11, 22, tzinfo=timezone.utc)
    store.put("lake/_latest.json", b"no pointer")
    for hours, named in ((1, 1), (0, 1), (1, 1), (2, 2)):
        summary = {
            "load_id": f"load-{hours}",
            "export_id": "e",
            "location": f"s3://lake/{hours}/",
            "counts": {"written": hours},
        }
        moment = day + timedelta(hours=hours)
        assert point_to(store, "lake/", summary, moment) is (hours == named)
        assert json.loads(store.get("lake/_latest.json") or b"") == {
            "manifest": f"s3://lake/{named}/_manifest.json",
            "load_id": f"load-{named}",
            "export_id": "e",
            "submitted_at": (day + timedelta(hours=named)).isoformat(),
            "rows": named,
        }
