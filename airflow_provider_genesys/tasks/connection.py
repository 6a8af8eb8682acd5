"""What operators and sensors share: the hook of their Genesys connection, and the folder of their DAG."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

    from airflow_provider_genesys.hooks.genesys import GenesysCloudHook


class UsesGenesys:
    """An operator with the argument ``genesys_conn_id``."""

    genesys_conn_id: str

    @cached_property
    def hook(self) -> GenesysCloudHook:
        """The hook of ``genesys_conn_id``."""
        from airflow_provider_genesys.hooks.genesys import GenesysCloudHook

        return GenesysCloudHook(self.genesys_conn_id)


def dag_folder(task: BaseOperator) -> str:
    """Return the folder that relative paths in a task's arguments begin at: that of the DAG's file."""
    dag = task.get_dag()
    return str(dag.folder) if dag else "."
