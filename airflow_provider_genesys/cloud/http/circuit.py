"""A circuit breaker: after too many failures in a row, callers have to wait instead of trying."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

from airflow_provider_genesys.exceptions import CircuitOpenError


class Circuit:
    """Counts consecutive failures of one service. Not locked: anyone who uses it holds a lock already.

    :param name: the service, for the message.
    :param limit: failures in a row that open it.
    :param pause: seconds that it then stays open; doubled by every probe that fails, up to ``longest``.
    :param clock: monotonic seconds.
    """

    def __init__(
        self,
        name: str,
        *,
        limit: int = 5,
        pause: float = 30.0,
        longest: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._limit = limit
        self._pause = pause
        self._longest = longest
        self._clock = clock
        self._failures = 0
        self._last = ""
        self._open_until = 0.0

    def wait(self) -> float:
        """Return the seconds for which it is still open; 0 when a call may be made."""
        return max(0.0, self._open_until - self._clock()) if self._failures >= self._limit else 0.0

    def check(self) -> None:
        """Let a call through when closed, and one probe when the pause is over.

        :raises CircuitOpenError: the pause is not over; says when it is, and carries ``retry_after``.
        """
        wait = self.wait()
        if not wait:
            return
        at = datetime.now(timezone.utc) + timedelta(seconds=wait)
        error = CircuitOpenError(
            f"{self._name} failed {self._failures} times in a row and is tried again in {wait:.0f} s, at "
            f"{at:%Y-%m-%d %H:%M:%S} UTC. The last failure: {self._last}"
        )
        error.retry_after = wait
        raise error

    def succeeded(self) -> None:
        """Close it."""
        self._failures = 0

    def failed(self, error: Exception) -> None:
        """Count a failure; at the limit, and at every failed probe after it, open."""
        self._failures += 1
        self._last = str(error)  # not the error itself, whose traceback would keep clients and connections alive
        over = self._failures - self._limit
        if over >= 0:
            # The exponent is bounded so that a service that is down for weeks overflows nothing.
            self._open_until = self._clock() + min(self._longest, self._pause * 2 ** min(over, 20))
