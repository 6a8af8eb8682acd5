"""A circuit breaker: after too many failures of the token endpoint in a row, callers have to wait instead of trying."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from airflow_provider_genesys.exceptions import CircuitOpenError
from airflow_provider_genesys.times import now

_LIMIT = 5
"""Failures in a row that open the circuit."""
_PAUSE = 30.0
"""Seconds for which it then stays open. Each failed probe doubles them, up to the longest."""
_LONGEST = 600.0


class Circuit:
    """Counts consecutive failures. Not thread-safe: the caller holds a lock.

    :param clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0
        self._last = ""
        self._open_until = 0.0

    def wait(self) -> float:
        """Return the seconds for which the circuit is still open; 0 if a call may be made."""
        return max(0.0, self._open_until - self._clock()) if self._failures >= _LIMIT else 0.0

    def check(self) -> None:
        """Allow a call if the circuit is closed. After the pause, allow one probe.

        :raises CircuitOpenError: the pause is not over. The error says when it ends and carries ``retry_after``.
        """
        wait = self.wait()
        if not wait:
            return
        at = now() + timedelta(seconds=wait)
        error = CircuitOpenError(
            f"Genesys Cloud's token endpoint failed {self._failures} times in a row. It is tried again in "
            f"{wait:.0f} s, at {at:%Y-%m-%d %H:%M:%S} UTC. The last failure: {self._last}"
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
        over = self._failures - _LIMIT
        if over >= 0:
            # The exponent is bounded so that a service that is down for weeks overflows nothing.
            self._open_until = self._clock() + min(_LONGEST, _PAUSE * 2 ** min(over, 20))
