"""Whether a user's table can hold a contract's values: always, after a check of each row, or never.

PostgreSQL casts what is inserted to the column's type, and many casts change the value without a word: a ``date`` loses
the time, ``numeric(12,-3)`` the last digits, ``varchar(3)`` blanks at the end.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.exceptions import SinkRefusedError
from airflow_provider_genesys.sinks.postgres.session import Cursor
from airflow_provider_genesys.sinks.postgres.tables.columns import LINEAGE, TYPES, column_names

# For each column, the type below all domains, with its modifier.
_HELD = """
WITH RECURSIVE held AS (
    SELECT a.attname, format_type(a.atttypid, a.atttypmod) AS shown, a.atttypid AS type, a.atttypmod AS modifier,
        CASE WHEN attgenerated <> '' THEN 'EXPRESSION' WHEN attidentity = 'a' THEN 'IDENTITY' ELSE '' END AS computed
    FROM pg_catalog.pg_attribute AS a WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT held.attname, held.shown, t.typbasetype, coalesce(nullif(t.typtypmod, -1), held.modifier), computed
    FROM held JOIN pg_catalog.pg_type AS t ON t.oid = held.type WHERE t.typtype = 'd'
)
SELECT attname, shown, CASE WHEN n.nspname = 'pg_catalog' OR typname = 'citext' THEN typname ELSE '' END, modifier,
    computed, upper(current_setting('TimeZone')) ~ '^(ETC/)?(UTC|UCT|GMT|GMT[+-]?0|ZULU|UNIVERSAL|GREENWICH)$'
FROM held JOIN pg_catalog.pg_type AS t ON t.oid = type JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
WHERE t.typtype <> 'd'
"""

_TEXTS = {"text", "varchar", "bpchar", "citext"}
_NUMBERS = {"int2", "int4", "int8", "float4", "float8", "numeric"}
_TIMES = {"date", "timestamp", "timestamptz"}
_EXACT = {
    "text": {"text", "varchar"},
    "bigint": {"int8", "int4", "int2", "numeric", "text", "varchar"},
    "integer": {"int8", "int4", "numeric"},
    "double precision": {"float8"},
    "numeric": {"numeric", "text", "varchar"},
    "boolean": {"bool"},
    "timestamptz": {"timestamptz"},
    "uuid": {"uuid", "text", "varchar"},
    "jsonb": {"jsonb", "json", "text", "varchar"},
}
"""By the contract's type: types that hold or refuse each of its values, if they have no modifier."""
_NEAR = {
    "text": _TEXTS,
    "bigint": _TEXTS | {"float8", "numeric"},
    "double precision": _TEXTS | {"numeric"},
    "numeric": _TEXTS | {"float8", "numeric"},
    "boolean": _TEXTS,
    "timestamptz": _TEXTS | {"timestamptz"},
    "uuid": _TEXTS,
    "jsonb": _TEXTS,
}
"""Types that hold some of its values: each row is checked."""
_BINARY = {
    "text": {"text", "varchar"},
    "bigint": {"int8"},
    "integer": {"int4"},
    "double precision": {"float8"},
    "numeric": {"numeric"},
    "boolean": {"bool"},
    "timestamptz": {"timestamptz"},
    "uuid": {"uuid"},
    "jsonb": {"jsonb"},
}
"""Types that have the same binary form."""
_FAMILIES = {
    "text": _TEXTS,
    "bigint": _NUMBERS,
    "integer": _NUMBERS,
    "double precision": _NUMBERS,
    "numeric": _NUMBERS,
    "timestamptz": _TIMES,
}
"""By the contract's type: types that ALTER TABLE turns into it."""
_MILLISECONDS = 3
_MICROSECONDS = 6


class Near(NamedTuple):
    """A column that holds some of a contract's values; ``type`` as ``CREATE TABLE`` has it."""

    name: str
    type: str


class InexactValue(psycopg.DataError):
    """A row has a value that its column would change."""

    def __init__(self, columns: Sequence[Near]) -> None:
        super().__init__("; ".join(f"column {name} of type {kind} would hold another value" for name, kind in columns))


class _Held(NamedTuple):
    name: str
    shown: str
    base: str
    modifier: int
    computed: str
    """What gives the column its value, as ``ALTER TABLE … DROP`` names it; empty for what is inserted."""
    utc: bool

    def is_exact(self, given: str) -> bool:
        """Whether each value is held unchanged, or is refused."""
        if self.base == "timestamp" and self.utc:
            return given == "timestamptz" and self.modifier in (-1, _MICROSECONDS)
        if self.base == "numeric" and given == "bigint" and self._scale >= 0:
            return True
        return self.base in _EXACT[given] and self.modifier in (-1, _MICROSECONDS if self.base in _TIMES else -1)

    def is_near(self, given: str) -> bool:
        """Whether some values are held unchanged."""
        if self.base == "timestamptz":
            return given == self.base and self.modifier >= _MILLISECONDS
        return self.base in _NEAR[given] and (self.base != "numeric" or self._scale >= 0)

    def remedy(self, given: str) -> sql.Composed:
        """Compose the action of ALTER TABLE that makes the column hold all values."""
        how = "" if self.base in _FAMILIES.get(given, ()) else " USING {0}::text::{1}"
        if self.base == "timestamp":
            how = " USING {0} AT TIME ZONE current_setting('TimeZone')"
        return sql.SQL("ALTER COLUMN {0} TYPE {1}" + how).format(sql.Identifier(self.name), sql.SQL(given))

    @property
    def _scale(self) -> int:
        # The lower eleven bits, signed, as in PostgreSQL's numeric.c.
        return 0 if self.modifier == -1 else (((self.modifier - 4) & 0x7FF) ^ 1024) - 1024


def near_columns(cursor: Cursor, table: sql.Identifier, contract: Contract) -> tuple[Near, ...]:
    """Return the columns of the target that hold only some of the contract's values.

    :raises SinkRefusedError: one would change nearly all of them; the message holds the SQL that repairs it.
    """
    given = {name: TYPES[column.type] for name, column in zip(column_names(contract), contract.columns, strict=True)}
    held = _held(cursor, table)
    _check_writable(table, held, [*given, *(column.name for column in LINEAGE)])
    found = {name: held[name] for name in given if name in held and not held[name].is_exact(given[name])}
    own = {column.name: column.type for column in LINEAGE if column.type != "text"}
    _refuse(table, held, {name: given[name] for name, column in found.items() if not column.is_near(given[name])} | own)
    return tuple(Near(name, column.shown) for name, column in found.items())


def refusing_column(cursor: Cursor, table: sql.Identifier, contract: Contract, row: Sequence[Any]) -> Near | None:
    """Return the column whose type refuses its value in ``row``, which the server does not name; or None."""
    held = _held(cursor, table)
    for name, column, value in zip(column_names(contract), contract.columns, row, strict=True):
        given, kind = TYPES[column.type], held[name].shown
        cast = sql.SQL("SELECT %s::{0}::{1}::{0}").format(sql.SQL(given), sql.SQL(kind))
        try:
            with cursor.connection.transaction():
                cursor.execute(cast, [value.decode() if isinstance(value, bytes) else value])
        except (psycopg.DataError, UnicodeError):  # UnicodeError: psycopg itself cannot encode the value
            return Near(name, kind)
    return None


def takes_binary(cursor: Cursor, table: sql.Identifier, contract: Contract) -> bool:
    """Return whether each column has the binary form of the contract's type, without a cast."""
    given = {name: TYPES[column.type] for name, column in zip(column_names(contract), contract.columns, strict=True)}
    given |= {column.name: column.type for column in LINEAGE}
    held = _held(cursor, table)
    return all(held[name].base in _BINARY[kind] for name, kind in given.items())


def check_exact(cursor: Cursor, table: sql.Identifier, given: Mapping[str, str]) -> None:
    """Check that a table beside the target can hold every value; its rows are not checked.

    :param given: by column, the type that is written.
    :raises SinkRefusedError: it does not; the message holds the SQL that repairs it.
    """
    held = _held(cursor, table)
    _check_writable(table, held, given)
    _refuse(table, held, given)


def inexact(near: Sequence[Near], contract: Contract, stage: sql.Identifier) -> sql.Composed:
    """Compose the query that finds ``near`` columns that would change a staged value."""
    given = {name: TYPES[column.type] for name, column in zip(column_names(contract), contract.columns, strict=True)}
    text = "coalesce(bool_or({0}::{1}::{2} IS DISTINCT FROM {0}{3}), false)"
    # concat shows the blanks that char(n) adds; a cast to text leaves them out.
    padded = sql.SQL(" OR concat({0}::{1}) <> concat({0})")
    tests = [
        sql.SQL(text).format(name, kind, sql.SQL(of), padded.format(name, kind) if of == "text" else sql.SQL(""))
        for name, kind, of in ((sql.Identifier(name), sql.SQL(kind), given[name]) for name, kind in near)
    ]
    return sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(tests), stage)


def _held(cursor: Cursor, table: sql.Identifier) -> dict[str, _Held]:
    return {row[0]: _Held(*row) for row in cursor.execute(_HELD, [table.as_string()]).fetchall()}


def _check_writable(table: sql.Identifier, held: Mapping[str, _Held], names: Collection[str]) -> None:
    computed = [held[name] for name in names if name in held and held[name].computed]
    if computed:
        drop = [sql.SQL(f"ALTER COLUMN {{}} DROP {one.computed}").format(sql.Identifier(one.name)) for one in computed]
        statement = sql.SQL("ALTER TABLE {} {}").format(table, sql.SQL(", ").join(drop)).as_string()
        raise SinkRefusedError(
            f"The table {table.as_string()} has columns that PostgreSQL computes and a load writes: "
            f"{', '.join(one.name for one in computed)}. Run: {statement};"
        )


def _refuse(table: sql.Identifier, held: Mapping[str, _Held], given: Mapping[str, str]) -> None:
    wrong = [held[name] for name, kind in given.items() if name in held and not held[name].is_exact(kind)]
    if wrong:
        kinds = ", ".join(f"{column.name} is {column.shown}, not {given[column.name]}" for column in wrong)
        remedy = sql.SQL(", ").join(column.remedy(given[column.name]) for column in wrong)
        statement = sql.SQL("ALTER TABLE {} {}").format(table, remedy).as_string()
        raise SinkRefusedError(
            f"The table {table.as_string()} has columns that would hold other values than the records have: {kinds}. "
            f"Run: {statement};"
        )
