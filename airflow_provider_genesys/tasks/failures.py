"""Turns this package's errors into Airflow's: retried, or failed at once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Any

from airflow_provider_genesys.exceptions import GenesysError
from airflow_provider_genesys.outside import shown

try:
    from airflow.sdk.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowSensorTimeout,
        AirflowSkipException,
    )
except ImportError:  # Airflow 3.1
    from airflow.exceptions import (  # type: ignore[attr-defined,no-redef]
        AirflowException,
        AirflowFailException,
        AirflowSensorTimeout,
        AirflowSkipException,
    )

__all__ = [
    "AirflowException",
    "AirflowFailException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "failing_fast",
    "of_window",
]


log = logging.getLogger(__name__)


class _FailingFast:
    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, GenesysError):
            log.debug("Where it was raised:", exc_info=error)
            if error.retryable:
                raise error.with_traceback(None) from None
            raise AirflowFailException(str(error)) from None  # its own traceback would print the message twice


def failing_fast() -> AbstractContextManager[None]:
    """Pass on an error that a retry may cure; turn every other error into one that Airflow does not retry.

    Airflow prints an error with all its causes and their frames. Those are of use to few and hide the message, so they
    go to the log's level DEBUG. Airflow prints its own frames in any case; the message comes last.

    :raises AirflowFailException: for a :class:`GenesysError` with ``retryable = False``, with its message.
    """
    # A generator would not do: contextlib gives an error that passes through it its frames back.
    return _FailingFast()


@contextmanager
def of_window(start: Any, end: Any) -> Iterator[None]:
    """Let errors of this package say which window is concerned, where they do not already."""
    try:
        yield
    except GenesysError as error:
        first, last = shown(start, 40), shown(end, 40)
        if start and first not in str(error):
            # SQL at the end of a message is there to be copied.
            between = "\n" if str(error).endswith(";") else " "
            error.args = (f"{error}{between}The window is {first} to {last}.",)
        raise
