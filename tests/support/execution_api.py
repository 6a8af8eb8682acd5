"""The Execution API of ``dag.test()``, which each task asks a dozen times: answered in half the time."""

from __future__ import annotations

import asyncio
import threading
from functools import cache, lru_cache
from typing import Any

import httpx

from tests.support.forked_airflow import speak_new_versions


class SameThread(httpx.BaseTransport):
    """Runs the application where the answer is waited for.

    Airflow's own transport has a thread for the application, and each message of a request goes there and back.

    :param other: Airflow's own, for those who ask from within a loop.
    """

    def __init__(self, app: Any, other: httpx.BaseTransport) -> None:
        self._application, self._other = httpx.ASGITransport(app=app), other
        self._loop, self._lock = asyncio.new_event_loop(), threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            with self._lock:
                return self._loop.run_until_complete(self._answer(request))
        return self._other.handle_request(request)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        request.stream = httpx.ByteStream(request.read())
        answer = await self._application.handle_async_request(request)
        return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())


@cache
def quicken() -> None:
    """Make the application; what takes the place of a dependency is then analysed once, not for each request."""
    from airflow.sdk.execution_time.supervisor import in_process_api_server
    from fastapi.dependencies import utils

    speak_new_versions()
    api: Any = in_process_api_server()
    api.transport = SameThread(api.app, api.transport)
    analyse: Any = utils.get_dependant

    @lru_cache(100)
    def known(given: tuple[tuple[str, Any], ...]) -> Any:
        return analyse(**{name: list(value) if isinstance(value, tuple) else value for name, value in given})

    def analysed(**given: Any) -> Any:
        return known(tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in given.items()))

    utils.get_dependant = analysed
