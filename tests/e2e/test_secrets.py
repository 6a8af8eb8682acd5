"""No secret in anything that Airflow, PostgreSQL or S3 keeps, and none in what a task logs."""

from __future__ import annotations

import base64
import logging
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import pytest
from airflow_home import HOME, states, xcoms

from airflow_provider_genesys.hooks.genesys import GenesysCloudHook

if TYPE_CHECKING:
    from conftest import Warehouse

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)


def everything_kept(warehouse: Warehouse) -> str:
    """All of Airflow's metadata database and log files, PostgreSQL's tables and S3's objects, as text."""
    texts = [path.read_bytes().decode("latin-1") for path in Path(HOME).rglob("*") if path.is_file()]
    for table in ("genesys_recordings", "genesys_ledger", "genesys_dead_letters"):
        texts += [row[0] for row in warehouse.query(f"SELECT t::text FROM {table} t")]
    texts += [key + body.decode("latin-1") for key, body in warehouse.objects().items()]
    return "\n".join(texts)


def test_no_secret_is_kept_or_logged(
    warehouse: Warehouse, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    genesys = warehouse.genesys
    run = warehouse.run(DAY)
    assert states(run)["certificate"] == "success"
    logged = "".join(capfd.readouterr()) + caplog.text
    hook = GenesysCloudHook()
    url = hook.open_file_uri(xcoms(run, "wait_for_export")["return_value"]).url
    query = dict(parse_qsl(urlsplit(url).query))
    basic = base64.b64encode(f"{genesys.client_id}:{genesys.client_secret}".encode()).decode()
    secrets = {
        "client secret": genesys.client_secret,
        "basic authorisation": basic,
        "signature": query["X-Amz-Signature"],
        **{f"token {number}": token for number, token in enumerate(genesys._tokens._expiry)},
    }
    assert all(len(secret) > 8 for secret in secrets.values())
    kept = everything_kept(warehouse)
    assert xcoms(run, "wait_for_export")["return_value"]["file_uri"] in kept  # the search finds what is there
    assert [name for name, secret in secrets.items() if secret in logged] == []
    assert [name for name, secret in secrets.items() if secret in kept] == []


def test_the_personal_data_of_a_broken_record_is_kept_encrypted(warehouse: Warehouse) -> None:
    run = warehouse.run(DAY)
    offset, raw, form = warehouse.query("SELECT source_offset, raw, raw_form FROM genesys_dead_letters LIMIT 1")[0]
    handle = xcoms(run, "wait_for_export")["return_value"]
    archive = warehouse.genesys.archive(DAY, datetime(2026, 11, 23, tzinfo=timezone.utc))
    original = archive.read(offset, min(offset + 100, handle["size"]))
    assert form != "keep"
    assert original[:40] not in bytes(raw)
    assert GenesysCloudHook().cipher("dead letters").decrypt(bytes(raw))[:40] == original[:40]
