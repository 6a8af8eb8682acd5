"""What a data engineer reads when something is wrong, and that nothing is presented as complete."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_genesys import retries
from airflow_provider_genesys.source import download
from airflow_provider_genesys.testing.fake_genesys import missing_permissions
from airflow_provider_genesys.testing.services import free_port
from tests.support.airflow_home import states

if TYPE_CHECKING:
    from conftest import Warehouse

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)


@pytest.fixture
def change(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Change fields of a connection."""

    def changed(name: str, **fields: Any) -> None:
        variable = f"AIRFLOW_CONN_{name}_DEFAULT"
        monkeypatch.setenv(variable, json.dumps({**json.loads(os.environ[variable]), **fields}))

    return changed


def failed(warehouse: Warehouse, task: str, capfd: pytest.CaptureFixture[str], **loads: Any) -> str:
    """Run the day; the task must fail, for a load in its second try. Return what was logged."""
    run = warehouse.run(DAY, loads={"retries": 1, **loads})
    assert states(run)[task] == "failed"
    assert states(run)["certificate"] == "upstream_failed"
    return "".join(capfd.readouterr())


def complete_loads(warehouse: Warehouse) -> int:
    manifests = [key for key in warehouse.objects() if key.endswith("_manifest.json")]
    there = warehouse.query("SELECT to_regclass('genesys_ledger')")[0][0]
    rows = warehouse.query("SELECT 1 FROM genesys_ledger WHERE state = 'complete'") if there else []
    return len(manifests) + len(rows)


def test_a_wrong_secret(warehouse: Warehouse, change: Any, capfd: pytest.CaptureFixture[str]) -> None:
    change("GENESYS", password="not-the-secret")  # noqa: S106 - it is none
    log = failed(warehouse, "create_export", capfd)
    assert "client id" in log
    assert "region" in log
    assert "not-the-secret" not in log


@pytest.mark.outcome("tokens", "an unknown region", "ConfigurationError")
def test_an_unknown_region(warehouse: Warehouse, change: Any, capfd: pytest.CaptureFixture[str]) -> None:
    change("GENESYS", host="", extra={"region": "eu-wset-1"})
    log = failed(warehouse, "create_export", capfd)
    assert "eu-wset-1" in log
    assert "eu-west-1" in log


def test_a_missing_permission(warehouse: Warehouse, capfd: pytest.CaptureFixture[str]) -> None:
    answer = missing_permissions("recording:recording:view")
    warehouse.genesys.fail_next("/api/v2/recordings/exports", status=403, body=answer)
    assert "recording:recording:view" in failed(warehouse, "create_export", capfd)


def test_a_page_instead_of_an_archive(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(download, "_BACKOFF", (0.01, 0.1))
    page = b"<!doctype html><html><body>Sign in to go on</body></html>"
    warehouse.genesys.fail_next("/archive/", status=200, times=100, body=page)
    assert "HTML or XML, not an archive" in failed(warehouse, "load_into_postgres", capfd)
    assert complete_loads(warehouse) == 0


def test_an_expired_url_is_replaced(warehouse: Warehouse) -> None:
    warehouse.genesys.url_seconds = 120  # less than the margin: the sealed URL counts as dead when the load begins
    assert states(warehouse.run(DAY))["certificate"] == "success"


def test_a_missing_table_where_none_is_to_be_created(warehouse: Warehouse, capfd: pytest.CaptureFixture[str]) -> None:
    log = failed(warehouse, "load_into_postgres", capfd, create_table=False)
    assert "CREATE TABLE" in log or "create_table" in log


def test_a_database_that_is_not_there(
    warehouse: Warehouse, change: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    change("POSTGRES", port=free_port())
    monkeypatch.setattr(retries, "LONGEST_WAIT", 0.1)
    log = failed(warehouse, "load_into_postgres", capfd, retries=0)
    assert "export" in log.lower()
    assert "refused" in log


def test_a_bucket_that_is_not_there(warehouse: Warehouse, capfd: pytest.CaptureFixture[str]) -> None:
    log = failed(warehouse, "load_into_s3", capfd, s3_bucket="no-such-bucket")
    assert "no-such-bucket" in log
    assert warehouse.objects() == {}


def test_too_many_broken_records(warehouse: Warehouse, capfd: pytest.CaptureFixture[str]) -> None:
    warehouse.genesys.broken = 120
    log = failed(warehouse, "load_into_postgres", capfd)
    assert "120 of 1200 records" in log
    assert "not-json" in log
    assert complete_loads(warehouse) == 0
