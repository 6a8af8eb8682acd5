"""The DAGs that the project ships parse without a service, a connection or a network."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.support.shipped_dag import DAGS, shipped_dag

NAMES = sorted(path.stem for path in DAGS.glob("*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_a_dag_parses_without_any_service(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the DAG opens a connection while it is parsed")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for connection in ("GENESYS", "POSTGRES", "AWS"):
        monkeypatch.delenv(f"AIRFLOW_CONN_{connection}_DEFAULT", raising=False)
    dag = shipped_dag(name)
    assert dag.doc_md
    assert not dag.catchup
    assert all(task.retries >= 1 for task in dag.tasks)
    assert {task.pool for task in dag.tasks} == {"default_pool"}


def test_the_daily_dag_has_windows_with_a_length() -> None:
    dag = shipped_dag("genesys_recordings_daily")
    assert type(dag.timetable).__name__ == "CronDataIntervalTimetable"
    assert dag.max_active_runs == 2
    assert dag.params["file_format"] == "ndjson"


def test_a_bulk_export_is_waited_for_as_long_as_archived_recordings_take() -> None:
    dag = shipped_dag("genesys_recording_bulk_export")
    assert dag.get_task("wait_for_export").timeout == 3 * 86_400
    assert dag.params["delay_days"] == 2, "Genesys may need 48 hours to find a recording"
