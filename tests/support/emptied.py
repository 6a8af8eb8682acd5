"""A database that one test after the other has for itself."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql
from typing_extensions import LiteralString


def empty(connection: psycopg.Connection[Any]) -> None:
    """Remove what a test has left: making another database takes longer, and a thousand of them take gigabytes."""
    connection.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    schemas = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)'"
    for schema in _names(connection, schemas):
        connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(schema))
    for role in _names(connection, "SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_' AND rolname <> current_user"):
        connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
        connection.execute(sql.SQL("DROP ROLE {}").format(role))
    database = sql.Identifier(connection.info.dbname)
    for begin in (
        "CREATE SCHEMA public AUTHORIZATION pg_database_owner",
        "GRANT USAGE ON SCHEMA public TO PUBLIC",
        "ALTER DATABASE {} RESET ALL",
        "GRANT CONNECT, TEMPORARY ON DATABASE {} TO PUBLIC",
    ):
        connection.execute(sql.SQL(begin).format(database))


def _names(connection: psycopg.Connection[Any], query: LiteralString) -> list[sql.Identifier]:
    return [sql.Identifier(name) for (name,) in connection.execute(query).fetchall()]
