"""Brings staged rows, of a batch or a whole load, into a table that has one row for each key.

Of all records with one key the table keeps one:

- Of two exports, the record of the export that was asked for later. The order of loading does not matter.
- Within one export, the record that is further behind in the archive, however the archive was cut into shards.

Three records have the key ``r1``, and are loaded in this order:

==== ====== ============ ====== =======================================================================
key  source submitted at offset what happens
==== ====== ============ ====== =======================================================================
r1   B      10:00           200 It is inserted. B counts it as written.
r1   B      10:00           700 It wins: same export, further behind. B counts one of the two as a duplicate.
r1   A      09:00           900 It loses, whatever its offset: A was asked for before B. A counts a duplicate.
==== ====== ============ ====== =======================================================================

A record of an export C, submitted at 11:00, would win over all three. C would count it as written, and say in the
ledger, under ``taken_over``, that it has replaced a row of B.

A source is an export, or a shard of it. Of two exports it may not be known which was asked for later: see
:mod:`.tables.target`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import psycopg
from psycopg import errors, sql

from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.sinks.postgres.session import Cursor
from airflow_provider_genesys.sinks.postgres.tables.relation import RowsKeptOut, check_relation, what_keeps_out
from airflow_provider_genesys.sinks.postgres.tables.target import Target, unranked

_INSERT = """
INSERT INTO {target} AS t ({own}, {offset}, {export}, {submitted}, {shard}, {contract}, {loaded})
SELECT {own}, {offset}, %(export)s, %(submitted)s::timestamptz, %(shard)s, %(contract)s, now() FROM {stage}
ON CONFLICT ({keys}) DO NOTHING
"""
_IS_OURS = """t.{export} IS NOT DISTINCT FROM %(export)s AND t.{shard} IS NOT DISTINCT FROM %(shard)s
    AND t.{submitted} IS NOT DISTINCT FROM %(submitted)s::timestamptz
    AND t.{contract} IS NOT DISTINCT FROM %(contract)s AND t.{loaded} IS NOT DISTINCT FROM now()"""
"""Whether the row ``t``, which was just written, has the lineage that it was given: a trigger may change it."""
# A row whose key was changed is not found here; it is missed later.
_INSERT_WATCHED = """
WITH inserted AS ({insert} RETURNING {t_keys}, t.{offset} AS genesys_offset, {is_ours} AS genesys_ours)
SELECT (SELECT count(*) FROM inserted), (
    SELECT count(*) FROM inserted JOIN {stage} AS s USING ({keys})
    WHERE NOT (genesys_ours AND genesys_offset = s.{offset})
)
"""

# A separate statement before the rows are judged, so that the next one sees them as they are once locked. It counts
# them, since the planner drops a subquery whose result is not used, with its locks.
_LOCK_ROWS = """
SELECT count(*) FROM (SELECT FROM {stage} AS s JOIN {target} AS t USING ({keys}) ORDER BY {keys} FOR NO KEY UPDATE OF t)
AS locked
"""

# Rows of an attempt before this load began, and rows without lineage from before this provider, count as absent.
# Rows that this transaction has inserted are met here again, as the same records.
_SETTLE = """
WITH met AS (
    SELECT {met_keys}, t.{export} || '/' || t.{shard} AS label,
        t.{export} IS NOT DISTINCT FROM %(export)s AS same_export,
        t.{export} IS NOT DISTINCT FROM %(export)s
            AND coalesce(t.{offset} >= %(first)s AND t.{offset} < %(end)s, t.{shard} = %(shard)s) AS same_source,
        t.{contract} IS NOT DISTINCT FROM %(contract)s AS same_contract,
        coalesce(t.{loaded} >= %(begun_at)s, false) AS since_begun,
        {asked_earlier} AS asked_earlier, {asked_later} AS asked_later, t.{submitted} AS submitted,
        t.{offset} AS in_table, s.{offset} AS in_stage
    FROM {stage} AS s JOIN {target} AS t USING ({keys})
), judged AS MATERIALIZED (
    SELECT *, same_source AND since_begun AS of_this_load, in_table = in_stage AS same_record,
        CASE WHEN NOT same_export THEN asked_earlier
            WHEN same_source AND NOT since_begun THEN true
            ELSE in_table <= in_stage END AS older,
        NOT (same_export OR asked_earlier OR asked_later) AS unranked
    FROM met
), replaced AS (
    UPDATE {target} AS t SET {assigned}, {offset} = s.{offset}, {export} = %(export)s,
        {submitted} = %(submitted)s::timestamptz, {shard} = %(shard)s, {contract} = %(contract)s, {loaded} = now()
    FROM {stage} AS s JOIN judged ON {s_is_judged}
    WHERE {t_is_s} AND judged.older AND NOT (judged.of_this_load AND judged.same_record)
    RETURNING {is_ours} AND t.{offset} = s.{offset} AS is_ours
)
SELECT label,
    count(*),
    count(*) FILTER (WHERE CASE WHEN of_this_load THEN same_record ELSE older END),
    count(*) FILTER (WHERE older AND NOT (label = %(source)s AND same_contract)),
    count(*) FILTER (WHERE older AND NOT (of_this_load AND same_record)), (SELECT count(*) FROM replaced WHERE is_ours),
    array_agg(met_key_1::text) FILTER (WHERE of_this_load AND older AND NOT same_record),
    count(*) FILTER (WHERE unranked), {loads_submitted}
FROM judged GROUP BY label
"""

_MISSING = """
SELECT count(*) FROM {stage} AS s WHERE NOT EXISTS (SELECT FROM {target} AS t WHERE {t_is_s})
"""

_DROP_OVERTAKEN = """
DELETE FROM {stage} AS s USING {ledger} AS r
WHERE r.target = %(target)s AND r.write_mode = 'replace_window' AND r.state = 'complete'
    AND r.export_id <> %(export)s AND r.submitted_at > %(submitted)s::timestamptz
    AND s.{timestamp} >= r.window_start AND s.{timestamp} < r.window_end
"""
# Rows left in such windows that are not known to be newer.
_FIND_UNRANKED = """
SELECT label, {loads_submitted}, count(*) FROM {stage} AS s JOIN (
    SELECT *, export_id || '/' || shard AS label, submitted_at AS submitted FROM {ledger}
) AS r ON s.{timestamp} >= r.window_start AND s.{timestamp} < r.window_end
WHERE r.target = %(target)s AND r.write_mode = 'replace_window' AND r.state = 'complete' AND r.export_id <> %(export)s
    AND NOT coalesce(coalesce(r.submitted_at, r.begun_at) < %(submitted)s::timestamptz, false)
GROUP BY label LIMIT 1
"""


@dataclass(frozen=True)
class Landed:
    """The outcome of rows: ``written + duplicates`` is their number."""

    written: int = 0
    duplicates: int = 0
    taken_over: Counter[str] = field(default_factory=Counter)
    """By source (``export_id/shard``): how many of its rows were replaced, or read by another contract."""
    met: int = 0
    """How many keys were in the table already."""
    renewed: tuple[str, ...] = ()
    """Ids of the rows of this load that it has replaced itself."""


def lineage(load: Load, target: str, begun_at: datetime) -> dict[str, Any]:
    """Return the lineage that a load's rows carry and are ranked by: the parameters of :class:`Upsert`.

    :param target: ``schema.table``.
    :param begun_at: when the load began, by the server's clock; see :class:`.postgres.ledger.Claim`.
    """
    known = load.shard == load.range.number
    return {
        "target": target,
        "export": load.export_id,
        "submitted": load.submitted_at,
        "shard": load.shard,
        # If only the number of a shard is known, its rows are found by that number.
        "first": load.range.start if known else None,
        "end": load.range.end if known else None,
        "source": f"{load.export_id}/{load.shard}",
        "contract": str(load.contract),
        "begun_at": begun_at,
    }


def lock_number(name: str) -> int:
    """Return the number of the advisory lock of that name: 64 bits, the same in every process."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


class Upsert:
    """Brings the rows in ``stage`` into ``target``, in the transaction of the cursor that it is given.

    :param stage: a table with the contract's columns and the offset.
    """

    def __init__(self, target: Target, stage: sql.Identifier) -> None:
        names = {**target.names(), **_names(stage, target.own, target.key)}
        names |= {"is_ours": sql.SQL(_IS_OURS).format(**names), "insert": sql.SQL(_INSERT).format(**names)}
        self._target = target
        statements = (
            _INSERT_WATCHED if target.watched else _INSERT,
            _LOCK_ROWS,
            _SETTLE,
            _MISSING,
            _DROP_OVERTAKEN,
            _FIND_UNRANKED,
        )
        self._insert, self._lock, self._settle, self._missing, self._drop_overtaken, self._find_unranked = (
            sql.SQL(text).format(**names).as_bytes() for text in statements
        )

    def run(self, cursor: Cursor, staged: int, lineage: dict[str, Any], *, overtaken: bool = False) -> Landed:
        """Upsert the ``staged`` rows; no two of them have the same key.

        :param overtaken: loads that may be newer have replaced windows; rows in those of newer ones are left out, as
            duplicates.
        :raises UnrankedExportError: the table, or such a window, has a record of another export, and it is not known
            which was asked for later.
        :raises RowsKeptOut: a trigger or a policy has kept rows out.
        """
        late = self._leave_out_overtaken(cursor, lineage) if overtaken else 0
        inserted = self._inserted(cursor, lineage)
        if inserted == staged - late and not self._target.watched:
            return Landed(inserted, late)
        landed = self.settle(cursor, staged - late, lineage)
        return replace(landed, duplicates=landed.duplicates + late, met=staged - late - inserted)

    def _inserted(self, cursor: Cursor, lineage: dict[str, Any]) -> int:
        """Insert the rows that the table has not; return how many."""
        cursor.execute(self._insert, lineage)
        if not self._target.watched:
            return cursor.rowcount
        ((inserted, changed),) = cursor.fetchall()
        if changed:
            raise self._kept_out(cursor, changed, inserted)
        return int(inserted)

    def _leave_out_overtaken(self, cursor: Cursor, lineage: dict[str, Any]) -> int:
        late = cursor.execute(self._drop_overtaken, lineage).rowcount
        for other, submitted, records in cursor.execute(self._find_unranked, lineage).fetchall():
            raise unranked(lineage, other, submitted, records)
        return late

    def settle(self, cursor: Cursor, staged: int, lineage: dict[str, Any]) -> Landed:
        """Replace older rows. Counts all staged rows, those just inserted included."""
        cursor.execute(self._lock, lineage)
        rows = cursor.execute(self._settle, lineage).fetchall()
        for label, *_, unknown, submitted in rows:
            if unknown:
                raise unranked(lineage, label, submitted, unknown)
        found, written, due = (sum(row[place] for row in rows) for place in (1, 2, 4))
        if found != staged:
            raise self._gone(cursor, staged, lineage)
        if rows and due != rows[0][5]:
            raise self._kept_out(cursor, due - rows[0][5], due)
        taken_over = Counter({row[0]: row[3] for row in rows if row[0] and row[3]})
        renewed = tuple(key for row in rows for key in row[6] or ())
        return Landed(written, staged - written, taken_over, renewed=renewed)

    def _gone(self, cursor: Cursor, staged: int, lineage: dict[str, Any]) -> psycopg.Error:
        """Return the error for rows that are not there: another session removed them, or they cannot get there."""
        cursor.execute(self._insert, lineage)
        ((missing,),) = cursor.execute(self._missing).fetchall()
        return self._kept_out(cursor, missing, staged)

    def _kept_out(self, cursor: Cursor, count: int, of: int) -> psycopg.Error:
        table = self._target.identifier
        if count and (what := what_keeps_out(cursor, table)):
            return RowsKeptOut(table, count, of, what)
        check_relation(cursor, table)
        return errors.SerializationFailure("rows are gone that the same transaction has inserted or met")


def _names(stage: sql.Identifier, own: Sequence[str], key: Sequence[str]) -> dict[str, sql.Composable]:
    """Return the names that depend on the stage, and the lists of columns."""
    columns = [sql.Identifier(name) for name in key]
    met = [(column, sql.Identifier(f"met_key_{number}")) for number, column in enumerate(columns, 1)]
    return {
        "stage": stage,
        "own": sql.SQL(", ").join(map(sql.Identifier, own)),
        "assigned": sql.SQL(", ").join(sql.SQL("{0} = s.{0}").format(sql.Identifier(name)) for name in own),
        "keys": sql.SQL(", ").join(columns),
        "t_keys": sql.SQL(", ").join(sql.SQL("t.{}").format(column) for column in columns),
        "t_is_s": sql.SQL(" AND ").join(sql.SQL("t.{0} = s.{0}").format(column) for column in columns),
        # Under our own names: the table may have columns with the names of our further columns.
        "met_keys": sql.SQL(", ").join(sql.SQL("t.{} AS {}").format(*pair) for pair in met),
        "s_is_judged": sql.SQL(" AND ").join(sql.SQL("s.{} = judged.{}").format(*pair) for pair in met),
    }
