"""The DAGs of docs/warehouses.md parse, and their checks compare what the warehouse reports with the certificate.

No warehouse runs here. Airflow's provider for Google is not installed here either: its modules are stand-ins.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import pytest
from airflow.sdk import DAG, BaseOperator

FOLDER = Path(__file__).parents[2] / "docs" / "dags"
LIST = "s3://lake/raw/load/_list.json"
CERTIFICATE = {
    "window_start": "2026-11-22T00:00:00+00:00",
    "window_end": "2026-11-23T00:00:00+00:00",
    "lists": {"rows": {"rows": 7, "redshift": LIST, "snowflake": LIST, "bigquery": LIST}},
}


class InsertJob(BaseOperator):
    template_fields = ("configuration",)

    def __init__(self, *, configuration: Any, project_id: str, location: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.configuration = configuration


@pytest.fixture(autouse=True)
def google(monkeypatch: pytest.MonkeyPatch) -> dict[str, MagicMock]:
    hooks = {"BigQueryHook": MagicMock(), "GCSHook": MagicMock()}
    for name, members in {
        "hooks.bigquery": {"BigQueryHook": hooks["BigQueryHook"]},
        "hooks.gcs": {"GCSHook": hooks["GCSHook"]},
        "operators.bigquery": {"BigQueryInsertJobOperator": InsertJob},
    }.items():
        module = ModuleType(f"airflow.providers.google.cloud.{name}")
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return hooks


def parsed(name: str) -> dict[str, Any]:
    shown: dict[str, Any] = {"__name__": name, "__doc__": ""}
    source = (FOLDER / f"{name}.py").read_text()
    exec(compile(source, name, "exec"), shown)  # noqa: S102 - our own page
    return shown


@pytest.mark.parametrize(
    ("name", "tasks"),
    [
        ("genesys_to_redshift", ["create", "wait", "to_s3", "copy", "check"]),
        ("genesys_to_snowflake", ["create", "wait", "to_s3", "statements", "copy", "check"]),
        ("genesys_to_bigquery", ["create", "wait", "to_gcs", "configuration", "load", "check"]),
    ],
)
def test_a_dag_loads_copies_and_checks_in_this_order(name: str, tasks: list[str]) -> None:
    dag: DAG = parsed(name)["dag"]
    assert [task.task_id for task in dag.topological_sort()] == tasks
    assert dag.get_task("check").upstream_task_ids == {tasks[-2], tasks[2]}
    assert not dag.catchup


def run(dag: dict[str, Any], name: str, *given: Any) -> Any:
    return dag[name].function(*given)


def test_redshift_reports_the_last_copy() -> None:
    dag, hook = parsed("genesys_to_redshift"), MagicMock()
    dag["RedshiftDataHook"] = dag["check"].function.__globals__["RedshiftDataHook"] = hook
    answer = hook.return_value.conn.get_statement_result
    answer.return_value = {"Records": [[{"longValue": 7}]]}
    assert run(dag, "check", ["a", "b", "c"], CERTIFICATE) == 7
    answer.assert_called_once_with(Id="c")
    answer.return_value = {"Records": [[{"longValue": 6}]]}
    with pytest.raises(ValueError, match="copied 6 rows and the list leads to 7"):
        run(dag, "check", ["c"], CERTIFICATE)


def test_snowflake_reports_rows_file_by_file() -> None:
    dag, hook = parsed("genesys_to_snowflake"), MagicMock()
    dag["statements"].function.__globals__["S3Hook"] = hook
    hook.return_value.read_key.return_value = json.dumps({"statements": ["COPY INTO <table> FROM @<stage>"]})
    deleted, copied = run(dag, "statements", CERTIFICATE)
    hook.return_value.read_key.assert_called_once_with("raw/load/_list.json", "lake")
    assert "timestamp >= '2026-11-22T00:00:00+00:00'" in deleted
    assert copied == "COPY INTO recordings FROM @lake FORCE = TRUE"
    answers = [[[12]], [["a", "LOADED", 4, 4], ["b", "LOADED", 3, 3]]]
    assert run(dag, "check", answers, CERTIFICATE) == 7
    with pytest.raises(ValueError, match="loaded 4 rows and the list leads to 7"):
        run(dag, "check", [[[12]], answers[1][:1]], CERTIFICATE)


def test_bigquery_reports_the_rows_of_the_job(google: dict[str, MagicMock]) -> None:
    dag, store = parsed("genesys_to_bigquery"), google["GCSHook"].return_value
    listed: dict[str, Any] = {"source_format": "PARQUET", "source_uris": [["gs://lake/a", "gs://lake/b"]]}
    store.download.return_value = json.dumps(listed).encode()
    load = run(dag, "configuration", CERTIFICATE)["load"]
    store.download.assert_called_once_with("lake", "raw/load/_list.json")
    assert (load["sourceUris"], load["sourceFormat"]) == (["gs://lake/a", "gs://lake/b"], "PARQUET")
    assert load["destinationTable"]["tableId"] == "recordings$20261122"
    store.download.return_value = json.dumps({**listed, "source_uris": [["a"], ["b"]]}).encode()
    with pytest.raises(ValueError, match="larger part_size"):
        run(dag, "configuration", CERTIFICATE)

    job = google["BigQueryHook"].return_value.get_job
    job.return_value.output_rows = 7
    assert run(dag, "check", "job-1", CERTIFICATE) == 7
    job.return_value.output_rows = 8
    with pytest.raises(ValueError, match="written 8 rows and the list leads to 7"):
        run(dag, "check", "job-1", CERTIFICATE)
