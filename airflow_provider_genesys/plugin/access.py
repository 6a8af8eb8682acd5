"""Checks rights with Airflow's own functions: an app that a plugin mounts is not checked by Airflow.

``airflow.api_fastapi`` is no public interface of Airflow. Where an import fails, the pages are not mounted.
"""

from __future__ import annotations

from collections.abc import Iterable

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, get_user, requires_access_dag
from fastapi import HTTPException, Request

__all__ = ["GetUserDep", "check_readable", "get_user", "readable"]


def check_readable(request: Request, user: GetUserDep, dag_id: str) -> None:
    """Raise 403 unless the user may see this DAG's task instances and XComs: the pages show what is in both."""
    for entity in (DagAccessEntity.TASK_INSTANCE, DagAccessEntity.XCOM):
        requires_access_dag("GET", entity, param_dag_id=dag_id)(request, user)


def readable(request: Request, user: GetUserDep, dag_ids: Iterable[str]) -> list[str]:
    """Return those of the DAGs that the user may see."""
    return [dag_id for dag_id in dag_ids if _may_read(request, user, dag_id)]


def _may_read(request: Request, user: GetUserDep, dag_id: str) -> bool:
    try:
        check_readable(request, user, dag_id)
    except HTTPException:
        return False
    return True
