"""Create and wait as Airflow runs them: with real XComs, deferrals, retries and state store."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from airflow.sdk import DAG
from airflow.sdk.execution_time import context as airflow_context

from airflow_provider_genesys.hooks.genesys import GenesysCloudHook
from airflow_provider_genesys.operators.export import GenesysCreateExportOperator
from airflow_provider_genesys.sensors.export import GenesysExportSensor
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from tests.support.airflow_home import run_dag, states, xcoms
from tests.support.task_context import looks, posts

try:
    from airflow.sdk import CronDataIntervalTimetable
except ImportError:
    from airflow.timetables.interval import CronDataIntervalTimetable

Start = Callable[..., FakeGenesys]
DAILY = CronDataIntervalTimetable("0 0 * * *", timezone="UTC")
BEGIN = datetime(2026, 11, 1, tzinfo=timezone.utc)
LOGICAL_DATE = datetime(2026, 11, 23, tzinfo=timezone.utc)
pytestmark = pytest.mark.usefixtures("airflow_db")


def make_dag(dag_id: str, create: dict[str, Any], wait: dict[str, Any] | None = None, schedule: Any = DAILY) -> DAG:
    """Return create, and with ``wait`` a sensor after it; retries come at once."""
    with DAG(dag_id, schedule=schedule, start_date=BEGIN, default_args={"retry_delay": timedelta(0)}) as dag:
        export_id = GenesysCreateExportOperator(task_id="create", **create).output
        if wait is not None:
            GenesysExportSensor(task_id="wait", export_id=export_id, poll_interval=0.05, **wait)
    return dag


def test_a_day_is_exported_and_waited_for_deferred(start_genesys: Start, airflow_db: Path) -> None:
    genesys = start_genesys(job_polls=3)
    run = run_dag(make_dag("deferred", {}, {"deferrable": True}), LOGICAL_DATE)
    assert states(run) == {"create": "success", "wait": "success"}
    export, handle = xcoms(run, "create")["export"], xcoms(run, "wait")["return_value"]
    assert handle["export_id"] == export["export_id"] == xcoms(run, "create")["return_value"]
    assert (handle["window_start"], handle["window_end"]) == ("2026-11-22T00:00:00+00:00", "2026-11-23T00:00:00+00:00")
    signature = parse_qs(urlsplit(GenesysCloudHook().open_file_uri(handle).url).query)["X-Amz-Signature"][0]
    stored = b"".join(path.read_bytes() for path in airflow_db.glob("airflow.db*"))
    assert handle["file_uri"].encode() in stored
    assert signature.encode() not in stored
    # one look before the deferral, three of the trigger, one after it
    assert looks(genesys) == 5


def test_a_worker_can_wait_as_well(start_genesys: Start) -> None:
    genesys = start_genesys(job_polls=3)
    run = run_dag(make_dag("in_worker", {}, {"deferrable": False}), LOGICAL_DATE)
    assert states(run) == {"create": "success", "wait": "success"}
    assert looks(genesys) == 4


def test_a_failed_export_fails_the_sensor_without_a_retry(start_genesys: Start, capfd: Any) -> None:
    genesys = start_genesys(job_polls=2, outcome="FAILED")
    run = run_dag(make_dag("failing", {}, {"deferrable": True, "retries": 5}), LOGICAL_DATE)
    assert states(run)["wait"] == "failed"
    assert run.get_task_instance("wait").try_number == 1
    assert looks(genesys) == 4
    assert "Clear the task that created it" in capfd.readouterr().out


def test_a_soft_sensor_is_skipped_after_a_deferral(start_genesys: Start) -> None:
    start_genesys(job_polls=2, outcome="FAILED")
    run = run_dag(make_dag("softly", {}, {"deferrable": True, "soft_fail": True}), LOGICAL_DATE)
    assert states(run)["wait"] == "skipped"


def test_a_deferred_wait_has_an_end(start_genesys: Start) -> None:
    start_genesys(job_polls=1_000)
    run = run_dag(make_dag("too_long", {}, {"deferrable": True, "timeout": 1, "retries": 5}), LOGICAL_DATE)
    assert states(run)["wait"] == "failed"
    assert run.get_task_instance("wait").try_number == 1


def test_a_retry_adopts_the_export_of_the_first_try(genesys: FakeGenesys) -> None:
    def fail_once(context: Any, result: Any) -> None:
        if context["ti"].try_number == 1:
            raise OSError(f"worker lost after {result}")

    run = run_dag(make_dag("adopting", {"retries": 2, "post_execute": fail_once}), LOGICAL_DATE)
    assert states(run) == {"create": "success"}
    assert run.get_task_instance("create").try_number == 2
    # Before Airflow 3.3 nothing outlives the try, and a wasted export is accepted.
    assert posts(genesys) == (1 if hasattr(airflow_context, "TaskStateStoreAccessor") else 2)
    assert list(genesys.exports)[-1] == xcoms(run, "create")["return_value"]


def test_one_retry_remakes_a_failed_export_with_a_deferred_wait(start_genesys: Start) -> None:
    genesys = start_genesys(job_polls=2, outcome="FAILED")

    def heal(_: Any) -> None:
        genesys.outcome = "COMPLETED"

    waiting = {"wait_for_completion": True, "deferrable": True, "poll_interval": 0.05}
    run = run_dag(make_dag("remaking", {**waiting, "retries": 1, "on_retry_callback": heal}), LOGICAL_DATE)
    assert states(run) == {"create": "success"}
    assert posts(genesys) == 2
    second = list(genesys.exports)[1]
    assert xcoms(run, "create")["return_value"] == xcoms(run, "create")["export"]["export_id"] == second


@pytest.mark.parametrize(("schedule", "logical_date"), [("@daily", LOGICAL_DATE), (DAILY, None)])
def test_a_run_without_a_window_fails_before_anything_is_asked(
    genesys: FakeGenesys, schedule: Any, logical_date: datetime | None
) -> None:
    run = run_dag(make_dag("windowless", {"retries": 5}, schedule=schedule), logical_date)
    assert states(run) == {"create": "failed"}
    assert run.get_task_instance("create").try_number == 1
    assert not genesys.requests


def test_the_conf_of_a_run_gives_the_window(genesys: FakeGenesys) -> None:
    run = run_dag(make_dag("by_hand", {}), None, window_start="2026-03-01", window_end="2026-03-02")
    assert xcoms(run, "create")["export"]["window_start"] == "2026-03-01T00:00:00+00:00"
    assert len(genesys.exports) == 1


def test_templates_give_the_window(genesys: FakeGenesys) -> None:
    arguments = {"window_start": "{{ data_interval_start }}", "window_end": "{{ dag_run.data_interval_end }}"}
    run = run_dag(make_dag("templated", arguments), LOGICAL_DATE)
    assert xcoms(run, "create")["export"]["window_end"] == "2026-11-23T00:00:00+00:00"
    assert len(genesys.exports) == 1


def test_parsing_a_dag_needs_neither_network_nor_heavy_packages(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from airflow_provider_genesys.operators.export import GenesysCreateExportOperator\n"
        "from airflow_provider_genesys.sensors.export import GenesysExportSensor\n"
        "GenesysCreateExportOperator(task_id='create')\n"
        "GenesysExportSensor(task_id='wait', export_id='{{ params.export_id }}')\n"
        "print(*sorted({'boto3', 'psycopg', 'pandas', 'pyarrow', 'airflow_provider_genesys.cloud.http.client',\n"
        "               'airflow_provider_genesys.hooks.genesys'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == ""
