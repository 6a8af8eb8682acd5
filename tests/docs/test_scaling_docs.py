"""The DAG of docs/scaling.md."""

from __future__ import annotations

import re
from pathlib import Path

from airflow.sdk import DAG

from airflow_provider_genesys.operators.shards import GenesysPlanShardsOperator
from airflow_provider_genesys.operators.verify import GenesysVerifyExportOperator
from airflow_provider_genesys.sensors.export import GenesysExportSensor
from airflow_provider_genesys.transfers.genesys_to_postgres import GenesysExportToPostgresOperator

PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"


def test_the_example_is_a_dag_whose_load_is_mapped() -> None:
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names = {
        operator.__name__: operator
        for operator in (GenesysPlanShardsOperator, GenesysExportToPostgresOperator, GenesysVerifyExportOperator)
    }
    with DAG("example", schedule=None) as dag:
        exec(code, {**names, "wait": GenesysExportSensor(task_id="wait", export_id="export-1")})  # noqa: S102 - our page
    assert dag.get_task("load_into_postgres").is_mapped
    assert dag.get_task("certificate").upstream_task_ids == {"load_into_postgres"}
    assert dag.get_task("load_into_postgres").upstream_task_ids == {"wait", "plan_shards"}
