"""Tells what is wrong with a connection of Airflow's: it does not exist, or no client can be made of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

try:
    from airflow.sdk.exceptions import AirflowNotFoundException
except ImportError:  # before Airflow 3.2
    from airflow.exceptions import AirflowNotFoundException  # type: ignore[attr-defined]

from airflow_provider_genesys.exceptions import ConfigurationError, GenesysError
from airflow_provider_genesys.outside import shown


@contextmanager
def existing(conn_id: str | None, kind: str) -> Iterator[None]:
    """Raise :class:`ConfigurationError` if the connection that is read within does not exist.

    :param kind: the type that it should have, e.g. ``postgres``.
    """
    try:
        yield
    except AirflowNotFoundException:
        raise ConfigurationError(
            f"There is no connection {shown(conn_id, 80)!r}. Create it in the UI (Admin, Connections) or with `airflow "
            f"connections add`, with the type {kind}."
        ) from None


@contextmanager
def readable(conn_id: str | None, *errors: type[Exception]) -> Iterator[None]:
    """Raise :class:`ConfigurationError` if making a client within, without a request, raises one of ``errors``."""
    try:
        yield
    except GenesysError:
        raise
    except errors as error:
        raise ConfigurationError(
            f"No client can be made of the connection {shown(conn_id, 80)!r}: {shown(error)}. Correct the connection."
        ) from error
