"""Settings that PostgreSQL's operator refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.exceptions import AirflowFailException

from airflow_provider_genesys.exceptions import ConfigurationError, ContractError, WindowError
from airflow_provider_genesys.tasks.handle import check_within
from airflow_provider_genesys.transfers.genesys_entities_to_postgres import GenesysEntitiesToPostgresOperator
from airflow_provider_genesys.transfers.genesys_to_postgres import GenesysExportToPostgresOperator
from tests.support.task_context import DAY_END, context
from tests.unit.transfers.boundary import HANDLE, observe


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


DAY_BEFORE = {**HANDLE, "window_start": "2026-11-21", "window_end": "2026-11-22"}
LONGER = {**HANDLE, "window_end": "2026-11-23T00:00:01Z"}
PART = {**HANDLE, "window_start": "2026-11-22T05:00:00Z", "window_end": "2026-11-22T06:00:00Z"}
REPLACING = {"table": "t", "write_mode": "replace_window"}


@pytest.mark.parametrize(
    "arguments",
    [
        {"handle": DAY_BEFORE},
        {"handle": LONGER},
        {"handle": LONGER, "look_back_days": 9},
        {"handle": DAY_BEFORE, "look_back_days": "0"},
        {"handle": {**DAY_BEFORE, "window_start": "1970-01-01"}, "look_back_days": 1},
    ],
)
def test_a_window_that_only_the_handle_names_is_not_replaced(arguments: dict[str, Any]) -> None:
    seen = observe(GenesysExportToPostgresOperator, {**REPLACING, **arguments})
    assert isinstance(seen.raised, AirflowFailException)
    assert str(seen.raised).startswith("The handle of export export-1 has the window")
    assert "this run is of 2026-11-22T00:00:00+00:00 to 2026-11-23T00:00:00+00:00" in str(seen.raised)
    assert "look_back_days" in str(seen.raised)
    assert "PostgresSink" not in [called for called, _ in seen.calls]


@pytest.mark.parametrize(
    "arguments",
    [
        {"handle": HANDLE},
        {"handle": PART},
        {"handle": DAY_BEFORE, "look_back_days": 1},
        {"handle": DAY_BEFORE, "window_start": "2026-11-21", "window_end": "2026-11-22"},
        {"handle": DAY_BEFORE, "write_mode": "upsert"},
    ],
)
def test_a_window_that_dag_or_run_name_is_replaced(arguments: dict[str, Any]) -> None:
    seen = observe(GenesysExportToPostgresOperator, {**REPLACING, **arguments})
    assert seen.raised is None
    assert seen.of("PostgresSink")["write_mode"] == arguments.get("write_mode", "replace_window")


def test_a_run_without_a_window_names_none() -> None:
    run = context(run={"data_interval_start": DAY_END})
    with pytest.raises(WindowError, match=r"and this run has none.*window_start and window_end"):
        check_within(HANDLE, run, 7)


@pytest.mark.parametrize(("given", "created"), [(True, True), ("True", True), ("false", False), (False, False)])
def test_whether_a_table_is_created_may_be_a_template(*, given: Any, created: bool) -> None:
    assert "create_table" in GenesysExportToPostgresOperator.template_fields
    seen = observe(GenesysExportToPostgresOperator, {"table": "t", "handle": HANDLE, "create_table": given})
    assert seen.of("PostgresSink")["create_table"] is created
    with pytest.raises(ConfigurationError, match="create_table is 'perhaps'"):
        GenesysExportToPostgresOperator(task_id="load", handle="e", table="t", create_table="perhaps").make_sink()


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
