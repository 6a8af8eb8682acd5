"""The results of earlier comparisons of a window, kept beside the data. They decide when a window is final."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec

from airflow_provider_genesys.completeness.verdict import Reconciliation, State
from airflow_provider_genesys.exceptions import AccountError
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.sinks.postgres.session import Connection, Session
from airflow_provider_genesys.stores.base import ObjectStore

APART = timedelta(hours=20)
"""The least time between two agreements that make a window final: a day, less a margin for schedules."""
_KEPT = 20
"""Comparisons of a window that an object store keeps."""
Said = tuple[datetime, str]
"""When a comparison was made, and its verdict."""

_TABLE = """
CREATE TABLE IF NOT EXISTS {table} (
    target text, window_start timestamptz, window_end timestamptz, reconciled_at timestamptz, verdict text NOT NULL,
    reason text NOT NULL, counts jsonb NOT NULL, PRIMARY KEY (target, window_start, window_end, reconciled_at)
)
"""
_ADD = """
INSERT INTO {table} VALUES (%(target)s, %(window_start)s, %(window_end)s, %(reconciled_at)s, %(verdict)s, %(reason)s,
    %(counts)s::text::jsonb) ON CONFLICT DO NOTHING
"""
_PAST = """
SELECT reconciled_at, verdict FROM {table}
WHERE target = %(target)s AND window_start = %(window_start)s AND window_end = %(window_end)s ORDER BY reconciled_at
"""


class History(Protocol):
    """The comparisons of the windows of one target."""

    def add(self, found: Reconciliation) -> Sequence[Said]:
        """Keep a comparison, and return all of its window, the oldest first."""


class PostgresHistory:
    """A table ``genesys_reconciliations`` beside the target.

    :param target: ``schema.table`` of the rows.
    """

    def __init__(self, connect: Callable[[], Connection], schema: str, target: str) -> None:
        self._connect = connect
        self._schema = schema
        self._target = target

    def add(self, found: Reconciliation) -> Sequence[Said]:
        """Keep a comparison, and return all of its window. A missing table is created.

        :raises SinkRefusedError: the table may not be made or written.
        """
        from psycopg import sql

        table = sql.Identifier(self._schema, "genesys_reconciliations")
        values = {**found.as_json(), "target": self._target, "counts": msgspec.json.encode(found.counts).decode()}
        session = Session(self._connect, retries=3, retry_wait=0.5)

        def added() -> list[Said]:
            with session.transaction() as cursor:
                if cursor.execute("SELECT to_regclass(%s)", [table.as_string()]).fetchone() == (None,):
                    cursor.execute(sql.SQL(_TABLE).format(table=table))
                cursor.execute(sql.SQL(_ADD).format(table=table), values)
                cursor.execute(sql.SQL(_PAST).format(table=table), values)
                return [(moment, str(verdict)) for moment, verdict in cursor.fetchall()]

        try:
            return session.retried(added, f"the reconciliation of {self._target}")
        finally:
            session.close()


class ObjectHistory:
    """One object for each window, ``<prefix>/_reconciled/<start>_<end>.json``."""

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        self._store = store
        self._root = f"{prefix.strip('/')}/_reconciled/"

    def add(self, found: Reconciliation) -> Sequence[Said]:
        """Keep a comparison, and return the newest of its window."""
        start, end = (
            moment.replace(":", "").replace("+0000", "Z") for moment in (found.window_start, found.window_end)
        )
        key = f"{self._root}{start}_{end}.json"
        try:
            before = msgspec.json.decode(self._store.get(key) or b"[]", type=list[dict[str, Any]])
            kept = [*before, found.as_json()][-_KEPT:]
            said = [(datetime.fromisoformat(one["reconciled_at"]), str(one["verdict"])) for one in kept]
        except (msgspec.MsgspecError, LookupError, TypeError, ValueError, RecursionError) as error:
            raise AccountError(
                f"{self._store.url}/{key} holds no comparisons of this package ({shown(error)}). Find out who wrote "
                "it, and remove it."
            ) from error
        self._store.put(key, msgspec.json.encode(kept))
        return said


def with_state(found: Reconciliation, history: History) -> Reconciliation:
    """Keep a comparison; return it with the state of its window."""
    return replace(found, state=state_of(history.add(found)))


def state_of(said: Sequence[Said]) -> State:
    """Return whether a window is final: it agreed twice, a day apart, and did not differ between.

    :param said: the oldest first.
    """
    agreed: list[datetime] = []
    for moment, verdict in said:
        if verdict == "agrees":
            agreed.append(moment)
        elif verdict == "differs":
            agreed.clear()
    return "final" if agreed and agreed[-1] - agreed[0] >= APART else "provisional"
