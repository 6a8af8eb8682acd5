"""A manifest that is none says so, whoever reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_genesys.exceptions import AccountError, CheckpointError
from airflow_provider_genesys.sinks.objects.ledger import Ledger
from airflow_provider_genesys.sinks.objects.manifest import check_keys, read_manifest
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
