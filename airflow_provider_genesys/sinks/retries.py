"""A request to a store or queue, tried again while its error may pass."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random

log = logging.getLogger(__name__)
T = TypeVar("T")

FIRST_WAIT = 0.5
LONGEST_WAIT = 20.0
JITTER = 0.5
"""Seconds before the first retry, doubled for each one after it; at most; and what chance adds at most."""


def retried(
    action: Callable[[], T],
    request: str,
    retries: int,
    *,
    passes: Callable[[BaseException], bool],
    told: Callable[[BaseException], str],
) -> T:
    """Return what ``action`` returns; raise its last error when ``retries`` are spent or the error does not pass.

    :param request: names it, for the log.
    :param passes: whether the same request may succeed a moment later.
    :param told: an error in words, without secrets.
    """

    def warn(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        reason = told(error) if error else "no answer"
        wait = state.next_action.sleep if state.next_action else 0
        log.warning("%s failed (%s); attempt %s follows in %.1f s", request, reason, state.attempt_number + 1, wait)

    retrying = Retrying(
        stop=stop_after_attempt(retries + 1),
        wait=wait_exponential(FIRST_WAIT, max=LONGEST_WAIT) + wait_random(0, JITTER),
        retry=retry_if_exception(passes),
        before_sleep=warn,
        reraise=True,
    )
    return retrying(action)
