"""The table ``genesys_unchanged``: rows that a newer export holds just as they are, so that they were not rewritten.

Such a row keeps the lineage of the export that wrote it. That a newer one has confirmed it stands here, in a narrow row
beside it: it ranks the row against exports that come late, and it is what the load's account is held against.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import sql

from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.sinks.postgres.columns import (
    EXPORT,
    LOADED,
    SHARD,
    SUBMITTED,
    TYPES,
    column_names,
    compared_names,
)
from airflow_provider_genesys.sinks.postgres.schema import create_table, ensure
from airflow_provider_genesys.sinks.postgres.session import Cursor

_COLUMNS = (
    "target text NOT NULL",
    "record_key text NOT NULL",
    "record_at timestamptz NOT NULL",  # the epoch where the key alone is unique
    "export_id text NOT NULL",
    "submitted_at timestamptz NOT NULL",
    "shard integer NOT NULL",
    "seen_at timestamptz NOT NULL",
    "PRIMARY KEY (target, record_key, record_at)",
)

# Stands for the table where it does not exist: no load has ever left a row unchanged.
_NOBODY = """(SELECT NULL::text AS target, NULL::text AS record_key, NULL::timestamptz AS record_at,
    NULL::text AS export_id, NULL::timestamptz AS submitted_at, NULL::integer AS shard, NULL::timestamptz AS seen_at
    WHERE false)"""

# What was written after it was confirmed is of a newer export, and the confirmation void.
_OF_ROW = """
u.target = %(target)s AND u.record_key = t.{key}::text AND u.record_at = {at}
AND coalesce((u.submitted_at, u.export_id, u.shard) >= (t.{submitted}, t.{export}, t.{shard}), true)
"""
_CONFIRM = """, confirmed AS (
    INSERT INTO {unchanged} (target, record_key, record_at, export_id, submitted_at, shard, seen_at)
    SELECT %(target)s, held.{held_key}::text, {held_at}, %(export)s, %(submitted)s, %(shard)s, clock_timestamp()
    FROM held WHERE held.unchanged
    ON CONFLICT (target, record_key, record_at) DO UPDATE SET export_id = excluded.export_id,
        submitted_at = excluded.submitted_at, shard = excluded.shard, seen_at = excluded.seen_at
)"""
_COUNT = """
SELECT count(*) FROM {unchanged} AS u JOIN {target} AS t ON t.{key} = u.record_key::{type} AND {at} = u.record_at
WHERE u.target = %(target)s AND u.export_id = %(export)s AND u.shard = %(shard)s AND u.seen_at >= %(begun_at)s
    AND coalesce((u.submitted_at, u.export_id, u.shard) >= (t.{submitted}, t.{export}, t.{shard}), true)
    AND NOT coalesce(t.{export} = u.export_id AND t.{shard} = u.shard AND t.{loaded} >= %(begun_at)s, false)
"""

HELD_KEYS = (sql.Identifier("held_key"), sql.Identifier("held_at"))
"""What the columns of a target's unique key are called while its rows are judged."""
_NEVER = sql.SQL("'epoch'::timestamptz")


class Unchanged:
    """What of one target was found unchanged.

    :param key: the columns of the target's unique key, see :func:`.postgres.schema.find_key`.
    :param skip: leave rows alone that are the same already.
    :param present: whether the table exists.
    """

    def __init__(
        self, identifier: sql.Identifier, contract: Contract, key: Sequence[str], *, skip: bool, present: bool
    ) -> None:
        self.present = present
        self._identifier = identifier
        self._key = key
        self._skip = skip
        self._compared = [name for name in compared_names(contract) if name not in key]
        kind = TYPES[contract.columns[column_names(contract).index(key[0])].type]
        self._names: dict[str, sql.Composable] = {
            "key": sql.Identifier(key[0]),
            "at": sql.SQL("t.{}").format(sql.Identifier(key[1])) if key[1:] else _NEVER,
            "held_key": HELD_KEYS[0],
            "held_at": HELD_KEYS[1] if key[1:] else _NEVER,
            "type": sql.SQL(kind),
            "unchanged": identifier if present else sql.SQL(_NOBODY),
            "submitted": sql.Identifier(SUBMITTED.name),
            "export": sql.Identifier(EXPORT.name),
            "shard": sql.Identifier(SHARD.name),
            "loaded": sql.Identifier(LOADED.name),
        }

    def of(self, contract: Contract) -> Unchanged:
        """Return the same for rows of another contract."""
        return Unchanged(self._identifier, contract, self._key, skip=self._skip, present=self.present)

    def fragments(self) -> dict[str, sql.Composable]:
        """Return what of an upsert's statements depends on what was found unchanged."""
        rows = [sql.SQL(", ").join(sql.Identifier(alias, name) for name in self._compared) for alias in ("t", "s")]
        same = sql.SQL("ROW({}) IS NOT DISTINCT FROM ROW({})").format(*rows)
        return {
            "unchanged": self._names["unchanged"],
            "of_row": sql.SQL(_OF_ROW).format(**self._names),
            "same_data": same if self._skip else sql.SQL("false"),
            "confirm": sql.SQL(_CONFIRM if self._skip else "").format(**self._names),
        }

    def count(self, cursor: Cursor, target: sql.Identifier, parameters: dict[str, Any]) -> int:
        """Count the rows that the table holds for a load which has found them, and not written them."""
        if not self.present:
            return 0
        ((count,),) = cursor.execute(sql.SQL(_COUNT).format(target=target, **self._names), parameters).fetchall()
        return int(count)


def prepare_unchanged(cursor: Cursor, identifier: sql.Identifier, *, skip: bool, create: bool) -> bool:
    """Create the table where it is needed; return whether it is there."""
    if skip:
        definition = create_table(identifier, [sql.SQL(column) for column in _COLUMNS])
        return bool(ensure(cursor, identifier, definition, create=create))
    return cursor.execute("SELECT to_regclass(%s)", [identifier.as_string()]).fetchall() != [(None,)]
