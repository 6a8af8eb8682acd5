"""A manifest that is none says so, whoever reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_genesys.exceptions import AccountError
from airflow_provider_genesys.sinks.objects.manifest import read_manifest
from airflow_provider_genesys.stores.folder import FolderStore


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"parts": ', b"\xff"])
def test_a_manifest_that_cannot_be_read_is_named(tmp_path: Path, body: bytes) -> None:
    store = FolderStore(tmp_path)
    store.put("load/_manifest.json", body)
    with pytest.raises(AccountError, match=r"load/_manifest.json is no manifest.*once it is removed"):
        read_manifest(store, "load/_manifest.json")
    assert read_manifest(store, "other/_manifest.json") is None
