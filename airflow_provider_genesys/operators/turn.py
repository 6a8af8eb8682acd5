"""The wait for a turn: an organisation may have only so many recording jobs at work, whoever made them."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any, NoReturn, Protocol

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

from airflow_provider_genesys.exceptions import JobLimitError
from airflow_provider_genesys.waiting import pause, seconds_left

_POLLS = 64  # so many double any first pause to the longest


class WaitingForATurn(Protocol):
    """What :func:`await_turn` needs of the operator that waits; intervals and timeout in seconds."""

    @property
    def poll_interval(self) -> float: ...  # noqa: D102 -- said by the class, here and below
    @property
    def max_poll_interval(self) -> float: ...  # noqa: D102
    @property
    def timeout(self) -> float: ...  # noqa: D102
    @property
    def deferrable(self) -> bool: ...  # noqa: D102
    @property
    def log(self) -> Any: ...  # noqa: D102

    def defer(self, *, trigger: Any, method_name: str, kwargs: dict[str, Any]) -> NoReturn: ...  # noqa: D102


def await_turn(task: WaitingForATurn, began: datetime, error: JobLimitError) -> None:
    """Pause, and return; a deferrable task defers instead, and Airflow calls its method ``take_turn`` afterwards.

    :param began: when the wait began, aware; ``task.timeout`` bounds it.
    :raises JobLimitError: it has lasted too long.
    """
    if seconds_left(began + timedelta(seconds=task.timeout)) <= 0:
        raise error
    seconds = pause(_POLLS, task.poll_interval, task.max_poll_interval)
    task.log.info("%s Asking again in %.0f s.", error, seconds)
    if task.deferrable:
        trigger = TimeDeltaTrigger(timedelta(seconds=seconds))
        task.defer(trigger=trigger, method_name="take_turn", kwargs={"began": began.isoformat()})
    time.sleep(seconds)
