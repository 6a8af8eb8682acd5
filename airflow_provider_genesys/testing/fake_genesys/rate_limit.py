"""The number of requests that a token may make, and the headers that report it."""

from __future__ import annotations

import math
import time
from collections import defaultdict

from airflow_provider_genesys.testing.fake_genesys.messages import Response, api_error
from airflow_provider_genesys.testing.fake_genesys.settings import Settings

_MINUTE = 60


class RequestBudget:
    """Counts requests per token and minute, and adds the headers that report them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opened: dict[str, float] = defaultdict(time.monotonic)
        self._spent: dict[str, int] = defaultdict(int)

    def refusal(self, token: str) -> Response | None:
        """Count one request; return 429 if it exceeds the limit."""
        if self._reset(token) <= 0:
            self._opened.pop(token, None)
            self._spent[token] = 0
        self._spent[token] += 1
        if self._spent[token] <= self._settings.requests_per_minute:
            return None
        seconds = math.ceil(self._reset(token))
        limit = {
            "key": "client.credentials.token.rate.per.minute",
            "namespace": "platform.api",
            "value": self._settings.requests_per_minute,
        }
        message = f"Rate limit exceeded the maximum. Retry the request in [{seconds}] seconds"
        refused = api_error(429, message, limit=limit)
        refused.headers["Retry-After"] = str(seconds)
        return refused

    def describe(self, token: str, response: Response) -> Response:
        """Add the rate-limit headers of ``token``; '' represents a request without one."""
        response.headers |= {
            "inin-ratelimit-count": str(self._spent.get(token, 0)),
            "inin-ratelimit-allowed": str(self._settings.requests_per_minute),
            "inin-ratelimit-reset": str(math.ceil(max(0, self._reset(token)))),
        }
        return response

    def _reset(self, token: str) -> float:
        return self._opened[token] + _MINUTE - time.monotonic()
