"""The wait for an export, as the sensor and the create operator do it: deferred, or polling in the worker."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import Context

from airflow_provider_genesys.cloud.exports.base import ExportState, ExportStatus, Outcome, ended
from airflow_provider_genesys.cloud.exports.waiting import Watch, pause, seconds_left
from airflow_provider_genesys.exceptions import (
    CloudUnavailableError,
    ExportFailedError,
    ExportGoneError,
    ExportTimeoutError,
    JobLimitError,
    NotFoundError,
)
from airflow_provider_genesys.tasks.task_state import TaskState
from airflow_provider_genesys.triggers.export import GenesysExportTrigger

if TYPE_CHECKING:
    from airflow_provider_genesys.hooks.genesys import GenesysCloudHook

DAY = 24 * 60 * 60
"""In seconds: how long a wait may last unless the user says otherwise."""

FILE_POLLS = 4
"""How often to ask a COMPLETED archive for its file before that counts as an error."""

TRIGGER_GRACE = 60
"""Seconds after the deadline at which Airflow ends a trigger that has not done so itself."""


class WaitingTask(Protocol):
    """What :func:`wait_for_export` needs of the operator that waits; intervals and timeout in seconds.

    ``owns_export``: it has created the export, so that nobody else needs it when the task is cleared or marked.
    """

    @property
    def kind(self) -> str: ...  # noqa: D102 -- said by the class, here and below
    @property
    def genesys_conn_id(self) -> str: ...  # noqa: D102
    @property
    def poll_interval(self) -> float: ...  # noqa: D102
    @property
    def max_poll_interval(self) -> float: ...  # noqa: D102
    @property
    def timeout(self) -> float: ...  # noqa: D102
    @property
    def deferrable(self) -> bool: ...  # noqa: D102
    @property
    def owns_export(self) -> bool: ...  # noqa: D102
    @property
    def hook(self) -> GenesysCloudHook: ...  # noqa: D102
    @property
    def log(self) -> Any: ...  # noqa: D102

    def defer(self, *, trigger: Any, method_name: str, timeout: timedelta) -> NoReturn: ...  # noqa: D102


def wait_for_export(
    task: WaitingTask, context: Context, export_id: str, event: dict[str, Any] | None = None
) -> ExportStatus:
    """Return the export once it is COMPLETED and, if it is an archive, has its file.

    Defers where the task is deferrable; Airflow then calls the task's method ``resume`` with the trigger's event, and
    that calls this again.

    :raises ExportFailedError: it ended FAILED or CANCELLED.
    :raises ExportGoneError: it is EXPIRED, unknown to Genesys, or has no file.
    :raises ExportTimeoutError: it did not end within ``task.timeout``, counted from the first try.
    :raises CloudUnavailableError: the API failed too often in a row.
    """
    watch = Watch(export_id, task.poll_interval, task.max_poll_interval, task.log)
    deadline = waiting_since(context, "wait", export_id) + timedelta(seconds=task.timeout)
    status = _look(task, watch, patient=not event or event.get("state") == ExportState.READY)
    if status is None and task.deferrable and seconds_left(deadline) > 0:
        _defer(task, export_id, deadline, watch.seen)
    return _with_file(task, watch, _completed(status or _poll(task, watch, deadline)))


def waiting_since(context: Context, key: str, what: str) -> datetime:
    """Return when the first try began to wait for ``what``; a clear begins anew. It is kept under ``key``."""
    state = TaskState(context, key)
    kept = state.recall()
    if kept and kept["for"] == what:
        return datetime.fromisoformat(kept["since"])
    since: datetime = context["ti"].start_date or datetime.now(timezone.utc)
    state.keep({"for": what, "since": since.isoformat()})
    return since


def _look(task: WaitingTask, watch: Watch, *, patient: bool) -> ExportStatus | None:
    """Ask once, and start what waits for that; return None while the export runs.

    :param patient: return None, too, where an error may heal.
    """
    try:
        status = task.hook.get_export(watch.export_id, task.kind)
        if not watch.ended(status) and status.state is ExportState.READY:
            status = task.hook.start_export(watch.export_id, task.kind)
    except NotFoundError as error:
        raise ExportGoneError(f"Genesys does not know export {watch.export_id}: it is gone. {error}") from error
    except CloudUnavailableError as error:
        if patient and watch.tolerates(error):
            return None
        raise
    return status if watch.ended(status) else None


def _defer(task: WaitingTask, export_id: str, deadline: datetime, seen: str) -> NoReturn:
    trigger = GenesysExportTrigger(
        export_id=export_id,
        deadline=deadline.isoformat(),
        kind=task.kind,
        genesys_conn_id=task.genesys_conn_id,
        # What is READY still, though it was started, waits for others to end: each look costs a start.
        poll_interval=task.max_poll_interval if seen == ExportState.READY else task.poll_interval,
        max_poll_interval=task.max_poll_interval,
        cancel_on_kill=task.owns_export,
    )
    timeout = timedelta(seconds=seconds_left(deadline) + TRIGGER_GRACE)
    task.defer(trigger=trigger, method_name="resume", timeout=timeout)


def _poll(task: WaitingTask, watch: Watch, deadline: datetime) -> ExportStatus:
    while (left := seconds_left(deadline)) > 0:
        time.sleep(min(watch.pause(), left))
        if status := _look(task, watch, patient=True):
            return status
    raise ExportTimeoutError(
        f"Export {watch.export_id} has not ended within {task.timeout:g} s; its last state was "
        f"{watch.seen or 'not to be had'}. If it still runs in Genesys Cloud, the task needs a longer "
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


def _with_file(task: WaitingTask, watch: Watch, status: ExportStatus) -> ExportStatus:
    for _ in range(FILE_POLLS):
        if status.file_uri or task.kind != "recordings":
            return status
        time.sleep(watch.pause())
        status = _completed(task.hook.get_export(watch.export_id, task.kind))
    raise ExportGoneError(f"Export {watch.export_id} is COMPLETED, but Genesys gives no file for it.")


_POLLS = 64  # so many double any first pause to the longest


class WaitingForATurn(Protocol):
    """What :func:`await_turn` needs of the operator that waits; intervals and timeout in seconds."""

    @property
    def poll_interval(self) -> float: ...  # noqa: D102 -- said by the class, here and below
    @property
    def max_poll_interval(self) -> float: ...  # noqa: D102
    @property
    def timeout(self) -> float: ...  # noqa: D102
    @property
    def deferrable(self) -> bool: ...  # noqa: D102
    @property
    def log(self) -> Any: ...  # noqa: D102

    def defer(self, *, trigger: Any, method_name: str, kwargs: dict[str, Any]) -> NoReturn: ...  # noqa: D102


def await_turn(task: WaitingForATurn, began: datetime, error: JobLimitError) -> None:
    """Pause, and return; a deferrable task defers instead, and Airflow calls its method ``take_turn`` afterwards.

    :param began: when the wait began, aware; ``task.timeout`` bounds it.
    :raises JobLimitError: it has lasted too long.
    """
    if seconds_left(began + timedelta(seconds=task.timeout)) <= 0:
        raise error
    seconds = pause(_POLLS, task.poll_interval, task.max_poll_interval)
    task.log.info("%s Asking again in %.0f s.", error, seconds)
    if task.deferrable:
        trigger = TimeDeltaTrigger(timedelta(seconds=seconds))
        task.defer(trigger=trigger, method_name="take_turn", kwargs={"began": began.isoformat()})
    time.sleep(seconds)
