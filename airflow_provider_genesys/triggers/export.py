"""Waits for an export in the triggerer, so that no worker is held."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_genesys.cloud.exports.base import ExportState, ExportStatus
from airflow_provider_genesys.cloud.exports.waiting import Watch, seconds_left
from airflow_provider_genesys.exceptions import GenesysError
from airflow_provider_genesys.triggers.polling import PATIENCE, in_thread

if TYPE_CHECKING:
    from airflow_provider_genesys.hooks.genesys import GenesysCloudHook


class GenesysExportTrigger(BaseTrigger):
    """Poll an export until it ends, waits to be started, the deadline passes, or the API fails too often in a row.

    The event is ``{"export_id", "state", "message"}``. It only wakes the task, which asks Genesys itself: Airflow
    stores and logs arguments and events in clear, so neither ever holds a URL or a token. Polling only reads; the
    trigger may run twice.

    When a person clears the task or marks it, Airflow (3.3 and later) does not say which. So the export is cancelled
    then only for a task that created it: such a task creates another when it was cleared. Whoever clears no more than a
    wait wants to go on waiting.

    :param export_id: the export to wait for.
    :param deadline: ISO 8601 with zone; when the wait ends at the latest.
    :param kind: the kind of export.
    :param genesys_conn_id: the Genesys connection.
    :param poll_interval: seconds before the first poll; later pauses double, with jitter.
    :param max_poll_interval: the longest pause, in seconds.
    :param cancel_on_kill: cancel the export, where Genesys can, when a person clears or marks the task.
    """

    def __init__(
        self,
        *,
        export_id: str,
        deadline: str,
        kind: str = "recordings",
        genesys_conn_id: str = "genesys_default",
        poll_interval: float = 5,
        max_poll_interval: float = 60,
        cancel_on_kill: bool = False,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.export_id = export_id
        self.deadline = deadline
        self.kind = kind
        self.genesys_conn_id = genesys_conn_id
        self.poll_interval = poll_interval
        self.max_poll_interval = max_poll_interval
        self.cancel_on_kill = cancel_on_kill

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the constructor's arguments."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "export_id": self.export_id,
                "deadline": self.deadline,
                "kind": self.kind,
                "genesys_conn_id": self.genesys_conn_id,
                "poll_interval": self.poll_interval,
                "max_poll_interval": self.max_poll_interval,
                "cancel_on_kill": self.cancel_on_kill,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event."""
        try:
            state, message = await self._outcome()
        finally:
            await self.cleanup()  # dag.test() does not call it
        event = {"export_id": self.export_id, "state": state, "message": message}
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """Cancel the export, if it is this task's own: a person does not want it any more."""
        if not self.cancel_on_kill:
            self.log.info("Export %s runs on: another task created it.", self.export_id)
            return
        cancelled = await in_thread(self._cancel)
        self.log.info("Export %s %s.", self.export_id, "was cancelled" if cancelled else "cannot be cancelled")

    async def cleanup(self) -> None:
        """Close the connections to Genesys."""
        if "_hook" in vars(self):
            self._hook.close()

    async def _outcome(self) -> tuple[str, str]:
        watch = Watch(self.export_id, self.poll_interval, self.max_poll_interval, self.log)
        deadline = datetime.fromisoformat(self.deadline)
        while (left := seconds_left(deadline)) > 0:
            await asyncio.sleep(min(watch.pause(), left))
            try:
                status = await in_thread(self._ask)
                if watch.ended(status) or status.state is ExportState.READY:
                    return status.state.value, status.message or ""
            except GenesysError as error:
                if not watch.tolerates(error):
                    return ExportState.UNKNOWN.value, str(error)
        return watch.seen or ExportState.UNKNOWN.value, f"Not ended by {self.deadline}."

    def _ask(self) -> ExportStatus:
        return self._hook.get_export(self.export_id, self.kind)

    def _cancel(self) -> bool:
        with self._hook as hook:
            return hook.cancel_export(self.export_id, self.kind)

    @cached_property
    def _hook(self) -> GenesysCloudHook:
        from airflow_provider_genesys.hooks.genesys import GenesysCloudHook

        return GenesysCloudHook(self.genesys_conn_id, patience=PATIENCE)
