"""Rows as a binary COPY takes them, packed apart from the statement that sends them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import psycopg
from psycopg.adapt import Dumper
from psycopg.copy import Copy, Writer
from psycopg.postgres import types as known_types
from psycopg.pq import Format

from airflow_provider_genesys.sinks.postgres.background import Sent
from airflow_provider_genesys.sinks.postgres.session import Connection


def packed(connection: Connection, types: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> list[bytes]:
    """Return ``rows`` in the format of a binary COPY, in pieces of whole rows. The server is not asked for anything.

    :param types: of the columns.
    :raises psycopg.DataError: a value does not fit its type.
    """
    cursor, pieces = connection.cursor(), _Pieces()
    cursor.adapters.register_dumper(bytes, _JsonDumper)
    cursor.adapters.register_dumper(str, _UuidDumper)
    with Copy(cursor, binary=True, writer=pieces) as copy:
        copy.set_types(types)
        try:
            for row in rows:
                copy.write_row(row)
        except (ValueError, TypeError, OverflowError) as error:
            raise psycopg.DataError(type(error).__name__) from None
    return pieces.taken


def copied(connection: Connection, statement: bytes, pieces: Iterable[bytes], sent: Sent) -> int:
    """Send ``pieces`` by the COPY ``statement``; return how many rows the table has taken."""
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            for piece in pieces:
                copy.write(piece)
            sent()
        return cursor.rowcount


class _Pieces(Writer):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def write(self, data: Any) -> None:
        self.taken.append(data)


class _JsonDumper(Dumper):
    """JSON text, unchanged; psycopg's own type would make it a JSON string."""

    format = Format.BINARY
    oid = known_types["jsonb"].oid

    def dump(self, obj: bytes) -> bytes:
        return b"\x01" + obj


class _UuidDumper(Dumper):
    format = Format.BINARY
    oid = known_types["uuid"].oid

    def dump(self, obj: str) -> bytes:
        return UUID(obj).bytes
