"""The waits of tasks: for an export, and for a free job slot. Deferred, or polling in the worker."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import Context

from airflow_provider_genesys.cloud.exports.base import ExportState, ExportStatus, Outcome, ended
from airflow_provider_genesys.cloud.exports.recordings import OTHER_MEMBER
from airflow_provider_genesys.cloud.exports.waiting import Watch, seconds_left
from airflow_provider_genesys.exceptions import (
    CloudUnavailableError,
    ExportFailedError,
    ExportGoneError,
    ExportTimeoutError,
    JobLimitError,
    NotFoundError,
)
from airflow_provider_genesys.retries import pause
from airflow_provider_genesys.tasks.task_state import TaskState
from airflow_provider_genesys.times import now
from airflow_provider_genesys.triggers.export import GenesysExportTrigger

if TYPE_CHECKING:
    from airflow_provider_genesys.hooks.genesys import GenesysCloudHook

log = logging.getLogger(__name__)

DAY = 24 * 60 * 60
"""In seconds: how long a wait may last unless the user says otherwise."""

FILE_POLLS = 4
"""How often to look for the file of a COMPLETED archive before it is an error."""

TRIGGER_GRACE = 60
"""Seconds after the deadline after which Airflow ends a trigger that did not end by itself."""

_LATE = 64
"""After this many polls every pause is the longest one."""

Defer = Callable[..., NoReturn]
"""An operator's method ``defer`` with its argument ``method_name`` already set."""


@dataclass(frozen=True)
class Wait:
    """How a task waits.

    :param poll_interval: seconds between the first look and the first poll; later pauses double, with jitter.
    :param max_poll_interval: seconds of the longest pause.
    :param timeout: seconds that the whole wait may last, counted from the first try.
    """

    poll_interval: float = 5.0
    max_poll_interval: float = 60.0
    timeout: float = float(DAY)


def wait_for_export(
    hook: GenesysCloudHook,
    kind: str,
    export_id: str,
    wait: Wait,
    context: Context,
    *,
    event: dict[str, Any] | None = None,
    defer: Defer | None = None,
    owned: bool = False,
) -> ExportStatus:
    """Return the export once it is COMPLETED and, if it is an archive, has its file.

    :param event: the trigger's event, if the task was deferred before.
    :param defer: defers the task while the export runs; None to poll in the worker.
    :param owned: this task created the export, so no other task needs it once a person clears or marks this one.
    :raises ExportFailedError: it ended FAILED or CANCELLED.
    :raises ExportGoneError: it is EXPIRED, unknown to Genesys, or has no file.
    :raises ExportTimeoutError: it did not end within ``wait.timeout``.
    :raises CloudUnavailableError: the API failed too often in a row.
    """
    watch = Watch(export_id, wait.poll_interval, wait.max_poll_interval, log)
    deadline = waiting_since(context, "wait", export_id) + timedelta(seconds=wait.timeout)
    status = _look(hook, kind, watch, patient=not isinstance(event, dict) or event.get("state") == ExportState.READY)
    if status is None and defer and seconds_left(deadline) > 0:
        trigger = GenesysExportTrigger(
            export_id=export_id,
            deadline=deadline.isoformat(),
            kind=kind,
            genesys_conn_id=hook.genesys_conn_id,
            # An export that is still READY after its start waits for other exports to end. Each look costs a start.
            poll_interval=wait.max_poll_interval if watch.seen == ExportState.READY else wait.poll_interval,
            max_poll_interval=wait.max_poll_interval,
            cancel_on_kill=owned,
        )
        defer(trigger=trigger, timeout=timedelta(seconds=seconds_left(deadline) + TRIGGER_GRACE))
    status = _completed(status or _poll(hook, kind, watch, deadline, wait.timeout))
    return _with_file(hook, kind, watch, status)


def waiting_since(context: Context, key: str, what: str) -> datetime:
    """Return when the first try began to wait for ``what``; a clear restarts the time. It is kept under ``key``."""
    state = TaskState(context, key)
    kept = state.recall()
    if kept and kept["for"] == what:
        return datetime.fromisoformat(kept["since"])
    since: datetime = context["ti"].start_date or now()
    state.keep({"for": what, "since": since.isoformat()})
    return since


def _look(hook: GenesysCloudHook, kind: str, watch: Watch, *, patient: bool) -> ExportStatus | None:
    """Ask for the state once, and start the export if it waits for that. Return None while it runs.

    :param patient: return None also after an error that may be temporary.
    """
    try:
        status = hook.get_export(watch.export_id, kind)
        if not watch.ended(status) and status.state is ExportState.READY:
            status = hook.start_export(watch.export_id, kind)
    except NotFoundError as error:
        raise ExportGoneError(f"Genesys does not know export {watch.export_id}: it is gone. {error}") from error
    except CloudUnavailableError as error:
        if patient and watch.tolerates(error):
            return None
        raise
    return status if watch.ended(status) else None


def _poll(hook: GenesysCloudHook, kind: str, watch: Watch, deadline: datetime, timeout: float) -> ExportStatus:
    while (left := seconds_left(deadline)) > 0:
        time.sleep(min(watch.pause(), left))
        if status := _look(hook, kind, watch, patient=True):
            return status
    raise ExportTimeoutError(
        f"Export {watch.export_id} has not ended within {timeout:g} s; its last state was "
        f"{watch.seen or 'unknown'}. If it still runs in Genesys Cloud, the task needs a longer "
        "timeout."
    )


def _completed(status: ExportStatus) -> ExportStatus:
    reason = f" {status.message}" if status.message else ""
    outcome = ended(status)
    if outcome is Outcome.GONE:
        raise ExportGoneError(f"Export {status.export_id} has expired at Genesys.{reason}")
    if outcome is not Outcome.USABLE:
        raise ExportFailedError(f"Export {status.export_id} ended {status.raw_state} at Genesys.{reason}")
    return status


def _with_file(hook: GenesysCloudHook, kind: str, watch: Watch, status: ExportStatus) -> ExportStatus:
    for _ in range(FILE_POLLS):
        if status.file_uri or kind != "recordings":
            return status
        time.sleep(watch.pause())
        status = _completed(hook.get_export(watch.export_id, kind))
    raise ExportGoneError(f"Export {watch.export_id} is COMPLETED, but Genesys gives no file for it. {OTHER_MEMBER}")


def await_job_slot(error: JobLimitError, began: datetime, wait: Wait, defer: Defer | None = None) -> None:
    """Pause before the next request for a job slot.

    :param error: Genesys' answer that no slot is free.
    :param began: when the wait began, aware; ``wait.timeout`` bounds it.
    :param defer: defers the task instead of the pause; None to pause in the worker.
    :raises JobLimitError: the wait has lasted too long.
    """
    if seconds_left(began + timedelta(seconds=wait.timeout)) <= 0:
        raise error
    seconds = pause(_LATE, wait.poll_interval, wait.max_poll_interval)
    log.info("%s Asking again in %.0f s.", error, seconds)
    if defer:
        defer(trigger=TimeDeltaTrigger(timedelta(seconds=seconds)))
    time.sleep(seconds)
