"""Decides when the next request may be sent: by our own budget, Genesys' rate limit headers and its Retry-After."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping

from airflow_provider_genesys.exceptions import CloudUnavailableError
from airflow_provider_genesys.times import http_date, now

WINDOW = 60.0
"""Seconds over which Genesys counts requests."""
LONGEST_RETRY_AFTER = 3600.0
"""Seconds. If Genesys asks for a longer wait, this is the wait."""
LONGEST_RESET = 2 * WINDOW

_IN_TEXT = re.compile(r"retry the request in \[?(\d+(?:\.\d+)?)\]? ?s", re.IGNORECASE)


def retry_after(headers: Mapping[str, str], body: str = "") -> float | None:
    """Return the seconds that a response asks to wait, between 0 and an hour; None if it does not say.

    Read from ``Retry-After`` (seconds or a date), else from the text of Genesys' 429, else from
    ``inin-ratelimit-reset``. A date in the past is ignored: one of the two clocks is wrong.
    """
    given = headers.get("Retry-After", "").strip()
    text = _IN_TEXT.search(body)
    found = (_seconds(given), _until(given), _seconds(text[1] if text else ""), _seconds(_reset(headers)))
    wait = next((one for one in found if one is not None), None)
    return None if wait is None else min(wait, LONGEST_RETRY_AFTER)


def _reset(headers: Mapping[str, str]) -> str:
    return headers.get("inin-ratelimit-reset", "")


def _seconds(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d{1,12}(\.\d{1,12})?", text.strip(), re.ASCII) else None


def _until(date: str) -> float | None:
    moment = http_date(date)
    wait = (moment - now()).total_seconds() if moment else 0.0
    return wait if wait > 0 else None


class Pacer:
    """A token bucket that all threads and clients of one OAuth client share.

    :param per_minute: requests per minute. A burst may have as many as two seconds allow: 10 of 300 per minute.
    :param clock: monotonic seconds.
    """

    def __init__(
        self,
        per_minute: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._budget = per_minute
        self._rate = self._budget
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._slot = clock() - WINDOW
        self._paused_until = clock() - WINDOW

    def acquire(self, longest: float) -> None:
        """Wait for a slot.

        :param longest: seconds that the caller can wait.
        :raises CloudUnavailableError: the wait would be longer. The error carries ``retry_after``; no slot is taken.
        """
        with self._lock:
            now = self._clock()
            interval = WINDOW / self._rate
            burst = max(1.0, self._rate // 30)
            slot = max(self._slot, now - (burst - 1) * interval, self._paused_until)
            wait = max(0.0, slot - now)
            if wait <= longest:
                self._slot = slot + interval
        if wait > longest:
            raise _exhausted(wait)
        if wait:
            self._sleep(wait)

    def budget(self, per_minute: float) -> None:
        """Set the requests per minute to those of the newest client's connection."""
        with self._lock:
            self._budget = per_minute
            self._rate = min(self._rate, self._budget)

    def pause(self, seconds: float) -> None:
        """Start no request for ``seconds``, because a response asked one of the clients to wait."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock() + seconds)

    def observe(self, headers: Mapping[str, str]) -> None:
        """Follow the ``inin-ratelimit-*`` headers: spread the requests that are left over the rest of the window.

        The headers count the requests of every process with this OAuth client. Our own budget cannot.
        """
        allowed = _seconds(headers.get("inin-ratelimit-allowed", ""))
        count = _seconds(headers.get("inin-ratelimit-count", ""))
        reset = _seconds(_reset(headers))
        if not allowed or count is None or not reset:
            return
        reset = min(reset, LONGEST_RESET)
        left = allowed - count
        if left < 1:
            self.pause(reset)
            return
        with self._lock:
            self._rate = min(self._budget, allowed, left / reset * WINDOW)


def _exhausted(wait: float) -> CloudUnavailableError:
    error = CloudUnavailableError(
        f"The request limit of this OAuth client is used up for another {wait:.0f} s. Lower the number of tasks that "
        "use the connection at once, or raise its requests_per_minute or request_share if Genesys allows you more.",
        status=429,
    )
    error.retry_after = wait
    return error
