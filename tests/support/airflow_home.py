"""An Airflow of this test session's own: a temporary AIRFLOW_HOME with SQLite.

Import this, in a conftest.py, before airflow: it sets the environment that Airflow reads once, when first imported.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support import execution_api

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.sdk import DAG

if "airflow" in sys.modules:
    raise RuntimeError("airflow is imported already: import airflow_home first, in a conftest.py")

HOME = Path(tempfile.mkdtemp(prefix="airflow-home-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
BUNDLE = "dags-folder"

os.environ |= {
    "AIRFLOW_HOME": str(HOME),
    "AIRFLOW__CORE__DAGS_FOLDER": str(HOME / "dags"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    # Airflow 3.1 would run a DAG that has changed within 30 seconds as it was before.
    "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME}/airflow.db",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
}
# When it is imported, it reads the list of its metrics, for which the loader in Python takes two seconds.
yaml.safe_load = partial(yaml.load, Loader=yaml.CSafeLoader)


@pytest.fixture(scope="session")
def airflow_db() -> Path:
    """Make the metadata database; return AIRFLOW_HOME."""
    return make_airflow_db()


@cache
def make_airflow_db() -> Path:
    """Make the metadata database, once; return AIRFLOW_HOME."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.providers.standard.triggers import temporal
    from airflow.sdk.definitions import dag
    from airflow.utils.db import initdb
    from jsonschema import Draft202012Validator
    from sqlalchemy import Engine, event

    # Airflow checks the schema of each Param each time that it looks at the value.
    good = cache(lambda schema, check=Draft202012Validator.check_schema: check(json.loads(schema)))
    Draft202012Validator.check_schema = lambda schema: good(json.dumps(schema))  # type: ignore[method-assign]
    event.listen(Engine, "connect", _never_wait_for_the_disk)
    # While a task waits for its next try, dag.test() looks once a second.
    dag.time = SimpleNamespace(sleep=lambda _: time.sleep(0.05))  # type: ignore[attr-defined]
    # So does a trigger that waits for a time, however short that is.
    temporal.asyncio = SimpleNamespace(sleep=lambda _: asyncio.sleep(0.02))  # type: ignore[attr-defined]
    (HOME / "dags").mkdir(exist_ok=True)
    initdb()
    DagBundlesManager().sync_bundles_to_db()
    return HOME


def _never_wait_for_the_disk(connection: Any, _: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


def run_dag(
    dag: DAG,
    logical_date: datetime | None,
    *,
    run_after: datetime | None = None,
    skipped: str | None = None,
    **conf: Any,
) -> DagRun:
    """Run ``dag`` once, in this process, with its retries and with triggers inline.

    :param logical_date: the data interval is the one that a run triggered by hand at that time has; None for a run
        without one.
    :param run_after: when the run was to begin; now, where it is not given.
    :param skipped: regular expression for the ids of tasks that are marked as successful without being run.
    :param conf: the conf of the run.
    """
    execution_api.quicken()
    run: DagRun = serialized(dag).test(
        logical_date=logical_date, run_after=run_after, run_conf=conf or None, mark_success_pattern=skipped
    )
    return run


def serialized(dag: DAG) -> DAG:
    """Write ``dag`` to the metadata database, where the Execution API looks for it; return it."""
    try:
        from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    except ImportError:  # before Airflow 3.2
        from airflow.models.dagbag import DagBag, sync_bag_to_db

    bag = DagBag(dag_folder=os.devnull, collect_dags=False)
    bag.bag_dag(dag)
    sync_bag_to_db(bag, BUNDLE, None)
    return dag


def states(run: DagRun) -> dict[str, str]:
    """Return the state of each task of ``run``."""
    return {ti.task_id: str(ti.state) for ti in run.get_task_instances()}


def xcoms(run: DagRun, task_id: str) -> dict[str, Any]:
    """Return what a task of ``run`` pushed, by key."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    query = select(XComModel).where(XComModel.run_id == run.run_id, XComModel.task_id == task_id)
    with create_session() as session:
        return {row.key: XComModel.deserialize_value(row) for row in session.scalars(query)}
