"""What the triggers share: they call blocking code in a thread, and bound how long it may take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from asgiref.sync import sync_to_async

PATIENCE = 2.0
"""Seconds that one poll may take with retries of its own, in one of few threads; the trigger itself asks again."""

T = TypeVar("T")


async def in_thread(function: Callable[[], T]) -> T:
    """Run a blocking ``function`` of the hook in a thread."""
    # sync_to_async rather than asyncio.to_thread: through it the hook's reads of connections reach the triggerer's
    # own event loop. The shield keeps the message of a cancellation, by which Airflow knows that a person asked for it.
    return await asyncio.shield(asyncio.ensure_future(sync_to_async(function, thread_sensitive=False)()))
