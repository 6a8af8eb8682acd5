"""Before an export is requested, wait until Genesys has all data of its window."""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from airflow.sdk import Context

from airflow_provider_genesys.cloud.exports.waiting import seconds_left
from airflow_provider_genesys.exceptions import ExportTimeoutError
from airflow_provider_genesys.retries import pause
from airflow_provider_genesys.tasks.wait import TRIGGER_GRACE, Defer, Wait, waiting_since
from airflow_provider_genesys.triggers.availability import GenesysAvailabilityTrigger

if TYPE_CHECKING:
    from airflow_provider_genesys.hooks.genesys import GenesysCloudHook

log = logging.getLogger(__name__)

LateData = Literal["wait", "load"]
"""What to do while Genesys lacks data of the window: wait for it, or load what there is, marked incomplete."""


def wait_for_data(
    hook: GenesysCloudHook,
    kind: str,
    until: datetime,
    wait: Wait,
    context: Context,
    *,
    late_data: LateData,
    defer: Defer | None,
) -> None:
    """Wait until Genesys has all data up to ``until``, unless it does not say, or ``late_data`` is ``load``.

    :param defer: defers the task while data is missing; the resumed task calls this again. None to poll in the worker.
    :raises ExportTimeoutError: data is still missing after ``wait.timeout``.
    """
    if (found := _missing(hook, kind, until)) is None:
        return
    if late_data == "load":
        log.warning("Genesys has data only until %s: this export will not have all data until %s.", found, until)
        return
    deadline = waiting_since(context, "data", until.isoformat()) + timedelta(seconds=wait.timeout)
    log.info("Genesys has data until %s; waiting until it has all until %s.", found, until)
    if defer and seconds_left(deadline) > 0:
        trigger = GenesysAvailabilityTrigger(
            until=until.isoformat(),
            deadline=deadline.isoformat(),
            kind=kind,
            genesys_conn_id=hook.genesys_conn_id,
            poll_interval=wait.poll_interval,
            max_poll_interval=wait.max_poll_interval,
        )
        defer(trigger=trigger, timeout=timedelta(seconds=seconds_left(deadline) + TRIGGER_GRACE))
    polls = 0
    while (left := seconds_left(deadline)) > 0:
        time.sleep(min(pause(polls, wait.poll_interval, wait.max_poll_interval), left))
        polls += 1
        if (found := _missing(hook, kind, until)) is None:
            return
    raise ExportTimeoutError(
        f"After {wait.timeout:g} s Genesys has {kind} only until {found}, not until {until}. Give the task a "
        "longer timeout, let the DAG run later, or load what there is with late_data='load'."
    )


def _missing(hook: GenesysCloudHook, kind: str, until: datetime) -> datetime | None:
    """Return the time up to which Genesys has all data, if that is before ``until``; else None."""
    found = hook.available_until(kind)
    return found if found and found < until else None
