"""Finds the rows that PostgreSQL refuses, and makes dead letters of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
import psycopg

from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.exceptions import SinkRefusedError, UnrankedExportError
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.sinks.postgres.errors import (
    is_of_a_row,
    is_out_of_bounds,
    lacks_partition,
    places_of,
    rule_of,
)
from airflow_provider_genesys.sinks.postgres.session import Cursor
from airflow_provider_genesys.sinks.postgres.tables.children import Children
from airflow_provider_genesys.sinks.postgres.tables.relation import RowsKeptOut
from airflow_provider_genesys.sinks.postgres.tables.table import Table
from airflow_provider_genesys.sinks.postgres.tables.types import InexactValue, Near
from airflow_provider_genesys.source.records import DeadLetter


def search(
    cursor: Cursor,
    table: Table,
    load: Load,
    rows: Sequence[tuple[Any, ...]],
    offsets: Sequence[int],
    *,
    children: Children,
    rejects: Callable[[Exception], bool] = is_of_a_row,
) -> dict[int, DeadLetter]:
    """Land all rows that can land, in ever smaller halves. Return a dead letter for each other row, by its offset.

    :param children: land with their rows; a row whose children are refused cannot be landed.
    :param rejects: returns whether an error means that a row is to be rejected.
    :raises SinkRefusedError: the target lacks a partition for the load's window, which is not a row's fault.
    """
    try:
        with cursor.connection.transaction():
            table.land(cursor, rows, offsets)
            children.replace(cursor, rows, offsets)
    except (psycopg.Error, UnrankedExportError) as error:
        if not rows or not rejects(error):
            raise
        if len(rows) == 1:
            if lacks_partition(error):
                _check_outside(load, rows[0], error)
            where = _places(error, partial(table.refusing_column, cursor, rows[0]))
            return {offsets[0]: _dead_letter(load.contract, rows[0], offsets[0], error, where)}
        middle = len(rows) // 2
        search_in = partial(search, cursor, table, load, children=children, rejects=rejects)
        return {**search_in(rows[:middle], offsets[:middle]), **search_in(rows[middle:], offsets[middle:])}
    return {}


def with_records(found: dict[int, DeadLetter], batch: Batch) -> dict[int, DeadLetter]:
    """Return the letters with the records' original bytes instead of the rows, if those are still in memory."""
    if batch.source is None:
        return found
    return {offset: replace(letter, raw=batch.source.record(offset)) for offset, letter in found.items()}


def _check_outside(load: Load, row: tuple[Any, ...], error: Exception) -> None:
    moment = row[load.contract.index(load.contract.timestamp)]
    if load.window_start <= moment < load.window_end:
        how, remedy = "has no partition for", "Create it, or add a default partition"
        if is_out_of_bounds(error):
            how = "is, or has, a partition that does not take a row of"
            remedy = "Name the table that it is a partition of, or let no trigger change the timestamp"
        raise SinkRefusedError(
            f"The target of export {load.export_id} {how} {moment.date()}, which its window needs. {remedy}; then "
            "clear the task with on_clear='resume'."
        )


def without(batch: Batch, poison: dict[int, DeadLetter]) -> tuple[list[tuple[Any, ...]], list[int]]:
    """Return rows and offsets of the batch, without those that were rejected."""
    if not poison:
        return list(batch.rows), batch.offsets
    good = [place for place, offset in enumerate(batch.offsets) if offset not in poison]
    return [batch.rows[place] for place in good], [batch.offsets[place] for place in good]


def _places(error: Exception, refusing_column: Callable[[], Near | None]) -> list[str]:
    """Return where the row was refused. For a failed cast, the server names neither table nor column."""
    if not isinstance(error, psycopg.Error) or isinstance(error, (InexactValue, RowsKeptOut)):
        return []
    named = places_of(error)
    if not named and isinstance(error, psycopg.DataError) and (column := refusing_column()):
        return [f"column {column.name} of type {column.type}"]
    return named


def _dead_letter(
    contract: Contract, row: tuple[Any, ...], offset: int, error: Exception, places: Sequence[str]
) -> DeadLetter:
    rule, message = _reason(error, places)
    return DeadLetter(offset=offset, raw=_row_as_json(contract, row), stage="sink", rule=rule, message=message)


def _reason(error: Exception, places: Sequence[str]) -> tuple[str, str]:
    if not isinstance(error, psycopg.Error):
        return "unranked-export", str(error)
    rule = rule_of(error)
    if isinstance(error, RowsKeptOut):
        return rule, f"{error.where} keeps the row out, or changes its key or lineage, without an error."
    if isinstance(error, InexactValue):
        return rule, f"The table cannot hold the row as it is: {error}."
    return rule, f"PostgreSQL refuses the row: {', '.join([rule.replace('-', ' '), *places])}"


def _row_as_json(contract: Contract, row: tuple[Any, ...]) -> bytes:
    """Return the row by the contract's column names: the record's original bytes are no longer in memory."""
    names = [column.name for column in contract.columns]
    return msgspec.json.encode(dict(zip(names, map(_legible, row), strict=True)))


def _legible(value: Any) -> Any:
    if isinstance(value, bytes):
        return msgspec.Raw(value)
    # A lone surrogate, which JSON's encoder would refuse.
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value
