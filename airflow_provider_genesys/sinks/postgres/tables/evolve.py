"""Changes the target as the contract evolves: adds columns, or lets them be null. Nothing is narrowed."""

from __future__ import annotations

from psycopg import errors, sql

from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.exceptions import SinkRefusedError
from airflow_provider_genesys.sinks.postgres.session import Cursor
from airflow_provider_genesys.sinks.postgres.tables.columns import TYPES, column_names
from airflow_provider_genesys.sinks.postgres.tables.schema import columns_of

SHORT_WAIT = b"SET LOCAL lock_timeout = '1s'"
"""An ALTER TABLE that waits makes all later readers of the table wait. So it gives up soon, and tries again."""


def evolution_sql(schema: str, table: str, before: Contract, after: Contract) -> str:
    """Return the statement that takes a table from one contract to the next; empty if there is nothing to do."""
    required = {name: column.required for name, column in zip(column_names(before), before.columns, strict=True)}
    statement = _statement(sql.Identifier(schema, table), after, required)
    return f"{statement.as_string()};" if statement else ""


def evolve(cursor: Cursor, table: sql.Identifier, contract: Contract, *, allowed: bool) -> None:
    """Add the columns of ``contract`` that ``table`` lacks, and drop NOT NULL where the contract allows null.

    :param allowed: whether tables may be altered at all.
    :raises SinkRefusedError: they may not be, or the role has no right; the message holds the SQL.
    """
    statement = _statement(table, contract, columns_of(cursor, table))
    if statement is None:
        return
    if not allowed:
        raise _refused(table, statement, "create_table is off")
    try:
        cursor.execute(statement)
    except errors.InsufficientPrivilege:
        raise _refused(table, statement, "the role does not own it") from None


def _statement(table: sql.Identifier, contract: Contract, present: dict[str, bool]) -> sql.Composed | None:
    """Compose one ALTER TABLE; ``present`` says for each existing column whether it needs a value."""
    actions = []
    for name, column in zip(column_names(contract), contract.columns, strict=True):
        if name not in present:
            kind = sql.SQL(TYPES[column.type])
            actions.append(sql.SQL("ADD COLUMN IF NOT EXISTS {} {}").format(sql.Identifier(name), kind))
        elif present[name] and not column.required:
            actions.append(sql.SQL("ALTER COLUMN {} DROP NOT NULL").format(sql.Identifier(name)))
    return sql.SQL("ALTER TABLE {} {}").format(table, sql.SQL(", ").join(actions)) if actions else None


def _refused(table: sql.Identifier, statement: sql.Composed, why: str) -> SinkRefusedError:
    return SinkRefusedError(
        f"The contract evolves, but {table.as_string()} cannot follow: {why}. Have its owner run: "
        f"{statement.as_string()}; then clear the task with on_clear='resume'."
    )
