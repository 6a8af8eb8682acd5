"""The DAGs that the project ships, made quick enough for tests."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_genesys.sensors.export import GenesysExportSensor

if TYPE_CHECKING:
    from airflow.sdk import DAG

DAGS = Path(__file__).parents[2] / "dags"


def shipped_dag(dag_id: str) -> DAG:
    """Return a DAG of ``dags/`` whose retries come at once and whose polls are not 5 s apart."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # before Airflow 3.2
        from airflow.models.dagbag import DagBag

    bag = DagBag(dag_folder=DAGS / f"{dag_id}.py")
    assert not bag.import_errors
    dag = bag.dags[dag_id]
    for task in dag.tasks:
        task.retry_delay = timedelta(0)
        if hasattr(task, "poll_interval"):
            task.poll_interval = 0.05
        elif task.is_mapped and issubclass(task.operator_class, GenesysExportSensor):
            task.partial_kwargs["poll_interval"] = 0.05
    return dag
