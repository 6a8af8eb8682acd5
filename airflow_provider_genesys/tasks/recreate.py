"""Create an export again while it is loaded: in more pieces, or because its results have expired.

Data of the two exports is never mixed: the load of the new export begins at the start and replaces the old.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from airflow_provider_genesys.cloud.exports.base import ExportRequest, ExportStatus
from airflow_provider_genesys.exceptions import ExportGoneError, GenesysError, WindowTooLargeError
from airflow_provider_genesys.tasks.handle import upstream_export
from airflow_provider_genesys.tasks.task_state import TaskState
from airflow_provider_genesys.tasks.wait import Defer, Wait, wait_for_export
from airflow_provider_genesys.times import now

if TYPE_CHECKING:
    from airflow_provider_genesys.hooks.genesys import GenesysCloudHook

log = logging.getLogger(__name__)

MOST = 11
"""How often a task creates an export again until it is cleared: that halves a day eleven times."""

_WINDOW = ("window_start", "window_end")


class Recreated:
    """The export that is loaded in place of the one that the task was given, and how to wait for it.

    It outlives the try in Airflow's ``task_state_store`` (3.3), and a pause in any Airflow.

    :param carried: :attr:`newest` as it was before the pause.
    :param event: of the trigger that the task was deferred to.
    :param defer: defers the task, with the ``kwargs`` that it is given, while the export runs; None to wait in the
        worker.
    """

    def __init__(
        self,
        context: Context,
        carried: dict[str, Any] | None = None,
        event: dict[str, Any] | None = None,
        defer: Defer | None = None,
    ) -> None:
        self._context = context
        self._event = event
        self._defer = defer
        self._state = TaskState(context, "asked_anew")
        self.newest: dict[str, Any] | None = self._state.recall() or carried
        """The ids of the original (``of``) and of the newest export, when it was asked for, and the how-manieth."""

    def of(self, export_id: str) -> dict[str, Any] | None:
        """Return what takes the place of ``export_id``; None where nothing does."""
        return self.newest if self.newest and self.newest["of"] == export_id else None

    def keep(self, newest: dict[str, Any]) -> None:
        """Keep the newest export."""
        self.newest = newest
        self._state.keep(newest)

    def ended(self, hook: GenesysCloudHook, kind: str, export_id: str) -> ExportStatus:
        """Return the export when it has ended; raises as :func:`.wait.wait_for_export` does."""
        event, self._event = self._event, None
        defer = partial(self._defer, kwargs={"newest": self.newest}) if self._defer else None
        return wait_for_export(hook, kind, export_id, Wait(), self._context, event=event, defer=defer)


def load_or_recreate(
    context: Context,
    handle: dict[str, Any],
    load: Callable[[dict[str, Any]], dict[str, Any]],
    *,
    hook: GenesysCloudHook,
    upstream: Sequence[str],
    recreated: Recreated,
) -> dict[str, Any]:
    """Load, and return the certificate's summary. If the export was created again, the summary names the original.

    :param handle: the task's own handle, with its window.
    :param load: loads the export of a handle and returns the certificate's summary.
    :param upstream: ids of the tasks that may have created the export.
    :raises WindowTooLargeError: the window is too large even in many pieces, or the original request is not known.
    :raises ExportGoneError: the results have expired too often, or the original request is not known.
    """
    newest, original = _Newest(context, handle, hook, upstream, recreated), handle["export_id"]
    while True:
        try:
            handle = newest.handle()
            summary = load(handle)
        except (WindowTooLargeError, ExportGoneError) as error:
            newest.create(error)
        else:
            return summary if handle["export_id"] == original else {**summary, "original_export_id": original}


class _Newest:
    """The newest export created in place of the task's own. It is remembered over all tries of the task."""

    def __init__(
        self,
        context: Context,
        handle: dict[str, Any],
        hook: GenesysCloudHook,
        upstream: Sequence[str],
        recreated: Recreated,
    ) -> None:
        self._context = context
        self._given = handle
        self._hook = hook
        self._upstream = upstream
        self._recreated = recreated
        newest = recreated.of(handle["export_id"]) or handle
        self._export_id = str(newest["export_id"])
        self._submitted_at = newest.get("submitted_at")
        self._times = newest.get("times", 0)

    def handle(self) -> dict[str, Any]:
        """Wait until the newest export has ended, and return its handle."""
        if self._export_id == self._given["export_id"]:
            return self._given
        status = self._recreated.ended(self._hook, self._given["kind"], self._export_id)
        window = {name: self._given[name] for name in _WINDOW}
        handle = {**self._hook.make_handle(status), **window, "request": self._request()}
        return {**handle, "submitted_at": handle["submitted_at"] or self._submitted_at}

    def create(self, error: GenesysError) -> None:
        """Create the export again, in twice as many pieces if it is too large.

        :raises GenesysError: ``error`` itself, if the export was created again too often, the original request is not
            known, or this kind cannot be created again.
        """
        kind, asked = self._given["kind"], self._request()
        jobs = self._hook.jobs_of(self._export_id, kind)
        if asked is None or not jobs or self._times >= MOST:
            raise error
        pieces = len(jobs) * (2 if isinstance(error, WindowTooLargeError) else 1)
        log.warning("%s It is created again, in %d pieces.", error, pieces)
        start, end = (datetime.fromisoformat(self._given[name]) for name in _WINDOW)
        request = ExportRequest(start, end, **asked, pieces=pieces)
        self._submitted_at = now().isoformat()
        self._export_id = self._hook.create_export(kind, request)
        self._times += 1
        newest = {"export_id": self._export_id, "submitted_at": self._submitted_at, "times": self._times}
        self._recreated.keep({"of": self._given["export_id"], **newest})

    def _request(self) -> dict[str, Any] | None:
        if asked := self._given.get("request"):
            return dict(asked)
        export = upstream_export(self._upstream, self._context, self._given["export_id"])
        return export.get("request") if export else None
