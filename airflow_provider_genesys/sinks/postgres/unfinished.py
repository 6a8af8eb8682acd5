"""Which loads into a table were begun and are not complete."""

from __future__ import annotations

from collections.abc import Callable

from psycopg import sql

from airflow_provider_genesys.pipeline.load import LoadFacts
from airflow_provider_genesys.sinks.postgres.session import Connection, Session

_UNFINISHED = """
SELECT load_id, shard, export_id, kind, window_start, window_end, submitted_at, contract, run_id FROM {ledger} AS l
WHERE target = %s AND state = 'loading' AND shard = 0 AND NOT EXISTS (
    SELECT FROM {ledger} WHERE load_id = l.load_id AND target = l.target AND export_id = l.export_id AND shard > 0
) ORDER BY window_start
"""


def unfinished_loads(connect: Callable[[], Connection], schema: str, table: str) -> list[LoadFacts]:
    """Return them, the oldest window first; none where there is no ledger yet. Loads in shards are not among them.

    :param connect: opens a connection (psycopg 3).
    :raises SinkUnavailableError: the database cannot be reached.
    :raises SinkRefusedError: the ledger may not be read.
    """
    session = Session(connect, retries=3, retry_wait=0.5)
    ledger = sql.Identifier(schema, "genesys_ledger")

    def found() -> list[LoadFacts]:
        with session.transaction() as cursor:
            if cursor.execute("SELECT to_regclass(%s)", [ledger.as_string()]).fetchone() == (None,):
                return []
            cursor.execute(sql.SQL(_UNFINISHED).format(ledger=ledger), [f"{schema}.{table}"])
            return [LoadFacts(*row) for row in cursor.fetchall()]

    try:
        return session.retried(found, f"the question which loads into {schema}.{table} are not complete")
    finally:
        session.close()
