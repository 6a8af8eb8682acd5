"""A request to a store, queue or database, tried again while its error may pass; and how long anything waits."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from tenacity import RetryCallState

log = logging.getLogger(__name__)
T = TypeVar("T")

FIRST_WAIT = 0.5
"""Seconds before the first retry. Doubled for each one after it, and chance adds up to as much."""
LONGEST_WAIT = 20.0
"""Seconds between two tries, at most."""


def retried(
    action: Callable[[], T],
    request: str,
    retries: int,
    *,
    is_transient: Callable[[BaseException], bool],
    describe: Callable[[BaseException], str] = str,
    first_wait: float | None = None,
) -> T:
    """Return what ``action`` returns; raise its last error when ``retries`` are spent or the error is not transient.

    :param request: names it, for the log.
    :param is_transient: whether the same request may succeed a moment later.
    :param describe: an error in words, without secrets.
    :param first_wait: seconds before the first retry; None for :data:`FIRST_WAIT`.
    """
    # It brings asyncio and more: 3 MB that a process which only waits does not need.
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random

    def warn(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        reason = describe(error) if error else "no answer"
        wait = state.next_action.sleep if state.next_action else 0
        log.warning("%s failed (%s); attempt %s follows in %.1f s", request, reason, state.attempt_number + 1, wait)

    first = FIRST_WAIT if first_wait is None else first_wait
    retrying = Retrying(
        stop=stop_after_attempt(retries + 1),
        wait=wait_exponential(first, max=LONGEST_WAIT) + wait_random(0, first),
        retry=retry_if_exception(is_transient),
        before_sleep=warn,
        reraise=True,
    )
    return retrying(action)


def pause(polls: int, first: float, longest: float, jitter: Callable[[], float] = random.random) -> float:
    """Return the seconds to sleep before the next poll or try, after ``polls`` of them.

    A ceiling doubles with each poll, from twice ``first`` up to ``longest``. The pause is a random value in the upper
    half below the ceiling, never shorter than ``first``. So waits that began together drift apart.

    :param jitter: returns a number from 0 to 1.
    """
    ceiling = min(longest, math.ldexp(first, min(polls, 64) + 1))
    return max(first, ceiling * (1 + jitter()) / 2)
