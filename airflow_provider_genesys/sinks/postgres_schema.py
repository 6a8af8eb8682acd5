"""Whether the tables are there and fit the contract; where allowed, they are created."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from psycopg import errors, sql

from airflow_provider_genesys.exceptions import SinkRefusedError
from airflow_provider_genesys.pipeline.contract import Contract
from airflow_provider_genesys.sinks.postgres_columns import LINEAGE, LOADED, TYPES, column_names
from airflow_provider_genesys.sinks.postgres_session import Cursor

# Any number, as long as all who create these tables take the same.
_CREATING = 7_436_397_397

_COLUMNS = """
SELECT attname, attnotnull AND NOT atthasdef AND attidentity = '' FROM pg_catalog.pg_attribute
WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
"""


def create_table(table: sql.Identifier, definitions: Sequence[sql.Composable]) -> sql.Composed:
    """Compose ``CREATE TABLE``, one definition per line."""
    return sql.SQL("CREATE TABLE {} (\n    {}\n)").format(table, sql.SQL(",\n    ").join(definitions))


def create_target(table: sql.Identifier, contract: Contract) -> sql.Composed:
    """Compose what creates the table of a contract: its key, a cheap index for the count at the end, comments."""
    names = column_names(contract)
    required = {name for name, column in zip(names, contract.columns, strict=True) if column.required}
    required |= {column.name for column in LINEAGE}
    columns = [
        sql.SQL("{} {}{}").format(sql.Identifier(name), sql.SQL(kind), sql.SQL(" NOT NULL" * (name in required)))
        for name, kind, _ in _described(contract)
    ]
    key = sql.SQL("PRIMARY KEY ({})").format(sql.Identifier(names[contract.index(contract.key)]))
    index = sql.SQL("CREATE INDEX ON {} USING brin ({})").format(table, sql.Identifier(LOADED.name))
    about = sql.Literal(f"Genesys Cloud: {contract.name}, version {contract.version} of the contract")
    comments = [
        sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(table, sql.Identifier(name), sql.Literal(text))
        for name, _, text in _described(contract)
        if text
    ]
    comments.insert(0, sql.SQL("COMMENT ON TABLE {} IS {}").format(table, about))
    return sql.SQL(";\n").join([create_table(table, [*columns, key]), index, *comments])


def ensure(cursor: Cursor, table: sql.Identifier, definition: sql.Composed, *, create: bool) -> dict[str, bool]:
    """Create ``table`` unless it is there. Return its columns, and of each whether it has to be given a value.

    :raises SinkRefusedError: it is not there and cannot be created; the message holds the SQL.
    """
    present = _columns(cursor, table)
    if present:
        return present
    if not create:
        raise _absent(table, definition, "create_table is off")
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_CREATING])
    if not _columns(cursor, table):
        try:
            cursor.execute(definition)
        except errors.InsufficientPrivilege:
            raise _absent(table, definition, "the role may not create it") from None
    return _columns(cursor, table)


def check(table: sql.Identifier, contract: Contract, present: dict[str, bool]) -> None:
    """Compare the target's columns with what the contract needs.

    :raises SinkRefusedError: one is lacking, or there is another one that needs a value.
    """
    kinds = {name: kind for name, kind, _ in _described(contract)}
    absent = [name for name in kinds if name not in present]
    if absent:
        parts = [sql.SQL("ADD COLUMN {} {}").format(sql.Identifier(name), sql.SQL(kinds[name])) for name in absent]
        remedy = sql.SQL("ALTER TABLE {} {}").format(table, sql.SQL(", ").join(parts))
        raise _unfit(table, f"lacks the columns {', '.join(absent)}", [remedy])
    demanding = [name for name, demands in present.items() if demands and name not in kinds]
    if demanding:
        remedies = [
            sql.SQL("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL").format(table, sql.Identifier(name))
            for name in demanding
        ]
        raise _unfit(table, f"has columns that the contract cannot fill: {', '.join(demanding)}", remedies)


def no_unique_key(table: sql.Identifier, key: str) -> SinkRefusedError:
    """Make the error for a table without a unique key on ``key`` alone."""
    remedy = sql.SQL("ALTER TABLE {} ADD UNIQUE ({})").format(table, sql.Identifier(key))
    return _unfit(table, f"has no unique key on {key} alone, by which duplicates could be told", [remedy])


def _described(contract: Contract) -> list[tuple[str, str, str]]:
    columns = zip(column_names(contract), contract.columns, strict=True)
    return [*((name, TYPES[column.type], column.description) for name, column in columns), *LINEAGE]


def _columns(cursor: Cursor, table: sql.Identifier) -> dict[str, bool]:
    return dict(cursor.execute(_COLUMNS, [table.as_string()]).fetchall())


def _absent(table: sql.Identifier, definition: sql.Composed, why: str) -> SinkRefusedError:
    return SinkRefusedError(
        f"There is no table {table.as_string()}, and {why}. Have somebody who may run:\n{definition.as_string()};"
    )


def _unfit(table: sql.Identifier, how: str, remedies: Collection[sql.Composed]) -> SinkRefusedError:
    statements = "; ".join(remedy.as_string() for remedy in remedies)
    return SinkRefusedError(f"The table {table.as_string()} {how}. Run: {statements};")
