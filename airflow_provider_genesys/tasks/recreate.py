"""An export that has to be asked for anew while it is loaded: in more pieces, or because its results have expired.

Nothing of the new export is joined to what the old one has left: the load begins again, and takes its place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import Context

from airflow_provider_genesys.cloud.exports.base import ExportRequest
from airflow_provider_genesys.exceptions import ExportGoneError, GenesysError, WindowTooLargeError
from airflow_provider_genesys.tasks.handle import upstream_export, window_of
from airflow_provider_genesys.tasks.task_state import TaskState
from airflow_provider_genesys.tasks.wait import DAY, wait_for_export

if TYPE_CHECKING:
    from airflow_provider_genesys.transfers.base import GenesysExportTransferOperator

MOST = 12
"""How often one try asks anew: that halves a day eleven times."""


def load_asking_anew(
    task: GenesysExportTransferOperator,
    context: Context,
    handle: dict[str, Any],
    load: Callable[[dict[str, Any]], dict[str, Any]],
) -> dict[str, Any]:
    """Load, and return the certificate's summary; of an export that was asked for anew, it names the original.

    :param handle: of the export, as the task was given it.
    :raises WindowTooLargeError: Genesys gives out no more of the window, in however many pieces; or nobody says what
        was asked for.
    :raises ExportGoneError: the results have expired, and again, or nobody says what was asked for.
    """
    again, original = _Again(task, context, handle), handle["export_id"]
    for left in reversed(range(MOST)):
        try:
            handle = again.handle()
            summary = load(handle)
        except (WindowTooLargeError, ExportGoneError) as error:
            if not left:
                raise
            again.ask(error)
        else:
            return summary if handle["export_id"] == original else {**summary, "original_export_id": original}
    raise AssertionError("the last round returns or raises")


class _Again:
    """What is loaded in place of ``handle``, over all tries of the task."""

    def __init__(self, task: GenesysExportTransferOperator, context: Context, handle: dict[str, Any]) -> None:
        self._task = task
        self._context = context
        self._given = handle
        self._state = TaskState(context, "asked_anew")
        kept = self._state.recall()
        self._export_id = str(kept["export_id"] if kept and kept["of"] == handle["export_id"] else handle["export_id"])

    def handle(self) -> dict[str, Any]:
        """Return the handle of the newest export, when it has ended."""
        if self._export_id == self._given["export_id"]:
            return self._given
        task = self._task
        waiting = _Waiting(self._given["kind"], task)
        status = wait_for_export(waiting, self._context, self._export_id)
        window = {name: self._given.get(name) for name in ("window_start", "window_end")}
        return {**task.hook.make_handle(status), **window, "request": self._request()}

    def ask(self, error: GenesysError) -> None:
        """Ask for the window anew, in twice as many pieces where it is too large.

        :raises GenesysError: ``error``, where it is not known what was asked for, or the kind is not asked for anew.
        """
        hook, kind, asked = self._task.hook, self._given["kind"], self._request()
        jobs = hook.jobs_of(self._export_id, kind)
        if asked is None or not jobs:
            raise error
        window = window_of(self._given, self._task.window_start, self._task.window_end)
        pieces = len(jobs) * (2 if isinstance(error, WindowTooLargeError) else 1)
        self._task.log.warning("%s It is asked for anew, in %d pieces.", error, pieces)
        self._export_id = hook.create_export(kind, ExportRequest(window.start, window.end, **asked, pieces=pieces))
        self._state.keep({"of": self._given["export_id"], "export_id": self._export_id})

    def _request(self) -> dict[str, Any] | None:
        if asked := self._given.get("request"):
            return dict(asked)
        export = upstream_export(self._task, self._context, self._given["export_id"])
        return export.get("request") if export else None


class _Waiting:
    """The wait for an export that was asked for anew: in the worker, which has a load under way."""

    poll_interval, max_poll_interval, timeout = 5.0, 60.0, float(DAY)
    deferrable = owns_export = False

    def __init__(self, kind: str, task: GenesysExportTransferOperator) -> None:
        self.kind = kind
        self.genesys_conn_id = task.genesys_conn_id
        self.hook = task.hook
        self.log = task.log

    def defer(self, **_: Any) -> NoReturn:
        raise AssertionError("it is not deferrable")
