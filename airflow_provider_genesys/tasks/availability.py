"""Wait until Genesys has all data of a window, before the window is asked for."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Literal

from airflow.sdk import Context

from airflow_provider_genesys.cloud.exports.waiting import pause, seconds_left
from airflow_provider_genesys.exceptions import ExportTimeoutError
from airflow_provider_genesys.tasks.wait import TRIGGER_GRACE, WaitingTask, waiting_since
from airflow_provider_genesys.triggers.availability import GenesysAvailabilityTrigger

LateData = Literal["wait", "load"]
"""Where Genesys does not have all data of the window yet: wait for it, or load what there is, marked incomplete."""


def wait_for_data(task: WaitingTask, context: Context, until: datetime, late_data: LateData) -> None:
    """Return when Genesys has all data up to ``until``, or does not tell; at once where late data is no reason to wait.

    Defers where the task is deferrable; Airflow then calls the task's method ``resume``, and that calls this again.

    :raises ExportTimeoutError: it is not there within ``task.timeout``, counted from the first try.
    """
    if (found := _missing(task, until)) is None:
        return
    if late_data == "load":
        task.log.warning("Genesys has data until %s only: this export will not have all until %s.", found, until)
        return
    deadline = waiting_since(context, "data", until.isoformat()) + timedelta(seconds=task.timeout)
    task.log.info("Genesys has data until %s; waiting until it has all until %s.", found, until)
    if task.deferrable and seconds_left(deadline) > 0:
        _defer(task, until, deadline)
    polls = 0
    while (left := seconds_left(deadline)) > 0:
        time.sleep(min(pause(polls, task.poll_interval, task.max_poll_interval), left))
        polls += 1
        if (found := _missing(task, until)) is None:
            return
    raise ExportTimeoutError(
        f"Genesys has {task.kind} until {found} only, and not until {until} within {task.timeout:g} s. Give the task a "
        "longer timeout, let the DAG run later, or take what there is with late_data='load'."
    )


def _missing(task: WaitingTask, until: datetime) -> datetime | None:
    """Return to when Genesys has all data, if that is before ``until``."""
    found = task.hook.available_until(task.kind)
    return found if found and found < until else None


def _defer(task: WaitingTask, until: datetime, deadline: datetime) -> None:
    trigger = GenesysAvailabilityTrigger(
        until=until.isoformat(),
        deadline=deadline.isoformat(),
        kind=task.kind,
        genesys_conn_id=task.genesys_conn_id,
        poll_interval=task.poll_interval,
        max_poll_interval=task.max_poll_interval,
    )
    timeout = timedelta(seconds=seconds_left(deadline) + TRIGGER_GRACE)
    task.defer(trigger=trigger, method_name="resume", timeout=timeout)
