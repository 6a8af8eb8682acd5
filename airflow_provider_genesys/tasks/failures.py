"""Turns this package's errors into Airflow's: retried, or failed at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_genesys.exceptions import GenesysError

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

__all__ = ["AirflowException", "AirflowFailException", "AirflowSensorTimeout", "AirflowSkipException", "failing_fast"]


@contextmanager
def failing_fast() -> Iterator[None]:
    """Pass on an error that a retry may cure; turn every other error into one that Airflow does not retry.

    :raises AirflowFailException: for a :class:`GenesysError` with ``retryable = False``, with its message.
    """
    try:
        yield
    except GenesysError as error:
        if error.retryable:
            raise
        raise AirflowFailException(str(error)) from None  # its own traceback would print the message twice
