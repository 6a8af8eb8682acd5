"""A circuit breaker: after too many failures in a row, callers have to wait instead of trying."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from airflow_provider_genesys.exceptions import CircuitOpenError
from airflow_provider_genesys.times import now


class Circuit:
    """Counts consecutive failures of one service. Not thread-safe: the caller holds a lock.

    :param name: the service, for the message.
    :param limit: number of failures in a row that open the circuit.
    :param pause: seconds that it then stays open. Each failed probe doubles them, up to ``longest``.
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
        """Return the seconds for which the circuit is still open; 0 if a call may be made."""
        return max(0.0, self._open_until - self._clock()) if self._failures >= self._limit else 0.0

    def check(self) -> None:
        """Allow a call if the circuit is closed. After the pause, allow one probe.

        :raises CircuitOpenError: the pause is not over. The error says when it ends and carries ``retry_after``.
        """
        wait = self.wait()
        if not wait:
            return
        at = now() + timedelta(seconds=wait)
        error = CircuitOpenError(
            f"{self._name} failed {self._failures} times in a row. It is tried again in {wait:.0f} s, at "
            f"{at:%Y-%m-%d %H:%M:%S} UTC. The last failure: {self._last}"
        )
        error.retry_after = wait
        raise error

    def succeeded(self) -> None:
        """Close it."""
        self._failures = 0

    def failed(self, error: Exception) -> None:
        """Count a failure. Open at the limit, and again after each failed probe."""
        self._failures += 1
        self._last = str(error)  # not the error itself, whose traceback would keep clients and connections alive
        over = self._failures - self._limit
        if over >= 0:
            # The exponent is bounded so that a service that is down for weeks overflows nothing.
            self._open_until = self._clock() + min(self._longest, self._pause * 2 ** min(over, 20))
