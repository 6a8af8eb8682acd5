"""Waits for an export in the triggerer, so that no worker is held."""

from __future__ import annotations

from typing import Any

from airflow_provider_genesys.cloud.exports.base import ExportState
from airflow_provider_genesys.cloud.exports.waiting import Watch
from airflow_provider_genesys.exceptions import GenesysError
from airflow_provider_genesys.triggers.polling import PollingTrigger, in_thread


class GenesysExportTrigger(PollingTrigger):
    """Poll an export until it ends, or waits to be started.

    The event is ``{"export_id", "state", "message"}``.

    When a person clears the task or marks it, Airflow (3.3 and later) does not say which. A task that created the
    export creates another one when it is cleared, so the export is cancelled. A task that only waits would wait for the
    same export again, so the export is left alone.

    For the other parameters see :class:`.polling.PollingTrigger`.

    :param export_id: the export to wait for.
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
        super().__init__(
            deadline=deadline,
            kind=kind,
            genesys_conn_id=genesys_conn_id,
            poll_interval=poll_interval,
            max_poll_interval=max_poll_interval,
        )
        self.export_id = export_id
        self.cancel_on_kill = cancel_on_kill

    def arguments(self) -> dict[str, Any]:
        """Return the constructor's arguments, which Airflow stores."""
        return {"export_id": self.export_id, **super().arguments(), "cancel_on_kill": self.cancel_on_kill}

    def what(self) -> str:
        """Return the export's id."""
        return self.export_id

    def ask(self, watch: Watch) -> dict[str, Any] | None:
        """Return the event when the export has ended, or waits to be started."""
        status = self.hook.get_export(self.export_id, self.kind)
        if watch.ended(status) or status.state is ExportState.READY:
            return self._event_of(status.state.value, status.message or "")
        return None

    def unanswered(self, watch: Watch, error: GenesysError | None) -> dict[str, Any]:
        """Return the event of an export that has not ended. After an error, its state is not known."""
        if error:
            return self._event_of(ExportState.UNKNOWN.value, str(error))
        return self._event_of(watch.seen or ExportState.UNKNOWN.value, f"Not ended by {self.deadline}.")

    async def on_kill(self) -> None:
        """Cancel the export if this task created it: a person has cleared or marked the task."""
        if not self.cancel_on_kill:
            self.log.info("Export %s continues to run: another task created it.", self.export_id)
            return
        cancelled = await in_thread(self._cancel)
        self.log.info("Export %s %s.", self.export_id, "was cancelled" if cancelled else "cannot be cancelled")

    def _event_of(self, state: str, message: str) -> dict[str, Any]:
        return {"export_id": self.export_id, "state": state, "message": message}

    def _cancel(self) -> bool:
        with self.hook as hook:
            return hook.cancel_export(self.export_id, self.kind)
