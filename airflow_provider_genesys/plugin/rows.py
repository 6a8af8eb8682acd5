"""Reads task instances and XComs of loads from Airflow's metadata database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import or_, select, tuple_
from sqlalchemy.orm import Session

XCOMS = ("return_value", "checkpoint", "reconciliation", "failure")
"""What is read. Handles and links, which hold sealed URLs, are not."""
MOST = 10_000
"""Task instances that are read, the newest first."""
_AT_ONCE = 500
"""Runs in one query of XComs."""

_MARK = "genesys_api_url"
"""The XCom that every load has, even one by a user's own subclass of an operator."""
_COLUMNS = {
    "dag_id": TaskInstance.dag_id,
    "run_id": TaskInstance.run_id,
    "task_id": TaskInstance.task_id,
    "map_index": TaskInstance.map_index,
    "state": TaskInstance.state,
    "operator": TaskInstance.operator,
    "try_number": TaskInstance.try_number,
    "started_at": TaskInstance.start_date,
    "ended_at": TaskInstance.end_date,
    "interval_start": DagRun.data_interval_start,
    "interval_end": DagRun.data_interval_end,
    "run_after": DagRun.run_after,
}
TaskKey = tuple[str, str, str, int]


def dag_ids(session: Session) -> list[str]:
    """Return the DAGs that have loads."""
    named = select(TaskInstance.dag_id).where(TaskInstance.operator.like("Genesys%")).distinct()
    marked = select(XComModel.dag_id).where(XComModel.key == _MARK).distinct()
    return sorted({*session.scalars(named), *session.scalars(marked)})


def task_instances(session: Session, dag_ids: Iterable[str]) -> list[dict[str, Any]]:
    """Return the task instances of these DAGs' loads, the newest run first, each with its :data:`XCOMS`."""
    named = TaskInstance.operator.like("Genesys%")
    marked = select(XComModel.dag_run_id).where(
        XComModel.key == _MARK, XComModel.dag_run_id == DagRun.id, XComModel.task_id == TaskInstance.task_id
    )
    chosen = _joined().where(TaskInstance.dag_id.in_(list(dag_ids)), or_(named, marked.exists()))
    return _with_xcoms(session, chosen.order_by(DagRun.run_after.desc()).limit(MOST))


def task_instance(session: Session, key: TaskKey) -> dict[str, Any] | None:
    """Return one task instance with its :data:`XCOMS`; None where there is none."""
    here = (TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.task_id, TaskInstance.map_index)
    found = _with_xcoms(session, _joined().where(tuple_(*here) == tuple_(*key)))
    return found[0] if found else None


def reconciliations(session: Session, dag_id: str) -> list[dict[str, Any]]:
    """Return the task instances of the DAG that only reconcile, each with its :data:`XCOMS`."""
    here = _joined().where(TaskInstance.dag_id == dag_id, TaskInstance.operator == "GenesysReconcileOperator")
    return _with_xcoms(session, here.order_by(DagRun.run_after.desc()).limit(MOST))


def _joined() -> Any:
    same_run = (TaskInstance.dag_id == DagRun.dag_id) & (TaskInstance.run_id == DagRun.run_id)
    return select(DagRun.id, *_COLUMNS.values()).select_from(TaskInstance).join(DagRun, same_run)


def _with_xcoms(session: Session, chosen: Any) -> list[dict[str, Any]]:
    rows = session.execute(chosen).all()
    found: dict[tuple[int, str, int], dict[str, Any]] = {}
    for run, *values in rows:
        row = dict(zip(_COLUMNS, values, strict=True))
        found[run, row["task_id"], row["map_index"]] = row
    for run, task, index, key, value in _xcoms(session, sorted({run for run, *_ in rows})):
        if (run, task, index) in found:
            found[run, task, index][key] = value
    return list(found.values())


def _xcoms(session: Session, runs: list[int]) -> Iterator[tuple[int, str, int, str, Any]]:
    wanted = (XComModel.dag_run_id, XComModel.task_id, XComModel.map_index, XComModel.key, XComModel.value)
    for start in range(0, len(runs), _AT_ONCE):
        some = runs[start : start + _AT_ONCE]
        chosen = select(*wanted).where(XComModel.dag_run_id.in_(some), XComModel.key.in_(XCOMS))
        for row in session.execute(chosen):
            yield (*row[:4], decoded(row))


def decoded(row: Any) -> Any:
    """Return the value of an XCom's row; None if Airflow cannot read it, e.g. of a class that it does not allow."""
    try:
        return XComModel.deserialize_value(row)
    except Exception:  # noqa: BLE001 - whatever another task has stored must not break the page for all
        return None
