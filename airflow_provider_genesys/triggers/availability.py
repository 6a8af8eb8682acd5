"""Waits in the triggerer until Genesys has all data of a window."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_genesys.cloud.exports.waiting import Watch, seconds_left
from airflow_provider_genesys.exceptions import GenesysError
from airflow_provider_genesys.triggers.polling import PATIENCE, in_thread

if TYPE_CHECKING:
    from airflow_provider_genesys.hooks.genesys import GenesysCloudHook


class GenesysAvailabilityTrigger(BaseTrigger):
    """Ask until Genesys has all data of a kind up to a moment, the deadline passes, or the API fails too often.

    The event is ``{"available_until"}``, ISO 8601 or None. It only wakes the task, which asks Genesys itself.

    :param until: ISO 8601 with zone; to when the data has to be there.
    :param deadline: ISO 8601 with zone; when the wait ends at the latest.
    :param kind: the kind of export.
    :param genesys_conn_id: the Genesys connection.
    :param poll_interval: seconds before the first poll; later pauses double, with jitter.
    :param max_poll_interval: the longest pause, in seconds.
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
        super().__init__()  # type: ignore[no-untyped-call]
        self.until = until
        self.deadline = deadline
        self.kind = kind
        self.genesys_conn_id = genesys_conn_id
        self.poll_interval = poll_interval
        self.max_poll_interval = max_poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the constructor's arguments."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "until": self.until,
                "deadline": self.deadline,
                "kind": self.kind,
                "genesys_conn_id": self.genesys_conn_id,
                "poll_interval": self.poll_interval,
                "max_poll_interval": self.max_poll_interval,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event."""
        try:
            found = await self._found()
        finally:
            await self.cleanup()  # dag.test() does not call it
        event = {"available_until": found.isoformat() if found else None}
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    async def cleanup(self) -> None:
        """Close the connections to Genesys."""
        if "_hook" in vars(self):
            self._hook.close()

    async def _found(self) -> datetime | None:
        watch = Watch(f"of {self.kind} until {self.until}", self.poll_interval, self.max_poll_interval, self.log)
        until, deadline = (datetime.fromisoformat(moment) for moment in (self.until, self.deadline))
        found = None
        while (left := seconds_left(deadline)) > 0 and (found is None or found < until):
            await asyncio.sleep(min(watch.pause(), left))
            try:
                found = await in_thread(self._ask)
            except GenesysError as error:
                if not watch.tolerates(error):
                    return found
        return found

    def _ask(self) -> datetime | None:
        return self._hook.available_until(self.kind)

    @cached_property
    def _hook(self) -> GenesysCloudHook:
        from airflow_provider_genesys.hooks.genesys import GenesysCloudHook

        return GenesysCloudHook(self.genesys_conn_id, patience=PATIENCE)
