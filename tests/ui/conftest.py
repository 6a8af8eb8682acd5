"""An API server of a real Airflow, with real loads behind it. airflow_home comes first: it decides on the Airflow."""

from __future__ import annotations

from tests.support.airflow_home import HOME, airflow_db, run_dag

# isort: split
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from airflow.sdk import DAG
from playwright.sync_api import Browser, Page, expect, sync_playwright

from airflow_provider_genesys.operators.export import GenesysCreateExportOperator
from airflow_provider_genesys.operators.reconcile import GenesysReconcileOperator
from airflow_provider_genesys.sensors.export import GenesysExportSensor
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from airflow_provider_genesys.testing.fault_proxy import Fault, FaultProxy
from airflow_provider_genesys.testing.services import PostgresServer, S3Server, free_port
from airflow_provider_genesys.transfers.genesys_to_postgres import GenesysExportToPostgresOperator
from tests.support.narrow_rights import GUEST, HIDDEN
from tests.support.shipped_dag import shipped_dag
from tests.support.watching import until

__all__ = ["airflow_db"]

FIRST = datetime(2026, 11, 2, tzinfo=timezone.utc)
RECORDINGS, DETAILS, DRIFTED = "genesys_recordings_daily", "details", "drifted"
expect.set_options(timeout=30_000)  # a busy machine draws slowly
USERS = {"admin": "admin", GUEST: "viewer"}


@pytest.fixture(scope="session")
def loads(postgres: PostgresServer, s3: S3Server, airflow_db: Path) -> Iterator[None]:
    """Days of recordings, one of them failed, one drifted and one at work; two of details, one of them with a hole."""
    forget_runs()
    dsn = postgres.create_database("ui")
    bucket = s3.create_bucket(f"ui-{os.getpid()}")
    connections = {"POSTGRES_DEFAULT": {**postgres.connection(), "schema": "ui"}, "AWS_DEFAULT": s3.connection()}
    with (
        pytest.MonkeyPatch.context() as patch,
        FakeGenesys(records=2_000, broken=6, seed=11) as genesys,
        FaultProxy(genesys.url) as proxy,
    ):
        genesys.conversations = 40
        for name, connection in {**connections, "GENESYS_DEFAULT": {**genesys.connection(), "host": proxy.url}}.items():
            patch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(connection))
        for day in (0, 1, 2, 4):
            recordings(FIRST + timedelta(days=day), bucket)
        recordings(FIRST + timedelta(days=5), bucket, max_dead_letters=0)
        details(FIRST), details(FIRST + timedelta(days=1))
        with psycopg.connect(dsn) as connection:
            connection.execute(
                "DELETE FROM details WHERE conversation_id IN (SELECT min(conversation_id) FROM details)"
            )
        details(FIRST, again=True), details(FIRST + timedelta(days=1), again=True)
        details(FIRST, dag_id=HIDDEN, table="hidden")
        genesys.broken = 0
        drifted(FIRST)
        genesys.records = 12_000
        proxy.plan(Fault(rate=30_000), forever=True, path="/archive/")
        with at_work(FIRST + timedelta(days=6), bucket):
            yield


def forget_runs() -> None:
    """Remove what other tests of this session have run: the pages would show it."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    with create_session() as session:
        for table in (XComModel, TaskInstance, DagRun):
            session.execute(delete(table))


def recordings(day: datetime, bucket: str, **loading: Any) -> Any:
    """Run the shipped DAG for one day."""
    dag = shipped_dag(RECORDINGS)
    for task in dag.tasks:
        if task.task_id.startswith("load_into_"):
            vars(task).update(loading)
    due = day + timedelta(days=1)
    return run_dag(dag, due, run_after=due, s3_bucket=bucket)


OLDER = """
name: recordings_before_the_queues
version: 1
key: recordingId
timestamp: timestamp
modes: {missing: evolve}
columns:
  recordingId: {type: string, required: true}
  timestamp: {type: timestamp, required: true}
  durationMs: {type: integer, required: true}
  language: {type: string, required: true}
"""


def drifted(day: datetime) -> Any:
    """Load one day of recordings by a contract that is older than the archive."""
    contract = HOME / "older.yaml"
    contract.write_text(OLDER)
    window = {"window_start": day.isoformat(), "window_end": (day + timedelta(days=1)).isoformat()}
    with DAG(DRIFTED, schedule=None, start_date=FIRST) as dag:
        create = GenesysCreateExportOperator(task_id="create", **window)
        wait = GenesysExportSensor(task_id="wait", export_id=create.output)
        wait.poll_interval = 0.05
        GenesysExportToPostgresOperator(task_id="load", handle=wait.output, table="drifted", contract=str(contract))
    due = day + timedelta(days=1)
    return run_dag(dag, due, run_after=due)


def details(day: datetime, *, dag_id: str = DETAILS, table: str = "details", again: bool = False) -> Any:
    """Load one day of conversation details; or, ``again``, compare only."""
    window = {"window_start": day.isoformat(), "window_end": (day + timedelta(days=1)).isoformat()}
    with DAG(dag_id, schedule=None, start_date=FIRST) as dag:
        create = GenesysCreateExportOperator(task_id="create", kind="conversation_details", **window)
        wait = GenesysExportSensor(task_id="wait", kind="conversation_details", export_id=create.output)
        wait.poll_interval = 0.05
        GenesysExportToPostgresOperator(task_id="load", handle=wait.output, table=table)
        GenesysReconcileOperator(task_id="reconcile", table=table, **window)
    due = day + timedelta(days=30 if again else 1)
    return run_dag(dag, due, run_after=due, skipped="create|wait|load" if again else "reconcile")


AT_WORK = """
import sys
from datetime import datetime

from tests.support.shipped_dag import shipped_dag

dag, due = shipped_dag(sys.argv[1]), datetime.fromisoformat(sys.argv[2])
dag.get_task("load_into_postgres").batch_size = 20
dag.test(logical_date=due, run_after=due, run_conf={"s3_bucket": sys.argv[3]}, mark_success_pattern="load_into_s3")
"""


@contextmanager
def at_work(day: datetime, bucket: str) -> Iterator[None]:
    """Run the shipped DAG for one day in a separate process, and go on when its load shows progress; end it after."""
    arguments = (RECORDINGS, (day + timedelta(days=1)).isoformat(), bucket)
    with (HOME / "at-work.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", AT_WORK, *arguments],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        until(shows_progress, seconds=400, what="a running load's progress")
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


def shows_progress() -> bool:
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    same = (XComModel.run_id == TaskInstance.run_id) & (XComModel.task_id == TaskInstance.task_id)
    running = select(XComModel.run_id).join(TaskInstance, same)
    with create_session() as session:
        return bool(session.scalar(running.where(XComModel.key == "checkpoint", TaskInstance.state == "running")))


@pytest.fixture(scope="session")
def server(loads: None) -> Iterator[str]:
    """Address of the API server."""
    passwords = HOME / "passwords.json"
    passwords.write_text(json.dumps({name: name for name in USERS}))
    port = free_port()
    url = f"http://127.0.0.1:{port}/airflow"
    settings = {
        "AIRFLOW__CORE__AUTH_MANAGER": "tests.support.narrow_rights.NarrowRights",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in USERS.items()),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__API__BASE_URL": url,
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    command = [sys.executable, "-m", "airflow", "api-server", "--host", "127.0.0.1", "--port", str(port)]
    with (HOME / "api-server.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--workers", "1"], env=os.environ | settings, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for(f"{url}/api/v2/version", process)
        yield url
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until the server answers."""
    for _ in range(600):
        assert process.poll() is None, (HOME / "api-server.log").read_text()[-3000:]
        try:
            httpx.get(url, timeout=5)
        except httpx.TransportError:
            time.sleep(0.2)
        else:
            return
    pytest.fail((HOME / "api-server.log").read_text()[-3000:])


def token(server: str, user: str) -> str:
    """Return what ``user`` is recognised by."""
    answer = httpx.post(f"{server}/auth/token", json={"username": user, "password": user}, timeout=30)
    return str(answer.json()["access_token"])


@pytest.fixture(scope="session")
def client(server: str) -> Iterator[dict[str, httpx.Client]]:
    """Clients by user; "" is nobody."""
    headers = {name: {"Authorization": f"Bearer {token(server, name)}"} for name in USERS} | {"": {}}
    made = {name: httpx.Client(base_url=server, headers=held, timeout=30) for name, held in headers.items()}
    yield made
    for one in made.values():
        one.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without a window. Playwright's event loop must not outlast the file: others have their own."""
    found = shutil.which("chromium")
    assert found, "Chromium is not installed: CI=true ./run test installs it, or apt-get install chromium"
    with sync_playwright() as playwright:
        # Without its own sandbox, which root may not use; it shows pages of this machine alone.
        started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, server: str) -> Iterator[Page]:
    """A page of a browser in which the admin is logged in; what its scripts complain of fails the test."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        host = httpx.URL(server).host
        context.add_cookies([{"name": "_token", "value": token(server, "admin"), "domain": host, "path": "/"}])
        opened, complaints = context.new_page(), []
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.on("console", lambda message: message.type == "error" and complaints.append(message.text))
        yield opened
        assert complaints == []
