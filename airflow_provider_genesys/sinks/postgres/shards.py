"""The ledger's row of a load in shards as a whole: number 0, like that of a load in one piece."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from psycopg import sql

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.sinks.postgres.encoding import restored, storable_json
from airflow_provider_genesys.sinks.postgres.session import Cursor
from airflow_provider_genesys.sinks.postgres.staging import Publish

# Locked in one order, and against the claim of a shard that is loaded again. If the export was read with another
# contract since, the table may hold that one's rows.
_COMPLETE = """
SELECT certificate FROM {ledger} AS l
WHERE load_id = %(load_id)s AND target = %(target)s AND shard BETWEEN 1 AND %(count)s AND state = 'complete'
    AND export_id = %(export_id)s AND contract = %(contract)s
    AND (certificate -> 'shard' ->> 'count')::integer = %(count)s
    AND NOT EXISTS (
        SELECT FROM {ledger} AS o WHERE o.target = l.target AND o.export_id = l.export_id AND o.load_id <> l.load_id
            AND o.shard IN (0, l.shard) AND o.opened_at > l.completed_at
    )
ORDER BY shard FOR UPDATE
"""
# This fences an attempt that loads the whole in one piece.
_JOIN = """
INSERT INTO {ledger} AS l (load_id, target, shard, fence, state, export_id, kind, window_start, window_end,
    submitted_at, contract, run_id, write_mode, publish, processed_at, certificate, attempts, begun_at, opened_at,
    completed_at)
SELECT load_id, target, 0, 1, 'complete', export_id, kind, window_start, window_end, submitted_at, contract, run_id,
    write_mode, publish, processed_at, %(certificate)s, %(attempts)s, begun_at, opened_at, now()
FROM {ledger} WHERE load_id = %(load_id)s AND target = %(target)s AND shard = 1
ON CONFLICT (load_id, target, shard) DO UPDATE SET fence = l.fence + 1, state = 'complete',
    export_id = excluded.export_id, submitted_at = excluded.submitted_at, contract = excluded.contract,
    run_id = excluded.run_id, write_mode = excluded.write_mode, publish = excluded.publish,
    processed_at = excluded.processed_at, checkpoint = NULL, certificate = excluded.certificate,
    attempts = excluded.attempts, completed_at = now()
"""
_WITHDRAW = """
UPDATE {ledger} SET state = 'loading', certificate = NULL, completed_at = NULL
WHERE load_id = %(load_id)s AND target = %(target)s AND shard = 0 AND jsonb_array_length(certificate -> 'shards') > 0
"""


class Shards:
    """All shards of the load that ``load`` is one of. Methods run in the transaction of the cursor that they get."""

    def __init__(self, ledger: sql.Identifier, target: str, load: Load) -> None:
        self._ledger = ledger
        self._count = load.range.count
        self._row = {
            "load_id": load.load_id,
            "target": target,
            "export_id": load.export_id,
            "contract": str(load.contract),
            "count": self._count,
        }

    def join(self, cursor: Cursor, joined: Callable[[Sequence[Certificate]], Certificate]) -> Certificate | None:
        """Mark the load complete if all shards are; see :meth:`.sink.JoiningSink.join`."""
        found = self._run(cursor, _COMPLETE).fetchall()
        if len(found) < self._count:
            return None
        joint = joined([msgspec.convert(restored(cursor, certificate), Certificate) for (certificate,) in found])
        self._run(cursor, _JOIN, certificate=storable_json(cursor, joint.to_json()), attempts=joint.attempts)
        return joint

    def withdraw(self, cursor: Cursor) -> None:
        """Mark the load as not complete: one of its shards is loaded again."""
        self._run(cursor, _WITHDRAW)

    def _run(self, cursor: Cursor, statement: str, **more: Any) -> Cursor:
        return cursor.execute(sql.SQL(statement).format(ledger=self._ledger), {**self._row, **more})


def check_options(load: Load, publish: Publish) -> None:
    """Raise :class:`ConfigurationError` if the load cannot be in shards."""
    if load.shard and publish == "atomic":
        raise ConfigurationError(
            "publish='atomic' shows a load at once, and shards complete one by one. Load with publish='batches', or in "
            "one piece, without shard."
        )
