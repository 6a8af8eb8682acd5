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

from airflow_provider_genesys.cloud.exports.base import ExportRequest
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
    """The newest export created in place of the one that the task was given.

    It outlives the try in Airflow's ``task_state_store`` (3.3), and a pause in any Airflow.

    :param upstream: ids of the tasks that may have created the task's own export.
    :param carried: :attr:`newest` as it was before the pause.
    :param event: of the trigger that the task was deferred to.
    :param defer: defers the task, with the ``kwargs`` that it is given, while the export runs; None to wait in the
        worker.
    """

    def __init__(
        self,
        context: Context,
        hook: GenesysCloudHook,
        upstream: Sequence[str],
        carried: dict[str, Any] | None = None,
        event: dict[str, Any] | None = None,
        defer: Defer | None = None,
    ) -> None:
        self._context = context
        self._hook = hook
        self._upstream = upstream
        self._event = event
        self._defer = defer
        self._state = TaskState(context, "asked_anew")
        self.newest: dict[str, Any] | None = self._state.recall() or carried
        """{of, export_id, submitted_at, times}: the ids of the original and of the newest export, when that was
        requested, and how often the original was created again. None if it was not."""

    def handle(self, given: dict[str, Any]) -> dict[str, Any]:
        """Wait until the newest export has ended, and return its handle; ``given`` if none was created again."""
        newest = self._instead_of(given)
        if newest is None:
            return given
        event, self._event = self._event, None
        defer = partial(self._defer, kwargs={"newest": self.newest}) if self._defer else None
        status = wait_for_export(
            self._hook, given["kind"], newest["export_id"], Wait(), self._context, event=event, defer=defer
        )
        window = {name: given[name] for name in _WINDOW}
        handle = {**self._hook.make_handle(status), **window, "request": self._request(given)}
        return {**handle, "submitted_at": handle["submitted_at"] or newest["submitted_at"]}

    def create(self, given: dict[str, Any], error: GenesysError) -> None:
        """Create the export again, in twice as many pieces if it is too large.

        :raises GenesysError: ``error`` itself, if the export was created again too often, the original request is not
            known, or this kind cannot be created again.
        """
        kind, asked = given["kind"], self._request(given)
        newest = self._instead_of(given) or {"export_id": given["export_id"], "times": 0}
        jobs = self._hook.jobs_of(newest["export_id"], kind)
        if asked is None or not jobs or newest["times"] >= MOST:
            raise error
        pieces = len(jobs) * (2 if isinstance(error, WindowTooLargeError) else 1)
        log.warning("%s It is created again, in %d pieces.", error, pieces)
        start, end = (datetime.fromisoformat(given[name]) for name in _WINDOW)
        submitted_at = now().isoformat()
        export_id = self._hook.create_export(kind, ExportRequest(start, end, **asked, pieces=pieces))
        created = {"export_id": export_id, "submitted_at": submitted_at, "times": newest["times"] + 1}
        self.newest = {"of": given["export_id"], **created}
        self._state.keep(self.newest)

    def _instead_of(self, given: dict[str, Any]) -> dict[str, Any] | None:
        return self.newest if self.newest and self.newest["of"] == given["export_id"] else None

    def _request(self, given: dict[str, Any]) -> dict[str, Any] | None:
        asked = given.get("request")
        if not asked:
            export = upstream_export(self._upstream, self._context, given["export_id"])
            asked = export.get("request") if export else None
        return {name: asked.get(name) or {} for name in ("filters", "options")} if asked is not None else None


def load_or_recreate(
    given: dict[str, Any], load: Callable[[dict[str, Any]], dict[str, Any]], recreated: Recreated
) -> dict[str, Any]:
    """Load, and return the certificate's summary. If the export was created again, the summary names the original.

    :param given: the task's own handle, with its window.
    :param load: loads the export of a handle and returns the certificate's summary.
    :raises WindowTooLargeError: the window is too large even in many pieces, or the original request is not known.
    :raises ExportGoneError: the results have expired too often, or the original request is not known.
    """
    while True:
        try:
            handle = recreated.handle(given)
            summary = load(handle)
        except (WindowTooLargeError, ExportGoneError) as error:
            recreated.create(given, error)
        else:
            original = given["export_id"]
            return summary if handle["export_id"] == original else {**summary, "original_export_id": original}
