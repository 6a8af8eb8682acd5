"""What operators and sensors share: the hook of their Genesys connection, and the folder of their DAG."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from airflow_provider_genesys.tasks.failures import failing_fast
from airflow_provider_genesys.tasks.rendered import Rendered, text

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

    from airflow_provider_genesys.hooks.genesys import GenesysCloudHook


class UsesGenesys(Rendered):
    """An operator with the argument ``genesys_conn_id``."""

    genesys_conn_id: str

    @cached_property
    def hook(self) -> GenesysCloudHook:
        """The hook of ``genesys_conn_id``."""
        from airflow_provider_genesys.hooks.genesys import GenesysCloudHook

        with failing_fast():
            return GenesysCloudHook(text(self.genesys_conn_id, "genesys_conn_id"))


def dag_folder(task: BaseOperator) -> str:
    """Return the folder that relative paths in a task's arguments begin at: that of the DAG's file."""
    dag = task.get_dag()
    return str(dag.folder) if dag else "."
