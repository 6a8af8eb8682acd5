"""Tells what is wrong with a connection of Airflow's: it does not exist, or no client can be made of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import overload

from airflow.sdk import BaseHook, Connection

try:
    from airflow.sdk.exceptions import AirflowNotFoundException
except ImportError:  # before Airflow 3.2
    from airflow.exceptions import AirflowNotFoundException  # type: ignore[attr-defined]

from airflow_provider_genesys.exceptions import ConfigurationError, GenesysError
from airflow_provider_genesys.outside import shown

_TYPES = ("aws", "genesys_cloud", "google_cloud_platform", "iceberg", "postgres", "redis", "wasb")
"""Types that are never meant where another one of them is needed. Other types may be a user's own."""


@overload
def read_connection(conn_id: str | None, *kinds: str) -> Connection: ...


@overload
def read_connection(conn_id: str | None, *kinds: str, optional: bool) -> Connection | None: ...


def read_connection(conn_id: str | None, *kinds: str, optional: bool = False) -> Connection | None:
    """Return a connection of Airflow's.

    :param kinds: the types that it should have, e.g. ``postgres``.
    :param optional: return None if it does not exist.
    :raises ConfigurationError: it does not exist, is for something else, or its extra is no JSON object.
    """
    named, wanted = repr(shown(conn_id, 80)), " or ".join(kinds)
    try:
        connection = BaseHook.get_connection(str(conn_id))
    except AirflowNotFoundException:
        if optional:
            return None
        raise ConfigurationError(
            f"There is no connection {named}. Create it in the UI (Admin, Connections) or with `airflow "
            f"connections add`, with the type {wanted}. If it exists, look whether `airflow connections get` finds it."
        ) from None
    if connection.conn_type in _TYPES and connection.conn_type not in kinds:
        raise ConfigurationError(
            f"Connection {named} has the type {connection.conn_type}, and {wanted} is needed. Name another connection, "
            "or correct its type."
        )
    if connection.extra and not _is_object(connection.extra):
        raise ConfigurationError(f"The extra of connection {named} is no JSON object. Correct the connection.")
    return connection


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


@contextmanager
def readable(conn_id: str | None, *errors: type[Exception]) -> Iterator[None]:
    """Raise :class:`ConfigurationError` if making a client within, without a request, raises one of ``errors``.

    Clients say in other ways, too, that a setting has a wrong type.
    """
    kinds: tuple[type[Exception], ...] = (AttributeError, TypeError, ValueError, *errors)
    try:
        yield
    except GenesysError:
        raise
    except kinds as error:
        raise ConfigurationError(
            f"No client can be made of the connection {shown(conn_id, 80)!r}: {shown(error).rstrip('.')}. Correct the "
            "connection."
        ) from error
