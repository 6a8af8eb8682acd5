"""Settings that PostgreSQL's operator refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_genesys.exceptions import ConfigurationError, ContractError
from airflow_provider_genesys.transfers.genesys_entities_to_postgres import GenesysEntitiesToPostgresOperator
from airflow_provider_genesys.transfers.genesys_to_postgres import GenesysExportToPostgresOperator


@pytest.mark.parametrize(
    "wrong",
    [
        {"write_mode": "replace"},
        {"publish": "now"},
        {"partition_by": "week"},
        {"table": ""},
        {"table": "public.recordings"},
    ],
)
def test_what_is_no_option_is_an_error_before_anything_is_reached(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        GenesysExportToPostgresOperator(**{"task_id": "load", "handle": "e", "table": "t", **wrong}).make_sink()


COLUMNS = """\
name: calls
version: 1
key: id
columns:
  id: {type: string, required: true}
  userId: {type: string}
  NAME: {path: name, type: string}
"""


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("user_id", "as 'userId' already is"),
        ("_genesysExportId", "as the lineage already is"),
        ("x" * 64, "a name has 1 to 63 bytes"),
        ("xmax", "PostgreSQL keeps that name for itself"),
    ],
)
@pytest.mark.parametrize(
    ("made_with", "rest"),
    [
        (
            lambda path: GenesysExportToPostgresOperator(task_id="load", handle="e", table="t", contract=path),
            "  at: {type: timestamp}\ntimestamp: at\n",
        ),
        (
            lambda path: GenesysEntitiesToPostgresOperator(task_id="load", entity=path),
            "source: {path: /api/v2/calls, paging: one}\n",
        ),
    ],
)
def test_names_that_no_table_can_have_are_refused_as_the_dag_is_parsed(
    tmp_path: Path, made_with: Callable[[str], object], rest: str, name: str, says: str
) -> None:
    path = tmp_path / "calls.yaml"
    text = COLUMNS.replace("NAME", name)
    path.write_text(text + rest)

    with pytest.raises(ContractError, match=rf"calls\.yaml, line 7: .*{says}"):
        made_with(str(path))
