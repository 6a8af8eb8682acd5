"""Snapshots of a listing in PostgreSQL: missing rows are marked and changes kept when a load completes.

A snapshot lands in a table beside the target (``publish="atomic"``). The transaction that publishes it compares the two
first: so a snapshot that lost too much fails before anything has changed, and what is gone is known from what is there.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from psycopg import sql

from airflow_provider_genesys.contracts.column import PROCESSED_AT, Column
from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.exceptions import ConfigurationError, SinkRefusedError, SnapshotShrunkError
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.sinks.postgres.attempt import Attempt
from airflow_provider_genesys.sinks.postgres.held import HeldRow
from airflow_provider_genesys.sinks.postgres.replace_window import NOTHING_REMOVED, Removed
from airflow_provider_genesys.sinks.postgres.session import Connection, Cursor, Session
from airflow_provider_genesys.sinks.postgres.settings import PostgresSettings
from airflow_provider_genesys.sinks.postgres.sink import PostgresSink
from airflow_provider_genesys.sinks.postgres.tables.columns import (
    EXPORT,
    LONGEST_NAME,
    SHARD,
    TYPES,
    column_names,
)
from airflow_provider_genesys.sinks.postgres.tables.evolve import evolve
from airflow_provider_genesys.sinks.postgres.tables.of_load import Tables
from airflow_provider_genesys.sinks.postgres.tables.relation import check_relation, what_keeps_out
from airflow_provider_genesys.sinks.postgres.tables.schema import create_table, ensure
from airflow_provider_genesys.sinks.postgres.tables.target import Target
from airflow_provider_genesys.sinks.postgres.tables.types import check_exact
from airflow_provider_genesys.sinks.postgres.upsert import Landed

log = logging.getLogger(__name__)

Deletes = Literal["mark", "remove", "keep"]
"""What becomes of a row whose key is gone: ``_deleted_at`` is set · it is removed · it stays as it is."""

DELETED = Column("_deleted_at", "@deleted", "timestamp", description="When a snapshot was first without it")
VALID_FROM, VALID_TO = "_valid_from", "_valid_to"
TIME = TYPES["timestamp"]
_COUNTED = ("present", "new", "changed", "returned", "deleted")

_COMPARE = """
SELECT count(*) FILTER (WHERE s.{key} IS NOT NULL),
    count(*) FILTER (WHERE t.{key} IS NULL),
    count(*) FILTER (WHERE s.{key} = t.{key} AND {alive} AND ({s_data}) IS DISTINCT FROM ({t_data})),
    count(*) FILTER (WHERE s.{key} = t.{key} AND NOT {alive}),
    count(*) FILTER (WHERE s.{key} IS NULL AND {alive}),
    count(*) FILTER (WHERE t.{key} IS NOT NULL AND {alive})
FROM {target} AS t FULL JOIN {stage} AS s ON s.{key} = t.{key}
"""
_OVERTAKEN = """
SELECT count(*) FROM {ledger}
WHERE target = %(target)s AND state = 'complete' AND export_id <> %(export)s AND submitted_at > %(submitted)s
"""
_MARK = """
UPDATE {target} AS t SET {deleted} = %(begun_at)s
WHERE {alive} AND NOT EXISTS (SELECT FROM {stage} AS s WHERE s.{key} = t.{key})
"""
_REMOVE = """
WITH removed AS (
    DELETE FROM {target} AS t WHERE NOT EXISTS (SELECT FROM {stage} AS s WHERE s.{key} = t.{key})
    RETURNING t.{export} || '/' || t.{shard} AS label
)
SELECT label, count(*) FROM removed GROUP BY label
"""
_CLOSE = """
UPDATE {history} AS h SET {valid_to} = %(begun_at)s FROM {history} AS o LEFT JOIN {stage} AS s ON s.{key} = o.{key}
WHERE h.{key} = o.{key} AND h.{valid_from} = o.{valid_from} AND h.{valid_to} IS NULL
    AND CASE WHEN s.{key} IS NULL THEN {closes_deleted} ELSE ({s_data}) IS DISTINCT FROM ({o_data}) END
"""
_OPEN = """
INSERT INTO {history} ({own}, {export}, {valid_from})
SELECT {s_own}, %(export)s, %(begun_at)s FROM {stage} AS s
WHERE NOT EXISTS (SELECT FROM {history} AS h WHERE h.{key} = s.{key} AND h.{valid_to} IS NULL)
"""


@dataclass(frozen=True)
class Snapshots:
    """How snapshots are kept.

    :param deletes: what becomes of rows whose keys are gone.
    :param history: keep ``<table>_history``, with one row for each version of an entity.
    :param max_deleted_ratio: share of the keys of the snapshot before, 0 to 1, that a snapshot may lack.
    :param volatile: columns of the contract whose change makes no new version.
    """

    deletes: Deletes = "mark"
    history: bool = False
    max_deleted_ratio: float = 0.2
    volatile: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.deletes not in get_args(Deletes):
            raise ConfigurationError(f"deletes is one of {', '.join(get_args(Deletes))}, not {self.deletes!r}.")
        if not 0 <= self.max_deleted_ratio <= 1:
            raise ConfigurationError(f"max_deleted_ratio is a share from 0 to 1, not {self.max_deleted_ratio}.")


class SnapshotSink(PostgresSink):
    """Loads one listing into one table, as a snapshot: all of it is published, or nothing.

    For the other parameters see :class:`~.postgres.sink.PostgresSink`; ``publish`` is ``atomic``.
    """

    def __init__(
        self, connect: Callable[[], Connection], table: str, snapshots: Snapshots, *, schema: str, **options: Any
    ) -> None:
        super().__init__(connect, table, schema=schema, publish="atomic", **options)
        name = f"{table}_history"
        if snapshots.history and len(name.encode()) > LONGEST_NAME:
            raise ConfigurationError(f"{name!r} cannot name a table: at most {LONGEST_NAME} bytes.")
        self._snapshots = snapshots

    def _attempt_at(self, load: Load, *, restart: bool) -> Attempt:
        tables = _SnapshotTables(self._settings, load, self._snapshots)
        return _SnapshotAttempt(self._session, self._settings, tables, load, restart=restart)


class _SnapshotTables(Tables):
    """The tables of a snapshot: the target, which notes when a row was first missing, and perhaps a history."""

    def __init__(self, settings: PostgresSettings, load: Load, snapshots: Snapshots) -> None:
        self.snapshots = snapshots
        self.history = sql.Identifier(settings.schema, f"{settings.table}_history")
        super().__init__(settings, load)

    def widened(self, contract: Contract) -> Contract:
        widened = super().widened(contract)
        return widened.evolved([DELETED]) if self.snapshots.deletes == "mark" else widened

    def widened_batch(self, batch: Batch) -> Batch:
        widened = super().widened_batch(batch)
        if self.snapshots.deletes != "mark":
            return widened
        rows = [(*row, None) for row in widened.rows]
        return replace(widened, rows=rows, contract=widened.contract.evolved([DELETED]))

    def prepare(self, cursor: Cursor, load: Load) -> None:
        super().prepare(cursor, load)
        if self.snapshots.history:
            check_relation(cursor, self.history)
            ensure(cursor, self.history, self._history_definition(), create=self._settings.create_table)
            check_exact(cursor, self.history, self._history_types() | {VALID_FROM: TIME, VALID_TO: TIME})

    def rehearse(self, cursor: Cursor, target: Target, load: Load, lineage: dict[str, Any]) -> None:
        super().rehearse(cursor, target, load, lineage)
        if self.snapshots.deletes == "remove":
            cursor.execute(sql.SQL("DELETE FROM {} WHERE false").format(self.identifier))

    def _history_types(self) -> dict[str, str]:
        columns = zip(column_names(self.contract), self.contract.columns, strict=True)
        return {name: TYPES[column.type] for name, column in columns if column != DELETED}

    def _history_definition(self) -> sql.Composed:
        contract = self.contract
        own = [
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in self._history_types().items()
        ]
        more = [f"{EXPORT.name} text", f"{VALID_FROM} {TIME} NOT NULL", f"{VALID_TO} {TIME}"]
        key = sql.Identifier(column_names(contract)[contract.index(contract.key)])
        primary = sql.SQL("PRIMARY KEY ({}, {})").format(key, sql.Identifier(VALID_FROM))
        return create_table(self.history, [*own, *map(sql.SQL, more), primary])


class _SnapshotAttempt(Attempt):
    """Compares the snapshot with the table before it is published there."""

    _tables: _SnapshotTables

    def __init__(
        self, session: Session, settings: PostgresSettings, tables: _SnapshotTables, load: Load, *, restart: bool
    ) -> None:
        super().__init__(session, settings, tables, load, restart=restart)
        self._snapshots = tables.snapshots
        self._account: dict[str, int] = {}
        self._taken = NOTHING_REMOVED
        self._deletes = tables.snapshots.deletes

    @property
    def _removes(self) -> bool:
        return True

    def _published(self, cursor: Cursor, held: HeldRow) -> Landed:
        cursor.execute(sql.SQL("ANALYZE {}").format(self._tables.staging.identifier))
        ((overtaken,),) = self._run(cursor, _OVERTAKEN)
        if overtaken:
            log.warning(
                "A newer snapshot of %s is there already: this one changes nothing there.", self._settings.full_name
            )
            self._tables.staging.drop(cursor)
            self._account = dict.fromkeys(_COUNTED, 0) | {"present": held.counts.written}
            return Landed(0, held.counts.written + held.counts.duplicates)
        if held.counts.dead_letters and self._deletes != "keep":
            # The keys of rejected records are not known, so a key that is missing may be one of theirs.
            log.warning(
                "%d records of the snapshot of %s were rejected: nothing is marked as deleted or removed by it.",
                held.counts.dead_letters,
                self._settings.full_name,
            )
            self._deletes = "keep"
        self._compare(cursor)
        self._keep_history(cursor)
        self._taken = self._take_away(cursor)
        return super()._published(cursor, held)

    def _removed(self, cursor: Cursor) -> Removed:  # noqa: ARG002 - what is gone was removed before the table beside it
        return self._taken

    def _accounted(self, *arguments: Any) -> Certificate:
        return replace(super()._accounted(*arguments), snapshot=self._account)

    def _compare(self, cursor: Cursor) -> None:
        """Count what is new, changed and gone.

        :raises SnapshotShrunkError: too much is gone.
        """
        ((*counts, alive),) = self._run(cursor, _COMPARE)
        self._account = dict(zip(_COUNTED, counts, strict=True))
        if self._deletes == "keep":
            self._account["deleted"] = 0
        deleted = self._account["deleted"]
        if deleted > self._snapshots.max_deleted_ratio * alive:
            raise SnapshotShrunkError(
                f"The snapshot {self._load.export_id} lacks {deleted} of the {alive} keys that "
                f"{self._settings.full_name} has, more than max_deleted_ratio={self._snapshots.max_deleted_ratio} "
                "allows. Nothing was changed there. "
                "See whether the OAuth client still has its role in all divisions, and whether they were really "
                "deleted in Genesys Cloud; if so, clear the task with a greater max_deleted_ratio, once."
            )

    def _keep_history(self, cursor: Cursor) -> None:
        if self._snapshots.history:
            evolve(cursor, self._tables.history, self._without_deleted, allowed=self._settings.create_table)
            self._run(cursor, _CLOSE)
            self._run(cursor, _OPEN)

    def _take_away(self, cursor: Cursor) -> Removed:
        if self._deletes == "mark":
            self._run(cursor, _MARK)
            self._check_done(cursor, cursor.rowcount)
        if self._deletes != "remove":
            return NOTHING_REMOVED
        taken = Counter({label: count for label, count in self._run(cursor, _REMOVE) if label})
        self._check_done(cursor, taken.total())
        return Removed(taken.total(), taken)

    def _check_done(self, cursor: Cursor, done: int) -> None:
        """Check that rows whose keys are gone were marked or removed.

        :raises SinkRefusedError: a trigger or a policy has kept some as they were.
        """
        if done < (due := self._account["deleted"]):
            where = f"{what_keeps_out(cursor, self._tables.identifier) or 'Something about'} {self._settings.full_name}"
            raise SinkRefusedError(
                f"{where} keeps {due - done} of {due} rows from being marked or removed, without an error. Disable it "
                "for this load, then clear the task."
            )

    @property
    def _without_deleted(self) -> Contract:
        contract = self._target.contract
        return replace(contract, columns=tuple(column for column in contract.columns if column != DELETED))

    def _run(self, cursor: Cursor, statement: str) -> Sequence[tuple[Any, ...]]:
        done = cursor.execute(sql.SQL(statement).format(**self._names()), self._lineage)
        return done.fetchall() if done.description else []

    def _names(self) -> dict[str, sql.Composable]:
        contract = self._without_deleted
        own, volatile = column_names(contract), set(self._snapshots.volatile)
        key = own[contract.index(contract.key)]
        columns = zip(own, contract.columns, strict=True)
        still = [name for name, column in columns if column.path != PROCESSED_AT and column.name not in volatile]
        compared = [name for name in still if name != key] or [key]
        marks = self._snapshots.deletes == "mark"
        return {
            "target": self._tables.identifier,
            "stage": self._tables.staging.identifier,
            "history": self._tables.history,
            "key": sql.Identifier(key),
            "export": sql.Identifier(EXPORT.name),
            "shard": sql.Identifier(SHARD.name),
            "ledger": self._tables.ledger.identifier,
            "deleted": sql.Identifier(DELETED.name),
            "valid_from": sql.Identifier(VALID_FROM),
            "valid_to": sql.Identifier(VALID_TO),
            "alive": sql.SQL("t.{} IS NULL" if marks else "true").format(*[sql.Identifier(DELETED.name)] * marks),
            "closes_deleted": sql.SQL("false" if self._deletes == "keep" else "true"),
            "own": sql.SQL(", ").join(map(sql.Identifier, own)),
            **{f"{of}_data": _of(of, compared) for of in "sto"},
            "s_own": _of("s", own),
        }


def _of(alias: str, names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(alias, name) for name in names)
