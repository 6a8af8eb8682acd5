"""The upsert of what is staged, a batch or a whole load, into a table.

Rows are ranked: of two sources (an export, or a shard of it) the one submitted later is newer; within a source, the
record that lies further behind. One row per key stays, the newest. What a source repeats is a duplicate; what it has in
common with another one is written by the newer of the two and a duplicate in the older, where that comes late. A row
counts as of the newest source that holds it just as it is, whichever wrote it: see :mod:`.postgres.unchanged`.

Of one archive, the offset alone ranks the records, however it was cut into shards, now or when a row was written.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from psycopg import errors, sql

from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.sinks.postgres.session import Cursor
from airflow_provider_genesys.sinks.postgres.target import Target
from airflow_provider_genesys.sinks.postgres.unchanged import HELD_KEYS

_INSERT = """
INSERT INTO {target} ({own}, {offset}, {export}, {submitted}, {shard}, {contract}, {loaded})
SELECT {own}, {offset}, %(export)s, %(submitted)s, %(shard)s, %(contract)s, now() FROM {stage}
ON CONFLICT ({keys}) DO NOTHING
"""

# Before the rows are judged, in a statement of its own, so that they are seen as they are then. Counted, since the
# planner leaves out a subquery that nobody needs, its locks included.
_LOCK_ROWS = """
SELECT count(*) FROM (SELECT FROM {stage} AS s JOIN {target} AS t USING ({keys}) ORDER BY {keys} FOR NO KEY UPDATE OF t)
AS locked
"""
# To lock an unchanged row would be to write to it. So where rows may be left alone, upserts into a table queue instead.
_QUEUE = "SELECT pg_advisory_xact_lock(%(queue)s)"

# What an attempt before this load began anew has left counts as if it were not there. So do rows from before this
# provider, which have no lineage. now() is the transaction's: what it has just inserted is left alone. LIMIT makes it
# look up each row by the index, whatever the statistics say of a table that has grown since they were taken.
_SETTLE = """
WITH held AS MATERIALIZED (
    SELECT {held_keys}, t.{export} || '/' || t.{shard} AS label, u.export_id || '/' || u.shard AS confirmer,
        attempt.seen, rank.older,
        rank.older AND NOT attempt.seen AND t.{export} IS NOT NULL AND {same_data} AS unchanged,
        u.target IS NULL AND t.{offset} = s.{offset} AS same,
        t.{loaded} IS NOT DISTINCT FROM now() AS fresh,
        t.{contract} IS NOT DISTINCT FROM %(contract)s AS same_contract
    FROM {stage} AS s JOIN {target} AS t USING ({keys})
    LEFT JOIN LATERAL (SELECT * FROM {unchanged} AS u WHERE {of_row} LIMIT 1) AS u ON true
    CROSS JOIN LATERAL (SELECT coalesce(u.submitted_at, t.{submitted}) AS submitted,
        coalesce(u.export_id, t.{export}) AS export, coalesce(u.shard, t.{shard}) AS shard) AS source
    CROSS JOIN LATERAL (
        SELECT source.export IS NOT DISTINCT FROM %(export)s AND u.target IS NULL AS same_export,
            source.export IS NOT DISTINCT FROM %(export)s AND CASE WHEN u.target IS NULL AND %(ranged)s
                THEN t.{offset} >= %(first)s AND t.{offset} < %(end)s
                ELSE source.shard IS NOT DISTINCT FROM %(shard)s END AS ours
    ) AS owner
    CROSS JOIN LATERAL (
        SELECT owner.ours AND coalesce(greatest(t.{loaded}, u.seen_at) >= %(begun_at)s, false) AS seen
    ) AS attempt
    CROSS JOIN LATERAL (SELECT CASE
        WHEN owner.ours THEN NOT attempt.seen OR u.target IS NOT NULL OR t.{offset} <= s.{offset}
        WHEN owner.same_export AND %(ranged)s THEN t.{offset} < s.{offset}
        ELSE coalesce((source.submitted, source.export, source.shard) < (%(submitted)s, %(export)s, %(shard)s), true)
        END AS older) AS rank
), replaced AS (
    UPDATE {target} AS t SET {assigned}, {offset} = s.{offset}, {export} = %(export)s, {submitted} = %(submitted)s,
        {shard} = %(shard)s, {contract} = %(contract)s, {loaded} = now()
    FROM {stage} AS s JOIN held ON {s_is_held}
    WHERE {t_is_s} AND held.older AND NOT held.unchanged AND NOT held.fresh
){confirm}
SELECT label, confirmer,
    count(*),
    count(*) FILTER (WHERE CASE WHEN seen THEN same ELSE older END),
    count(*) FILTER (WHERE unchanged),
    count(*) FILTER (WHERE older AND NOT unchanged AND NOT (label = %(source)s AND same_contract)),
    count(*) FILTER (WHERE older AND confirmer <> %(source)s)
FROM held GROUP BY label, confirmer
"""

_DROP_OVERTAKEN = """
DELETE FROM {stage} AS s USING {ledger} AS r
WHERE r.target = %(target)s AND r.write_mode = 'replace_window' AND r.state = 'complete'
    AND (r.submitted_at, r.export_id) > (%(submitted)s, %(export)s)
    AND s.{timestamp} >= r.window_start AND s.{timestamp} < r.window_end
"""


@dataclass(frozen=True)
class Landed:
    """What became of rows: ``written + duplicates`` are all of them."""

    written: int = 0
    duplicates: int = 0
    unchanged: int = 0
    """Of those written: the table held them already, just as they are."""
    taken_over: Counter[str] = field(default_factory=Counter)
    """By source (``export_id/shard``): how many of its rows were replaced, confirmed, or read by another contract."""


def lineage(load: Load, target: str, begun_at: datetime) -> dict[str, Any]:
    """Return what the rows of a load carry and are ranked by: the parameters of :class:`Upsert`.

    :param target: ``schema.table``.
    :param begun_at: when the load began, by the server's clock; see :class:`.postgres.ledger.Claim`.
    """
    return {
        "target": target,
        "export": load.export_id,
        "submitted": load.submitted_at,
        "shard": load.shard,
        "ranged": load.shard == load.range.number,  # else only the number of the shard is known
        "first": load.range.start,
        "end": load.range.end,
        "source": f"{load.export_id}/{load.shard}",
        "contract": str(load.contract),
        "begun_at": begun_at,
        "queue": lock_number(f"upsert {target}"),
    }


def lock_number(name: str) -> int:
    """Return the number of the advisory lock of that name: 64 bits, the same for everybody."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


class Upsert:
    """Brings what ``stage`` holds of a load into ``target``, in the transaction of the cursor that it is given.

    :param stage: a table with the contract's columns and the offset.
    """

    def __init__(self, target: Target, stage: sql.Identifier) -> None:
        names = {**target.names(), **_names(stage, target.own, target.key)}
        lock = _QUEUE if target.unchanged.present else _LOCK_ROWS
        self._insert, self._lock, self._settle, self._drop_overtaken = (
            sql.SQL(text).format(**names).as_bytes() for text in (_INSERT, lock, _SETTLE, _DROP_OVERTAKEN)
        )

    def run(self, cursor: Cursor, staged: int, lineage: dict[str, Any], *, overtaken: bool = False) -> Landed:
        """Upsert the ``staged`` rows; no two of them have the same key.

        :param overtaken: newer loads have replaced windows; rows that lie in them are left out, as duplicates.
        """
        late = cursor.execute(self._drop_overtaken, lineage).rowcount if overtaken else 0
        inserted = cursor.execute(self._insert, lineage).rowcount
        if inserted == staged - late:
            return Landed(inserted, late)
        landed = self.settle(cursor, staged - late, lineage)
        return replace(landed, duplicates=landed.duplicates + late)

    def settle(self, cursor: Cursor, staged: int, lineage: dict[str, Any]) -> Landed:
        """Replace what is older. Counts all that is staged, what was just inserted included."""
        cursor.execute(self._lock, lineage)
        found, written, unchanged = 0, 0, 0
        taken_over: Counter[str] = Counter()
        for label, confirmer, *counts in cursor.execute(self._settle, lineage).fetchall():
            found, written, unchanged = found + counts[0], written + counts[1], unchanged + counts[2]
            taken_over.update({label: counts[3], confirmer: counts[4]})
        if found != staged:
            raise errors.SerializationFailure("rows are gone that the same transaction has inserted or met")
        return Landed(written, staged - written, unchanged, Counter({k: n for k, n in taken_over.items() if k and n}))


def _names(stage: sql.Identifier, own: Sequence[str], key: Sequence[str]) -> dict[str, sql.Composable]:
    """Return what depends on the stage, and the lists of columns."""
    columns = [sql.Identifier(name) for name in key]
    held = list(zip(columns, HELD_KEYS[: len(columns)], strict=True))
    return {
        "stage": stage,
        "own": sql.SQL(", ").join(map(sql.Identifier, own)),
        "assigned": sql.SQL(", ").join(sql.SQL("{0} = s.{0}").format(sql.Identifier(name)) for name in own),
        "keys": sql.SQL(", ").join(columns),
        "t_is_s": sql.SQL(" AND ").join(sql.SQL("t.{0} = s.{0}").format(column) for column in columns),
        # Under names of our own: the table's columns may be called as what stands beside them.
        "held_keys": sql.SQL(", ").join(sql.SQL("t.{} AS {}").format(*pair) for pair in held),
        "s_is_held": sql.SQL(" AND ").join(sql.SQL("s.{} = held.{}").format(*pair) for pair in held),
    }
