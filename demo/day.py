"""Run a DAG once with ``airflow dags test``: real tasks, real triggers and XComs, without a scheduler to wait for."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from demo.embedded import Embedded

PATIENCE = 300.0
"""Seconds that one Airflow command may take."""
_OURS = re.compile(r"\[(?:info|warning|error) *\] (?P<message>.*?) +\[[\w.]*airflow_provider_genesys[\w.]*\]")
_TASK = re.compile(r"\[DAG TEST\] starting task_id=(?P<task>\w+)")


class AirflowFailedError(Exception):
    """An Airflow command ended with an error; the message says where its output lies."""


def prepare(services: Embedded) -> None:
    """Make Airflow's metadata database."""
    _airflow(services, ["db", "migrate"], lambda _: None)


def run_day(services: Embedded, dag_id: str, end: datetime, conf: dict[str, Any], show: Callable[[str], None]) -> None:
    """Run ``dag_id`` as at ``end``; ``show`` is given what a person wants to see of the log."""
    arguments = ["dags", "test", dag_id, end.isoformat(), "--conf", json.dumps(conf)]
    _airflow(services, arguments, lambda line: _show(line, show))


def _show(line: str, show: Callable[[str], None]) -> None:
    if task := _TASK.search(line):
        show(f"{task['task']}")
    elif ours := _OURS.search(line):
        show(f"    {ours['message']}")


def _airflow(services: Embedded, arguments: list[str], each: Callable[[str], None]) -> None:
    log = Path(services.home) / "output.log"
    command = [sys.executable, "-m", "airflow", *arguments]
    with (
        log.open("a") as kept,
        subprocess.Popen(
            command,
            env=services.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        assert process.stdout is not None  # noqa: S101 - it was asked for
        for line in process.stdout:
            kept.write(line)
            each(line)
        status = process.wait(timeout=PATIENCE)
    if status != 0:
        tail = "".join(log.read_text().splitlines(keepends=True)[-40:])
        raise AirflowFailedError(f"airflow {' '.join(arguments)} ended with {status}:\n{tail}")
