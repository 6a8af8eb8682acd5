"""Parts that a manifest names are counted only where loads lie."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from airflow_provider_genesys.completeness.objects import counter
from airflow_provider_genesys.exceptions import AccountError
from airflow_provider_genesys.sinks.objects.layout import DAY
from airflow_provider_genesys.stores.folder import FolderStore
from airflow_provider_genesys.window import Window

START = datetime(2026, 11, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize("key", ["other/secret.ndjson", "details/../other/secret.ndjson", "detailsmore/secret.ndjson"])
def test_a_manifest_that_lists_what_lies_elsewhere_is_refused(tmp_path: Path, key: str) -> None:
    store = FolderStore(tmp_path)
    manifest = {"kind": "conversation_details", "ended_at": None, "parts": [{"key": key, "bytes": 2}]}
    store.put("details/dt=2026-11-01/load-1/_manifest.json", json.dumps(manifest).encode())
    store.put("other/secret.ndjson", b"{}")
    with pytest.raises(AccountError, match="which is not below it"):
        counter(store, "details", DAY, {})(Window(START, START + timedelta(days=1)))
