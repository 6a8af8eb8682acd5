"""Waits in the triggerer until Genesys has all data of a window."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow_provider_genesys.cloud.exports.waiting import Watch
from airflow_provider_genesys.exceptions import GenesysError
from airflow_provider_genesys.triggers.polling import PollingTrigger


class GenesysAvailabilityTrigger(PollingTrigger):
    """Polls until Genesys has all data of a kind up to a given time.

    The event is ``{"available_until"}``, ISO 8601 or None. For the other parameters see
    :class:`.polling.PollingTrigger`.

    :param until: ISO 8601 with zone. The data up to this time has to be there.
    """

    def __init__(
        self,
        *,
        until: str,
        deadline: str,
        kind: str,
        genesys_conn_id: str = "genesys_default",
        poll_interval: float = 5,
        max_poll_interval: float = 60,
    ) -> None:
        super().__init__(
            deadline=deadline,
            kind=kind,
            genesys_conn_id=genesys_conn_id,
            poll_interval=poll_interval,
            max_poll_interval=max_poll_interval,
        )
        self.until = until
        self._found: datetime | None = None

    def arguments(self) -> dict[str, Any]:
        """Return the constructor's arguments, which Airflow stores."""
        return {"until": self.until, **super().arguments()}

    def what(self) -> str:
        """Return what is waited for, for the log."""
        return f"of {self.kind} until {self.until}"

    def ask(self, watch: Watch) -> dict[str, Any] | None:  # noqa: ARG002 - no states to note
        """Return the event when all data is there."""
        self._found = self.hook.available_until(self.kind)
        there = self._found and self._found >= datetime.fromisoformat(self.until)
        return self._event_of_found() if there else None

    def unanswered(self, watch: Watch, error: GenesysError | None) -> dict[str, Any]:  # noqa: ARG002 - likewise
        """Return the event with how far the data went when Genesys last answered."""
        return self._event_of_found()

    def _event_of_found(self) -> dict[str, Any]:
        return {"available_until": self._found.isoformat() if self._found else None}
