"""What a connection that does not exist, and a connection test under a throw-away id, say."""

from __future__ import annotations

import json

import pytest

from airflow_provider_genesys.commands.app import main
from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.hooks.genesys import GenesysCloudHook


def test_an_unknown_connection_is_named_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigurationError, match=r"no connection 'typo'.*airflow connections add"):
        _ = GenesysCloudHook("typo").config
    assert main(["plan", "2026-11-01", "2026-11-02", "--conn-id", "typo"]) == 1
    shown = capsys.readouterr().err
    assert "There is no connection 'typo'" in shown
    assert "Traceback" not in shown


def test_the_test_of_a_connection_does_not_name_the_id_it_runs_under(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_XQZVW", json.dumps({"conn_type": "genesys_cloud", "password": "secret"}))
    worked, told = GenesysCloudHook("xqzvw").test_connection()
    assert not worked
    assert "xqzvw" not in told
