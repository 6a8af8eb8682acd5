"""Which contract a loading operator reads by, and when it is checked."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_genesys.exceptions import ContractError
from airflow_provider_genesys.pipeline.contract import RECORDINGS
from airflow_provider_genesys.transfers.genesys_to_postgres import GenesysExportToPostgresOperator

BROKEN = "name: mine\nversion: 1\nkey: id\ntimestamp: at\ncolumns:\n  id: {type: text}\n"


def operator(**arguments: Any) -> GenesysExportToPostgresOperator:
    return GenesysExportToPostgresOperator(task_id="load", handle="e", table="t", **arguments)


def test_a_broken_file_fails_when_the_dag_is_parsed(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(BROKEN)
    with pytest.raises(ContractError, match=r"mine\.yaml, line 6: Column 'id': unknown type 'text'"):
        operator(contract=str(tmp_path / "mine.yaml"))


def test_a_path_begins_at_the_folder_of_the_dag_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(BROKEN.replace("type: text", "type: string, required: true") + "  at: 1\n")
    dag = DAG("d", schedule=None, start_date=datetime(2026, 11, 1, tzinfo=timezone.utc))
    dag.fileloc = str(tmp_path / "dag.py")
    with dag, pytest.raises(ContractError, match=r"mine\.yaml, line 7: Column 'at' has to be a mapping"):
        operator(contract="mine.yaml")


@pytest.mark.parametrize(
    "arguments",
    [
        {"contract": "{{ params.contract }}"},
        {"contract": "recordings", "contract_modes": {"unknown": "{{ params.mode }}"}},
        {"contract": "nothing.yaml", "kind": "{% if true %}recordings{% endif %}"},
    ],
)
def test_what_is_templated_is_checked_when_it_is_rendered(arguments: dict[str, Any]) -> None:
    operator(**arguments)


@pytest.mark.parametrize("arguments", [{"contract": "recordnigs"}, {"contract_modes": {"unknown": "ignore"}}])
def test_names_and_modes_are_checked_at_once(arguments: dict[str, Any]) -> None:
    with pytest.raises(ContractError):
        operator(**arguments)


def test_modes_are_laid_over_the_contract() -> None:
    load = operator(contract=RECORDINGS, contract_modes={"unknown": "freeze"})
    assert load._resolved("recordings") == RECORDINGS.with_modes({"unknown": "freeze"})
    load.contract = ""  # as a template may render
    load.contract_modes = None
    assert load._resolved("recordings") == RECORDINGS
