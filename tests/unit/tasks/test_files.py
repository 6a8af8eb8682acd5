"""A YAML file that a template names is below a folder that the DAG names."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.operators.dead_letters import GenesysReplayDeadLettersOperator
from airflow_provider_genesys.operators.reconcile import GenesysReconcileOperator
from airflow_provider_genesys.tasks.files import check_file
from airflow_provider_genesys.transfers.genesys_entities_to_postgres import GenesysEntitiesToPostgresOperator
from airflow_provider_genesys.transfers.genesys_to_postgres import GenesysExportToPostgresOperator


@pytest.fixture
def dag(tmp_path: Path) -> DAG:
    for folder in ("dags", "dags/include", "contracts", "contracts-of-others"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.yaml").write_text("name: mine")
    (tmp_path / "dags" / "link.yaml").symlink_to(tmp_path / "contracts" / "mine.yaml")
    dag = DAG("d", schedule=None, start_date=datetime(2026, 11, 1, tzinfo=timezone.utc))
    dag.fileloc = str(tmp_path / "dags" / "dag.py")
    return dag


@pytest.mark.parametrize(
    ("written", "becomes", "refused"),
    [
        ("{{ params.c }}", "include/mine.yaml", False),
        ("{{ params.c }}", "recordings", False),
        ("{{ params.c }}", "{dags}/mine.yaml", False),
        ("{{ params.c }}", "{root}/contracts/mine.yaml", True),
        ("{{ params.c }}", "../contracts/mine.yaml", True),
        ("{{ params.c }}", "include/../../contracts/mine.yml", True),
        ("{{ params.c }}", "link.yaml", True),
        ("{{ params.c }}", "/etc/passwd.yaml", True),
        ("{root}/contracts/{{ params.c }}", "{root}/contracts/mine.yaml", False),
        ("../contracts/{{ params.c }}.yaml", "../contracts/mine.yaml", False),
        ("{root}/contracts/{{ params.c }}", "{root}/contracts/../dags-secret/mine.yaml", True),
        ("{root}/contracts{{ params.c }}", "{root}/contracts-of-others/mine.yaml", False),
        (None, "../contracts/mine.yaml", True),
        ("{root}/contracts/mine.yaml", "{root}/contracts/mine.yaml", False),
    ],
)
def test_what_a_template_names_is_below_what_the_dag_names(
    dag: DAG, tmp_path: Path, written: str | None, becomes: str, refused: bool
) -> None:
    def placed(text: str) -> str:
        return text.replace("{root}", str(tmp_path)).replace("{dags}", str(tmp_path / "dags"))

    with dag:
        one = GenesysReplayDeadLettersOperator(task_id="one", table="t")
    given = written and placed(written)
    if not refused:
        check_file(one, "contract", placed(becomes), given)
        return
    with pytest.raises(ConfigurationError, match=r"contract became .* Put the file there"):
        check_file(one, "contract", placed(becomes), given)


OUTSIDE = "../contracts/mine.yaml"


def test_every_operator_with_a_file_asks(dag: DAG, tmp_path: Path) -> None:
    template: Any = "{{ params.c }}"
    with dag:
        replay = GenesysReplayDeadLettersOperator(task_id="replay", table="t", contract=template)
        counted = GenesysReconcileOperator(task_id="counted", table="t", contract=template)
        listed = GenesysEntitiesToPostgresOperator(task_id="listed", table="t", entity=template)
        loaded = GenesysExportToPostgresOperator(task_id="loaded", table="t", handle="e", contract=template)
    replay.contract = counted.contract = listed.entity = loaded.contract = OUTSIDE
    handle = {"export_id": "e", "kind": "recordings", "window_start": "2026-11-01", "window_end": "2026-11-02"}
    context: Any = {}
    for ask in (
        lambda: replay._contract_of("recordings"),
        counted._view,
        listed.listing,
        lambda: loaded.load_of(handle, context),
    ):
        with pytest.raises(ConfigurationError, match="files that a template names"):
            ask()


def test_a_mapped_task_names_files_as_a_template_does(dag: DAG) -> None:
    with dag:
        mapped = GenesysReplayDeadLettersOperator.partial(task_id="mapped", table="t").expand(contract=[OUTSIDE])
    with DAG("other", schedule=None):
        one = GenesysReplayDeadLettersOperator(task_id="mapped", table="t", contract=OUTSIDE)
    one.__dict__["_dag"] = dag  # as Airflow makes a task of the mapped one
    assert mapped.task_id in dag.task_dict
    assert one.get_dag() is dag
    with pytest.raises(ConfigurationError, match="files that a template names"):
        check_file(one, "contract", OUTSIDE, OUTSIDE)
