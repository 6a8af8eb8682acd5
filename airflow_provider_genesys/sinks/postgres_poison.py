"""Rows that PostgreSQL itself refuses: which they are, and the dead letters that they become."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import psycopg

from airflow_provider_genesys.pipeline.contract import Contract
from airflow_provider_genesys.pipeline.dead_letter import DeadLetter
from airflow_provider_genesys.sinks.postgres_errors import is_of_a_row, rule_of
from airflow_provider_genesys.sinks.postgres_session import Cursor
from airflow_provider_genesys.sinks.postgres_table import Table


def search(
    cursor: Cursor, table: Table, contract: Contract, rows: Sequence[tuple[Any, ...]], offsets: Sequence[int]
) -> dict[int, DeadLetter]:
    """Land what can be landed, in halves of halves; return a dead letter by offset for each row that cannot."""
    try:
        with cursor.connection.transaction():
            cursor.execute(table.stage)
            table.land(cursor, rows, offsets)
            table.unstage(cursor)
    except psycopg.Error as error:
        if not rows or not is_of_a_row(error):
            raise
        if len(rows) == 1:
            return {offsets[0]: _dead_letter(contract, rows[0], offsets[0], error)}
        middle = len(rows) // 2
        return {
            **search(cursor, table, contract, rows[:middle], offsets[:middle]),
            **search(cursor, table, contract, rows[middle:], offsets[middle:]),
        }
    return {}


def _dead_letter(contract: Contract, row: tuple[Any, ...], offset: int, error: psycopg.Error) -> DeadLetter:
    names = {"column": error.diag.column_name, "constraint": error.diag.constraint_name}
    places = [f"{kind} {name}" for kind, name in names.items() if name]
    return DeadLetter(
        offset=offset,
        raw=_row_as_json(contract, row),
        stage="sink",
        rule=rule_of(error),
        message=f"PostgreSQL refuses the row: {', '.join([rule_of(error).replace('-', ' '), *places])}",
    )


def _row_as_json(contract: Contract, row: tuple[Any, ...]) -> bytes:
    """Return the row by the contract's column names: the record's own bytes are not at hand any more."""
    names = [column.name for column in contract.columns]
    return msgspec.json.encode(dict(zip(names, map(_legible, row), strict=True)))


def _legible(value: Any) -> Any:
    if isinstance(value, bytes):
        return msgspec.Raw(value)
    # A lone surrogate, which JSON's encoder would refuse.
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value
