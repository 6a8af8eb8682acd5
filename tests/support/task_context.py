"""A task instance of Airflow without a scheduler: for what a test wants to say of tries, clears and events.

The instance is a row in the session's metadata database. It runs in this process, and its context is Airflow's own:
XComs and the task state store go through a supervisor to the Execution API, as in ``dag.test()``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cache
from types import MappingProxyType, SimpleNamespace
from typing import Any
from uuid import UUID

from airflow_provider_genesys.cloud.exports.base import ExportRequest
from airflow_provider_genesys.hooks.genesys import GenesysCloudHook
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from tests.support.airflow_home import make_airflow_db, serialized

EXPORTS = "/api/v2/recordings/exports"
DAY_START = datetime(2026, 11, 22, tzinfo=timezone.utc)
DAY_END = datetime(2026, 11, 23, tzinfo=timezone.utc)
RUN = "scheduled__2026-11-23T00:00:00+00:00"

supervised = ExitStack()
"""Ends the supervisors of this test's tasks, and removes their runs; a fixture closes it."""


class Store:
    """One task instance through all its tries, with its entries in Airflow's ``task_state_store``."""

    def __init__(self) -> None:
        self._row: dict[str, Any] | None = None
        self._context: Any = None

    def get(self, key: str) -> Any:
        """Return what the task state store has under ``key``."""
        return self._context["task_state_store"].get(key)

    def next_try(
        self,
        *,
        max_tries: int = 2,
        clear_number: int = 0,
        try_number: int = 1,
        start_date: datetime | None = None,
        upstream: Mapping[str, Any] = MappingProxyType({}),
        run: Mapping[str, Any] = MappingProxyType({}),
        **ids: Any,
    ) -> Any:
        """Begin the next try; return its context.

        :param upstream: XCom ``export`` by task id; of a mapped task a list, with None for an instance without one.
        :param run: columns of the DAG run, where they are others than by default.
        :param ids: of the instance, where they are others than by default.
        """
        for task_id, exports in upstream.items():
            mapped = enumerate(exports) if isinstance(exports, list) else [(-1, exports)]
            for map_index, export in mapped:
                if export is not None:
                    Store().next_try(task_id=task_id, map_index=map_index)["ti"].xcom_push("export", export)
        self._row = self._row or _created(**ids)
        queued = {"state": "queued", "max_tries": max_tries, "try_number": try_number}
        _update(self._row, queued, {"clear_number": clear_number, "start_date": DAY_END, **run})
        self._context = _begun({**self._row, "try_number": try_number}, start_date or datetime.now(timezone.utc))
        return self._context


def context(store: Store | None = None, **given: Any) -> Any:
    """Return the context of a task's next try; its data interval is 22 November 2026.

    :param store: the task; None for one that has no task state store, as before Airflow 3.3.
    :param given: see :meth:`Store.next_try`.
    """
    if store is not None:
        return store.next_try(**given)
    return {name: value for name, value in Store().next_try(**given).items() if name != "task_state_store"}


def instance_in(state: str | None, **ids: Any) -> None:
    """Make another task instance, in that state."""
    _update(_created(**ids), {"state": state}, {})


def pushed(context: Any, key: str = "checkpoint") -> Any:
    """Return what the task has pushed as XCom ``key``."""
    ti = context["ti"]
    return ti.xcom_pull(task_ids=ti.task_id, key=key, map_indexes=None if ti.map_index < 0 else ti.map_index)


@dataclass
class _Ti:
    max_tries: int = 2
    dag_id: str = "a_dag"
    run_id: str = RUN
    task_id: str = "create"
    map_index: int = -1
    try_number: int = 1
    start_date: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    def xcom_push(self, key: str, value: Any) -> None:
        json.dumps(value)

    def xcom_pull(self, task_ids: str, key: str) -> None:
        """Say that there is none."""


def stand_in(run_id: str, moment: datetime, **more: Any) -> dict[str, Any]:
    """Return the context of a run that began at ``moment``, without an Execution API behind it.

    For processes that are killed, where nothing serves one, and for hundreds of cases that push nothing that is read.
    """
    run = SimpleNamespace(conf={}, clear_number=0, data_interval_start=DAY_START, data_interval_end=DAY_END)
    run.run_after = run.start_date = moment
    return {"ti": _Ti(run_id=run_id, **more), "dag_run": run, "params": {}}


@cache
def _make_dag(dag_id: str) -> None:
    from airflow.sdk import DAG

    make_airflow_db()
    serialized(DAG(dag_id, schedule=None))


@cache
def _moment(run_id: str) -> datetime:
    """Return a logical date for the run: no two runs of a DAG have the same."""
    return DAY_END if run_id == RUN else DAY_END + timedelta(seconds=1 + _moment.cache_info().currsize)


def _created(dag_id: str = "a_dag", run_id: str = RUN, task_id: str = "create", map_index: int = -1) -> dict[str, Any]:
    """Make a task instance, and its run if there is none, in place of an earlier test's; return the row's ids."""
    from airflow.models.dag_version import DagVersion
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.sdk import BaseOperator
    from airflow.utils.session import create_session
    from sqlalchemy import delete, select

    _make_dag(dag_id)
    ids = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index}
    with create_session() as session:
        version = DagVersion.get_latest_version(dag_id, session=session)
        session.execute(delete(TaskInstance).filter_by(**ids))
        if session.scalar(select(DagRun).filter_by(dag_id=dag_id, run_id=run_id)) is None:
            run = DagRun(dag_id, run_id, logical_date=_moment(run_id), data_interval=(DAY_START, DAY_END))
            run.run_type, run.state, run.conf, run.run_after = "scheduled", "running", {}, DAY_END
            session.add(run)
            session.flush()
            supervised.callback(_remove, dag_id, run_id)
        row = TaskInstance(_of_scheduler(BaseOperator(task_id=task_id)), version.id, run_id=run_id, map_index=map_index)
        row.dag_id = dag_id
        session.add(row)
        session.flush()
        return {**ids, "id": UUID(str(row.id)), "dag_version_id": UUID(str(version.id))}


def _remove(dag_id: str, run_id: str) -> None:
    """Remove a run with its task instances, their XComs and task states."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    with create_session() as session:
        session.execute(delete(DagRun).filter_by(dag_id=dag_id, run_id=run_id))


def _of_scheduler(task: Any) -> Any:
    try:
        from airflow.serialization.serialized_objects import create_scheduler_operator
    except ImportError:  # before Airflow 3.2
        return task
    return create_scheduler_operator(task)


def _update(row: dict[str, Any], of_task: dict[str, Any], of_run: dict[str, Any]) -> None:
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import update

    with create_session() as session:
        session.execute(update(TaskInstance).filter_by(id=row["id"]).values(of_task))
        session.execute(update(DagRun).filter_by(dag_id=row["dag_id"], run_id=row["run_id"]).values(of_run))


def _begun(row: dict[str, Any], start_date: datetime) -> Any:
    """Let a supervisor start the queued task instance, as a worker does; return the task's context."""
    import psutil
    import structlog
    from airflow.sdk import DAG, BaseOperator
    from airflow.sdk.api.datamodels._generated import TaskInstance
    from airflow.sdk.execution_time.supervisor import (
        InProcessSupervisorComms,
        InProcessTestSupervisor,
        set_supervisor_comms,
    )
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    instance, dag = TaskInstance(**row), DAG(row["dag_id"], schedule=None)
    client, log = InProcessTestSupervisor._api_client(dag), structlog.get_logger("task")
    supervisor = InProcessTestSupervisor(
        id=instance.id, pid=os.getpid(), process=psutil.Process(), process_log=log, client=client
    )
    supervisor.ti, supervisor.comms = instance, InProcessSupervisorComms(supervisor=supervisor)
    supervised.enter_context(set_supervisor_comms(supervisor.comms))
    started = client.task_instances.start(instance.id, os.getpid(), start_date)
    for key in started.xcom_keys_to_clear or ():
        client.xcoms.delete(instance.dag_id, instance.run_id, instance.task_id, key, instance.map_index)
    ti = RuntimeTaskInstance.model_construct(
        **instance.model_dump(exclude_unset=True),
        task=BaseOperator(task_id=instance.task_id, dag=dag),
        _ti_context_from_server=started,
        max_tries=started.max_tries,
        start_date=start_date,
        state="running",
    )
    return ti.get_template_context()


def run(operator: Any, context: dict[str, Any], event: dict[str, Any] | None = None) -> Any:
    """Execute ``operator``, or resume it with ``event``, and close its connections as the end of a worker does."""
    try:
        return operator.resume(context, event) if event else operator.execute(context)
    finally:
        operator.hook.get_conn().close()
        del operator.hook


def new_export() -> str:
    """Create an export, past the operator; return its id."""
    hook = GenesysCloudHook()
    with closing(hook.get_conn()):
        return hook.create_export("recordings", ExportRequest(DAY_START, DAY_END))


def posts(genesys: FakeGenesys) -> int:
    """Return how often an export was asked for."""
    return sum(seen.method == "POST" and seen.path == EXPORTS for seen in genesys.requests)


def looks(genesys: FakeGenesys) -> int:
    """Return how often the state of an export was asked for."""
    return sum(seen.method == "GET" and seen.path.startswith(EXPORTS) for seen in genesys.requests)
