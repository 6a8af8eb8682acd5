"""What the triggers share: they poll Genesys in a thread, and wake their task once."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from airflow_provider_genesys.cloud.exports.waiting import Watch, seconds_left
from airflow_provider_genesys.exceptions import GenesysError

if TYPE_CHECKING:
    from airflow_provider_genesys.hooks.genesys import GenesysCloudHook

PATIENCE = 2.0
"""Seconds that one poll may take with its retries. There are few threads, and the trigger polls again anyway."""

T = TypeVar("T")


class PollingTrigger(BaseTrigger):
    """Polls until there is a result, the deadline passes, or the API fails too often in a row; then fires once.

    The event only wakes the task, which then asks Genesys itself. Airflow stores and logs arguments and events in
    clear, so they never hold a URL or a token. Polling only reads, so the trigger may run twice.

    :param deadline: ISO 8601 with zone. The wait ends at this time at the latest.
    :param kind: the kind of export.
    :param genesys_conn_id: the Genesys connection.
    :param poll_interval: seconds before the first poll; later pauses double, with jitter.
    :param max_poll_interval: the longest pause, in seconds.
    """

    def __init__(
        self, *, deadline: str, kind: str, genesys_conn_id: str, poll_interval: float, max_poll_interval: float
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.deadline = deadline
        self.kind = kind
        self.genesys_conn_id = genesys_conn_id
        self.poll_interval = poll_interval
        self.max_poll_interval = max_poll_interval

    def arguments(self) -> dict[str, Any]:
        """Return the constructor's arguments, which Airflow stores."""
        return {
            "deadline": self.deadline,
            "kind": self.kind,
            "genesys_conn_id": self.genesys_conn_id,
            "poll_interval": self.poll_interval,
            "max_poll_interval": self.max_poll_interval,
        }

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the constructor's arguments."""
        return f"{type(self).__module__}.{type(self).__qualname__}", self.arguments()

    @abstractmethod
    def what(self) -> str:
        """Return what the trigger waits for, for the log."""

    @abstractmethod
    def ask(self, watch: Watch) -> dict[str, Any] | None:
        """Poll once, in a thread. Return the event, or None to poll again.

        :raises GenesysError: the poll failed.
        """

    @abstractmethod
    def unanswered(self, watch: Watch, error: GenesysError | None) -> dict[str, Any]:
        """Return the event of a wait that ended by ``error``; if that is None, by its deadline."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event."""
        try:
            event = await self._event()
        finally:
            await self.cleanup()  # dag.test() does not call it
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    async def cleanup(self) -> None:
        """Close the connections to Genesys."""
        if "hook" in vars(self):
            self.hook.close()

    @cached_property
    def hook(self) -> GenesysCloudHook:
        """The hook of ``genesys_conn_id``, which does not retry for long."""
        from airflow_provider_genesys.hooks.genesys import GenesysCloudHook

        return GenesysCloudHook(self.genesys_conn_id, patience=PATIENCE)

    async def _event(self) -> dict[str, Any]:
        watch = Watch(self.what(), self.poll_interval, self.max_poll_interval, self.log)
        deadline = datetime.fromisoformat(self.deadline)
        while (left := seconds_left(deadline)) > 0:
            await asyncio.sleep(min(watch.pause(), left))
            try:
                event = await in_thread(lambda: self.ask(watch))
            except GenesysError as error:
                if not watch.tolerates(error):
                    return self.unanswered(watch, error)
            else:
                if event is not None:
                    return event
        return self.unanswered(watch, None)


async def in_thread(function: Callable[[], T]) -> T:
    """Run a blocking ``function`` of the hook in a thread."""
    # sync_to_async rather than asyncio.to_thread: through it the hook's reads of connections reach the triggerer's
    # own event loop. The shield keeps the message of a cancellation, by which Airflow knows that a person asked for it.
    return await asyncio.shield(asyncio.ensure_future(sync_to_async(function, thread_sensitive=False)()))
