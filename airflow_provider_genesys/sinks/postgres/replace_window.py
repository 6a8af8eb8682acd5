"""``write_mode="replace_window"``: a complete load leaves no older row in its window.

It removes older rows when it completes. Rows of an older export that come later are kept out: they count as
duplicates. Every batch shares a lock that the removal takes exclusively, so that no row slips through between them.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal, NamedTuple

from psycopg import sql

from airflow_provider_genesys.exceptions import SinkRefusedError
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.sinks.postgres.session import Cursor
from airflow_provider_genesys.sinks.postgres.tables.relation import what_keeps_out
from airflow_provider_genesys.sinks.postgres.tables.target import Target, unranked
from airflow_provider_genesys.sinks.postgres.upsert import lock_number

WriteMode = Literal["upsert", "replace_window"]

# Rows of other shards of the same export stay.
_OLDER = """
t.{timestamp} >= %(window_start)s AND t.{timestamp} < %(window_end)s
    AND CASE WHEN t.{export} = %(export)s THEN t.{shard} = %(shard)s AND t.{loaded} < %(begun_at)s
        ELSE t.{export} IS NULL OR NOT {asked_later} END
"""
# Rows that may be newer are found in the same pass, and fail the load.
_REMOVE = """
WITH removed AS (
    DELETE FROM {target} AS t WHERE {older}
    RETURNING t.{export} || '/' || t.{shard} AS label, t.{submitted} AS submitted,
        t.{export} IS DISTINCT FROM %(export)s AND NOT {asked_earlier} AS unranked
)
SELECT label, count(*), count(*) FILTER (WHERE unranked), {loads_submitted} FROM removed GROUP BY label
"""
_LEFT = "SELECT count(*) FROM {target} AS t WHERE {older}"


class Removed(NamedTuple):
    """What was removed: how many rows, and how many of them each source (``export_id/shard``) had."""

    rows: int
    taken_over: Counter[str]


NOTHING_REMOVED = Removed(0, Counter())


def shared_lock(target: str) -> bytes:
    """Return the statement by which a batch keeps removals into ``target`` (``schema.table``) away until it commits."""
    return _lock("pg_advisory_xact_lock_shared", target)


def exclusive_lock(target: str) -> bytes:
    """Return the statement by which a removal waits for the batches that are on their way, and stops new ones."""
    return _lock("pg_advisory_xact_lock", target)


def remove_older(
    cursor: Cursor, target: Target, load: Load, lineage: dict[str, Any], *, rehearse: bool = False
) -> Removed:
    """Delete the rows in the load's window that the load replaces. With ``rehearse``, delete none.

    :raises UnrankedExportError: it is not known whether a row there is older.
    :raises SinkRefusedError: a trigger or a policy has kept rows from being removed.
    """
    window = {"window_start": load.window_start, "window_end": load.window_start if rehearse else load.window_end}
    names = target.names()
    names["older"] = sql.SQL(_OLDER).format(**names)
    rows = cursor.execute(sql.SQL(_REMOVE).format(**names), {**lineage, **window}).fetchall()
    for label, _, unknown, submitted in rows:
        if unknown:
            raise unranked(lineage, label, submitted, unknown)
    if what := what_keeps_out(cursor, target.identifier):
        _check_left(cursor.execute(sql.SQL(_LEFT).format(**names), {**lineage, **window}), target, what)
    removed = {label: count for label, count, *_ in rows}
    return Removed(sum(removed.values()), Counter({source: count for source, count in removed.items() if source}))


def _check_left(cursor: Cursor, target: Target, what: str) -> None:
    """Raise :class:`SinkRefusedError` unless ``cursor`` has counted no row."""
    ((left,),) = cursor.fetchall()
    if left:
        raise SinkRefusedError(
            f"{what} {target.identifier.as_string()} keeps {left} older rows of the window from being removed, without "
            "an error. Disable it for this load, or load with write_mode='upsert'. Then clear the task."
        )


def _lock(function: str, target: str) -> bytes:
    number = sql.Literal(lock_number(f"window {target}"))
    return sql.SQL("SELECT {}({}::bigint)").format(sql.SQL(function), number).as_bytes()
