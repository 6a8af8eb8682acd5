"""A connection to PostgreSQL that is opened again after each failure, and retries on it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import psycopg
from psycopg.rows import tuple_row

from airflow_provider_genesys.exceptions import ConfigurationError, SinkUnavailableError
from airflow_provider_genesys.retries import retried
from airflow_provider_genesys.sinks.postgres.errors import describe, is_transient, refusal

T = TypeVar("T")

Connection = psycopg.Connection[Any]
Cursor = psycopg.Cursor[tuple[Any, ...]]

# Regardless of the database's default: locked rows have to be read as they are at that time.
_BEGIN = b"BEGIN ISOLATION LEVEL READ COMMITTED"


class Session:
    """Transactions on one connection at a time.

    :param connect: opens a connection (psycopg 3).
    :param retries: number of retries.
    :param retry_wait: seconds before the first retry; doubled for each further one, with jitter.
    """

    def __init__(self, connect: Callable[[], Connection], *, retries: int, retry_wait: float) -> None:
        self._connect = connect
        self._retries = retries
        self._retry_wait = retry_wait
        self.connection: Connection | None = None
        """The connection in use."""

    def retried(self, action: Callable[[], T], doing: str) -> T:
        """Return the result of ``action``; try again after temporary failures.

        :param doing: names it in errors, with export and bytes.
        :raises SinkUnavailableError: retries are spent.
        :raises SinkRefusedError: no retry would help.
        """
        try:
            return retried(
                action,
                f"PostgreSQL: {doing}",
                self._retries,
                is_transient=is_transient,
                describe=_describe,
                first_wait=self._retry_wait,
            )
        except psycopg.Error as error:
            if not is_transient(error):
                raise refusal(error, doing) from None
            # Without its cause: psycopg's own text quotes the row that was being copied.
            raise SinkUnavailableError(
                f"PostgreSQL did not take {doing}. Tried {self._retries + 1} times; the last error: {describe(error)}. "
                "What was committed before stays, nothing of this is visible, and the task's next try resumes here.",
                code=error.sqlstate,
            ) from None

    @contextmanager
    def transaction(self, *first: bytes) -> Iterator[Cursor]:
        """Run one transaction. After any failure, its connection is not used again.

        :param first: statements without parameters, which go to the server together with BEGIN. Their results follow
            BEGIN's: see :meth:`psycopg.Cursor.nextset`.
        """
        try:
            if self.connection is None:
                self.connection = self._connect()
                _make_ready(self.connection)
            with self.connection.cursor(row_factory=tuple_row) as cursor:
                cursor.execute(b";".join([_BEGIN, *first]))
                yield cursor
                cursor.execute(b"COMMIT")
        except BaseException:
            self.close()
            raise

    def cut(self) -> None:
        """End what another thread does on the connection: its next look at the server finds none. Never raises."""
        with suppress(Exception):
            if connection := self.connection:
                with socket.socket(fileno=os.dup(connection.fileno())) as line:
                    line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection. Never raises."""
        connection, self.connection = self.connection, None
        if connection is not None:
            with suppress(Exception):
                connection.close()


def in_known_form(connection: Connection) -> Connection:
    """Let the server send text as UTF-8 and times in ISO 8601, whatever the settings of the database or role are.

    From SQL_ASCII, text would come as bytes; times in another form cannot be read. Between transactions PgBouncer keeps
    both settings for each of its clients.
    """
    settings = []
    if connection.info.encoding != "utf-8":
        settings.append("SET client_encoding TO 'UTF8'")
    if not (connection.info.parameter_status("DateStyle") or "").startswith("ISO"):
        settings.append("SET datestyle TO 'ISO'")
    if settings:
        connection.execute("; ".join(settings))
        connection.commit()
    return connection


def _make_ready(connection: Connection) -> None:
    """Reset the connection: autocommit, and no prepared statements, which pgbouncer may run on another connection."""
    if not isinstance(connection, psycopg.Connection):
        raise ConfigurationError(
            f"The connection is of {type(connection).__module__}; psycopg 3 is needed. Run: pip install "
            "'airflow-provider-genesys[postgres]'"
        )
    connection.rollback()
    connection.autocommit = True
    connection.prepare_threshold = None
    in_known_form(connection)


def _describe(error: BaseException) -> str:
    return describe(error) if isinstance(error, psycopg.Error) else type(error).__name__
