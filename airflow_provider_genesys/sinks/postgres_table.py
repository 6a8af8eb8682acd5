"""The upsert of a batch.

Rows are ranked: of two sources (an export, or a shard of it) the one submitted later is newer; within a source, the
record that lies further behind. One row per key stays, the newest. What a source repeats is a duplicate; what it has in
common with another one is written by the newer of the two and a duplicate in the older, where that comes late.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Any
from uuid import UUID

import psycopg
from psycopg import errors, sql
from psycopg.adapt import Dumper
from psycopg.postgres import types
from psycopg.pq import Format

from airflow_provider_genesys.sinks.base import Load
from airflow_provider_genesys.sinks.postgres_columns import (
    CONTRACT,
    EXPORT,
    LOADED,
    OFFSET,
    SHARD,
    SUBMITTED,
    TYPES,
    column_names,
)
from airflow_provider_genesys.sinks.postgres_session import Connection, Cursor

_STAGE = "CREATE TEMPORARY TABLE genesys_stage ({columns}) ON COMMIT DROP"
_UNSTAGE = "DROP TABLE {stage}"
_COPY = "COPY {stage} FROM STDIN (FORMAT BINARY)"

_INSERT = """
INSERT INTO {target} ({own}, {offset}, {export}, {submitted}, {shard}, {contract}, {loaded})
SELECT {own}, {offset}, %(export)s, %(submitted)s, %(shard)s, %(contract)s, now() FROM {stage}
ON CONFLICT ({keys}) DO NOTHING
"""

# What an attempt before this load began anew has left counts as if it were not there. So do rows from before this
# provider, which have no lineage.
_IS_OURS = "(t.{export}, t.{shard}) IS NOT DISTINCT FROM (%(export)s, %(shard)s)"
_IS_STALE = "coalesce(t.{loaded} < %(begun_at)s, true)"
_IS_OLDER = """
CASE WHEN {is_ours} THEN {is_stale} OR t.{offset} <= s.{offset}
ELSE coalesce((t.{submitted}, t.{export}, t.{shard}) < (%(submitted)s, %(export)s, %(shard)s), true) END
"""

# Locked, so that what is counted here is what is replaced next.
_SURVEY = """
WITH held AS MATERIALIZED (
    SELECT t.{export} || '/' || t.{shard} AS source,
        {is_ours} AS ours,
        {is_ours} AND NOT {is_stale} AS seen,
        {is_older} AS older,
        t.{offset} = s.{offset} AS same,
        t.{contract} IS NOT DISTINCT FROM %(contract)s AS same_contract
    FROM {stage} AS s JOIN {target} AS t USING ({keys}) ORDER BY {keys} FOR UPDATE OF t
)
SELECT source,
    count(*) FILTER (WHERE CASE WHEN seen THEN same ELSE older END),
    count(*) FILTER (WHERE older AND NOT (ours AND same_contract)),
    count(*)
FROM held GROUP BY source
"""

# now() is the transaction's: what it has just inserted is left alone.
_REPLACE = """
UPDATE {target} AS t SET {assigned}, {offset} = s.{offset}, {export} = %(export)s, {submitted} = %(submitted)s,
    {shard} = %(shard)s, {contract} = %(contract)s, {loaded} = now()
FROM {stage} AS s WHERE {matched} AND t.{loaded} IS DISTINCT FROM now() AND ({is_older})
"""


@dataclass(frozen=True)
class Landed:
    """What became of the rows of a batch: ``written + duplicates`` are all of them."""

    written: int = 0
    duplicates: int = 0
    taken_over: dict[str, int] = field(default_factory=dict)
    """By source (``export_id/shard``): how many of its rows were replaced, or read through another contract."""


class Table:
    """Writes a load's rows to one table, in the transaction of the cursor that it is given.

    :param key: names of the columns of its unique key; of equal ones the newest row stays.
    :param begun_at: when the load began, by the server's clock; see :class:`Claim`.
    """

    def __init__(self, identifier: sql.Identifier, key: Sequence[str], load: Load, begun_at: datetime) -> None:
        self._key = itemgetter(*(column_names(load.contract).index(name) for name in key))
        self._types = [*(TYPES[column.type] for column in load.contract.columns), OFFSET.type]
        self._lineage = {
            "export": load.export_id,
            "submitted": load.submitted_at,
            "shard": load.shard,
            "contract": str(load.contract),
            "begun_at": begun_at,
        }
        names = _names(identifier, column_names(load.contract), self._types, key)
        names["is_ours"] = sql.SQL(_IS_OURS).format(**names)
        names["is_stale"] = sql.SQL(_IS_STALE).format(**names)
        names["is_older"] = sql.SQL(_IS_OLDER).format(**names)
        self.stage, self._unstage, self._copy, self._insert, self._survey, self._replace = (
            sql.SQL(text).format(**names).as_bytes() for text in (_STAGE, _UNSTAGE, _COPY, _INSERT, _SURVEY, _REPLACE)
        )

    def rehearse(self, cursor: Cursor) -> None:
        """Run every statement on no rows, so that what is not allowed shows before anything is downloaded."""
        cursor.execute(self.stage)
        self.land(cursor, [], [])
        self._settle(cursor)

    def land(self, cursor: Cursor, rows: Sequence[tuple[Any, ...]], offsets: Sequence[int]) -> Landed:
        """Upsert ``rows``, whose records begin at ``offsets``; of their own duplicates, too, the newest stays.

        ``stage`` has to have been executed in the same transaction.
        """
        kept = newest(list(map(self._key, rows)), offsets)
        self._fill_stage(cursor.connection, ((*rows[place], offsets[place]) for place in kept))
        inserted = cursor.execute(self._insert, self._lineage).rowcount
        if inserted == len(kept):
            return Landed(inserted, len(rows) - inserted)
        found, written, taken_over = self._settle(cursor)
        if found != len(kept):
            raise errors.SerializationFailure("rows are gone that the same transaction has inserted or met")
        return Landed(written, len(rows) - written, taken_over)

    def unstage(self, cursor: Cursor) -> None:
        """Make room for another ``stage`` in the same transaction."""
        cursor.execute(self._unstage)

    def _fill_stage(self, connection: Connection, rows: Iterable[tuple[Any, ...]]) -> None:
        with connection.cursor() as cursor:
            cursor.adapters.register_dumper(bytes, _JsonDumper)
            cursor.adapters.register_dumper(str, _UuidDumper)
            with cursor.copy(self._copy) as copy:
                copy.set_types(self._types)
                try:
                    for row in rows:
                        copy.write_row(row)
                except (ValueError, TypeError, OverflowError) as error:
                    raise psycopg.DataError(type(error).__name__) from None

    def _settle(self, cursor: Cursor) -> tuple[int, int, dict[str, int]]:
        """Replace what is older.

        Return how many of the stage's keys the table holds, how many are written, those just inserted included, and
        whose rows were taken over.
        """
        survey = cursor.execute(self._survey, self._lineage).fetchall()
        cursor.execute(self._replace, self._lineage)
        taken_over = {source: taken for source, _, taken, _ in survey if source and taken}
        return sum(row[3] for row in survey), sum(row[1] for row in survey), taken_over


class _JsonDumper(Dumper):
    """JSON text as it is; psycopg's own would make a JSON string of it."""

    format = Format.BINARY
    oid = types["jsonb"].oid

    def dump(self, obj: bytes) -> bytes:
        return b"\x01" + obj


class _UuidDumper(Dumper):
    format = Format.BINARY
    oid = types["uuid"].oid

    def dump(self, obj: str) -> bytes:
        return UUID(obj).bytes


def newest(keys: Sequence[Any], offsets: Sequence[int]) -> list[int]:
    """Return the places of the rows to keep: of equal keys the one with the greatest offset.

    They are in the order of the keys, so that two loads which share keys insert them in the same order.
    """
    places: Iterable[int] = range(len(keys))
    if len(set(keys)) < len(keys):
        places = {keys[place]: place for place in sorted(places, key=offsets.__getitem__)}.values()
    return sorted(places, key=keys.__getitem__)


def _names(
    table: sql.Identifier, own: Sequence[str], kinds: Sequence[str], key: Sequence[str]
) -> dict[str, sql.Composable]:
    """Return what stands in the braces of the statements above."""
    columns = zip([*own, OFFSET.name], kinds, strict=True)
    assigned = [sql.SQL("{0} = s.{0}").format(sql.Identifier(name)) for name in own]
    return {
        "target": table,
        "stage": sql.Identifier("pg_temp", "genesys_stage"),
        "columns": sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(k)) for n, k in columns),
        "own": sql.SQL(", ").join(map(sql.Identifier, own)),
        "assigned": sql.SQL(", ").join(assigned),
        "keys": sql.SQL(", ").join(map(sql.Identifier, key)),
        "matched": sql.SQL(" AND ").join(sql.SQL("t.{0} = s.{0}").format(sql.Identifier(name)) for name in key),
        "export": sql.Identifier(EXPORT.name),
        "submitted": sql.Identifier(SUBMITTED.name),
        "shard": sql.Identifier(SHARD.name),
        "offset": sql.Identifier(OFFSET.name),
        "contract": sql.Identifier(CONTRACT.name),
        "loaded": sql.Identifier(LOADED.name),
    }
