"""Checks that the tables exist and fit the contract, and creates them if allowed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from psycopg import errors, sql

from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.exceptions import SinkRefusedError
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.sinks.postgres.session import Cursor
from airflow_provider_genesys.sinks.postgres.tables.columns import (
    LINEAGE,
    LOADED,
    SUBMITTED,
    TYPES,
    column_names,
    key_choices,
)

# Any number, but the same in every process that creates these tables.
_CREATING = 7_436_397_397

_COLUMNS = """
SELECT attname, attnotnull AND NOT atthasdef AND attidentity = '' FROM pg_catalog.pg_attribute
WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
"""
# The names of the columns of each unique index that ON CONFLICT can use.
_UNIQUE = """
SELECT array_agg(attname::text) FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid
    AND a.attnum = ANY ((i.indkey::smallint[])[0:i.indnkeyatts - 1])
WHERE i.indrelid = to_regclass(%s) AND i.indisunique AND i.indisvalid AND i.indimmediate
    AND i.indpred IS NULL AND i.indexprs IS NULL
GROUP BY i.indexrelid
"""
# Columns of a unique key that take two different texts for equal.
_LOOSE = """
WITH RECURSIVE held AS (
    SELECT attname, attcollation, atttypid AS type FROM pg_catalog.pg_attribute
    WHERE attrelid = to_regclass(%s) AND attname = ANY (%s)
    UNION ALL
    SELECT attname, attcollation, typbasetype FROM held JOIN pg_catalog.pg_type AS t ON t.oid = type WHERE typtype = 'd'
)
SELECT DISTINCT attname FROM held JOIN pg_catalog.pg_type AS t ON t.oid = type
LEFT JOIN pg_catalog.pg_collation AS c ON c.oid = attcollation
WHERE typname = 'citext' OR NOT coalesce(collisdeterministic, true)
"""
_IS_PARTITIONED = "SELECT EXISTS (SELECT FROM pg_catalog.pg_partitioned_table WHERE partrelid = to_regclass(%s))"


def create_table(table: sql.Identifier, definitions: Sequence[sql.Composable]) -> sql.Composed:
    """Compose ``CREATE TABLE``, one definition per line."""
    return sql.SQL("CREATE TABLE {} (\n    {}\n)").format(table, sql.SQL(",\n    ").join(definitions))


def create_target(table: sql.Identifier, contract: Contract, *, partitioned: bool = False) -> sql.Composed:
    """Compose the statements that create a contract's table: its key, a small index for the final count, comments.

    :param partitioned: by range of the contract's timestamp, which then is part of the key.
    """
    names = column_names(contract)
    required = {name for name, column in zip(names, contract.columns, strict=True) if column.required}
    required |= {column.name for column in LINEAGE if column is not SUBMITTED}
    columns = [
        sql.SQL("{} {}{}").format(sql.Identifier(name), sql.SQL(kind), sql.SQL(" NOT NULL" * (name in required)))
        for name, kind, _ in _described(contract)
    ]
    key = key_choices(contract)[-1 if partitioned else 0]
    columns.append(sql.SQL("PRIMARY KEY ({})").format(listed(key)))
    body = create_table(table, columns)
    if partitioned:
        body += sql.SQL(" PARTITION BY RANGE ({})").format(sql.Identifier(key[-1]))
    index = sql.SQL("CREATE INDEX ON {} USING brin ({})").format(table, sql.Identifier(LOADED.name))
    return sql.SQL(";\n").join([body, index, *_comments(table, contract)])


def _comments(table: sql.Identifier, contract: Contract) -> list[sql.Composed]:
    about = sql.Literal(f"Genesys Cloud: {contract.name}, version {contract.version} of the contract")
    columns = [
        sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(table, sql.Identifier(name), sql.Literal(text))
        for name, _, text in _described(contract)
        if text
    ]
    return [sql.SQL("COMMENT ON TABLE {} IS {}").format(table, about), *columns]


def ensure_schema(cursor: Cursor, schema: str) -> None:
    """Create ``schema`` unless it is there.

    :raises SinkRefusedError: it is missing and the role may not create it; the message holds the SQL.
    """
    present = "SELECT to_regnamespace(quote_ident(%s)) IS NOT NULL"
    if cursor.execute(present, [schema]).fetchall() == [(True,)]:
        return
    definition = sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema))
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_CREATING])
    try:
        cursor.execute(definition)
    except errors.InsufficientPrivilege:
        raise SinkRefusedError(
            f"There is no schema {schema!r}, and the role may not create it. Have somebody who may run:\n"
            f"{definition.as_string()};"
        ) from None


def ensure(cursor: Cursor, table: sql.Identifier, definition: sql.Composed, *, create: bool) -> dict[str, bool]:
    """Create ``table`` unless it is there. Return its columns, and for each whether it needs a value.

    :raises SinkRefusedError: it is missing and cannot be created; the message holds the SQL.
    """
    present = columns_of(cursor, table)
    if present:
        return present
    if not create:
        raise _absent(table, definition, "create_table is off")
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_CREATING])
    if not columns_of(cursor, table):
        try:
            cursor.execute(definition)
        except errors.InsufficientPrivilege:
            raise _absent(table, definition, "the role may not create it") from None
    return columns_of(cursor, table)


def check(table: sql.Identifier, contract: Contract, load: Load, present: dict[str, bool]) -> None:
    """Compare the target's columns with those that contract and load need.

    :raises SinkRefusedError: one is missing, or another one needs a value.
    """
    kinds = {name: kind for name, kind, _ in _described(contract)}
    check_present(table, {name: sql.SQL(kind) for name, kind in kinds.items() if name not in present})
    check_filled(table, present, kinds)
    check_submission(table, load, present, SUBMITTED.name)


def check_present(table: sql.Identifier, absent: Mapping[str, sql.Composable]) -> None:
    """Raise :class:`SinkRefusedError` if columns are ``absent``; by name, the definitions of those that are."""
    if absent:
        parts = [sql.SQL("ADD COLUMN {} {}").format(sql.Identifier(name), how) for name, how in absent.items()]
        remedy = sql.SQL("ALTER TABLE {} {}").format(table, sql.SQL(", ").join(parts))
        raise unfit(table, f"lacks the columns {', '.join(absent)}", [remedy])


def check_filled(table: sql.Identifier, present: Mapping[str, bool], filled: Collection[str]) -> None:
    """Raise :class:`SinkRefusedError` if columns besides those that are ``filled`` need a value."""
    demanding = [name for name, demands in present.items() if demands and name not in filled]
    if demanding:
        drop = sql.SQL("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL")
        remedies = [drop.format(table, sql.Identifier(name)) for name in demanding]
        raise unfit(table, f"has columns that a load cannot fill: {', '.join(demanding)}", remedies)


def check_submission(table: sql.Identifier, load: Load, present: dict[str, bool], column: str) -> None:
    """Raise :class:`SinkRefusedError` if ``column`` needs the time of the export's request and it is not known."""
    if load.submitted_at is None and present[column]:
        remedy = sql.SQL("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL").format(table, sql.Identifier(column))
        how = (
            f"wants to know when export {load.export_id} was asked for, and nobody says. Give the operator "
            "submitted_at, or let that be unknown"
        )
        raise unfit(table, how, [remedy])


def find_key(cursor: Cursor, table: sql.Identifier, contract: Contract) -> tuple[str, ...]:
    """Return the columns of the table's unique key.

    :raises SinkRefusedError: it has no unique key of the columns that :func:`key_choices` names, or one that takes
        different ids for the same.
    """
    unique = unique_keys(cursor, table)
    choices = key_choices(contract)
    for key in choices:
        if set(key) in unique:
            _check_strict(cursor, table, key)
            return key
    wanted = choices[-1 if is_partitioned(cursor, table) else 0]
    remedy = sql.SQL("ALTER TABLE {} ADD UNIQUE ({})").format(table, listed(wanted))
    raise unfit(table, f"has no unique key on {', '.join(wanted)} alone, by which duplicates could be found", [remedy])


def unique_keys(cursor: Cursor, table: sql.Identifier) -> list[set[str]]:
    """Return the columns of each unique key that ON CONFLICT can use."""
    return [set(names) for (names,) in cursor.execute(_UNIQUE, [table.as_string()]).fetchall()]


def listed(names: Sequence[str]) -> sql.Composed:
    """Compose the names of columns, with commas between."""
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _check_strict(cursor: Cursor, table: sql.Identifier, key: Sequence[str]) -> None:
    loose = [name for (name,) in cursor.execute(_LOOSE, [table.as_string(), list(key)]).fetchall()]
    if loose:
        retype = sql.SQL('ALTER COLUMN {} TYPE text COLLATE "default"')
        actions = sql.SQL(", ").join(retype.format(sql.Identifier(name)) for name in loose)
        how = f"has a unique key that takes ids for the same which differ, e.g. in case: {', '.join(loose)}"
        raise unfit(table, how, [sql.SQL("ALTER TABLE {} {}").format(table, actions)])


def is_partitioned(cursor: Cursor, table: sql.Identifier) -> bool:
    """Return whether ``table`` exists and has partitions."""
    return cursor.execute(_IS_PARTITIONED, [table.as_string()]).fetchall() == [(True,)]


def _described(contract: Contract) -> list[tuple[str, str, str]]:
    columns = zip(column_names(contract), contract.columns, strict=True)
    return [*((name, TYPES[column.type], column.description) for name, column in columns), *LINEAGE]


def columns_of(cursor: Cursor, table: sql.Identifier) -> dict[str, bool]:
    """Return the table's columns, and for each whether it needs a value; none if there is no table."""
    return dict(cursor.execute(_COLUMNS, [table.as_string()]).fetchall())


def _absent(table: sql.Identifier, definition: sql.Composed, why: str) -> SinkRefusedError:
    return SinkRefusedError(
        f"There is no table {table.as_string()}, and {why}. Have somebody who may run:\n{definition.as_string()};"
    )


def unfit(table: sql.Identifier, how: str, remedies: Collection[sql.Composed]) -> SinkRefusedError:
    """Return the error for a table that is there, with the SQL that repairs it."""
    statements = "; ".join(remedy.as_string() for remedy in remedies)
    return SinkRefusedError(f"The table {table.as_string()} {how}. Run: {statements};")
