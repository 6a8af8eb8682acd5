"""The table ``genesys_ledger``: one row per load, with the checkpoint that is committed together with each batch."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import cached_property
from typing import Any

import msgspec
from psycopg import sql

from airflow_provider_genesys.exceptions import AccountError, FencedError, SinkRefusedError, SinkUnavailableError
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, from_json
from airflow_provider_genesys.pipeline.load import Load, LoadFacts, Previous, continues
from airflow_provider_genesys.sinks.postgres.encoding import restored, storable, storable_json
from airflow_provider_genesys.sinks.postgres.held import Claim, HeldRow
from airflow_provider_genesys.sinks.postgres.replace_window import WriteMode
from airflow_provider_genesys.sinks.postgres.session import Connection, Cursor, Session
from airflow_provider_genesys.sinks.postgres.staging import Publish
from airflow_provider_genesys.sinks.postgres.tables.columns import CONTRACT, EXPORT, LOADED, SHARD
from airflow_provider_genesys.sinks.postgres.tables.own import OwnTable
from airflow_provider_genesys.sinks.postgres.tables.relation import what_keeps_out
from airflow_provider_genesys.sinks.postgres.upsert import Landed

log = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

_COLUMNS = (
    "load_id text NOT NULL",
    "target text NOT NULL",
    "shard integer NOT NULL",
    "fence bigint NOT NULL",
    "state text NOT NULL CHECK (state IN ('loading', 'complete'))",
    "export_id text NOT NULL",
    "kind text NOT NULL",
    "window_start timestamptz NOT NULL",
    "window_end timestamptz NOT NULL",
    "submitted_at timestamptz",
    "write_mode text NOT NULL",
    "publish text NOT NULL",
    "contract text NOT NULL",
    "run_id text NOT NULL",
    "processed_at timestamptz",
    "checkpoint jsonb",
    "taken_over jsonb NOT NULL DEFAULT '{}'",
    "child_rows jsonb NOT NULL DEFAULT '{}'",
    "certificate jsonb",
    "attempts integer NOT NULL",
    "begun_at timestamptz NOT NULL",
    "opened_at timestamptz NOT NULL",
    "completed_at timestamptz",
)
_INDEX = "CREATE INDEX ON {ledger} (target, submitted_at) WHERE write_mode = 'replace_window' AND state = 'complete'"

_CLAIM = """
INSERT INTO {ledger} AS l (load_id, target, shard, fence, state, export_id, kind, window_start, window_end,
    submitted_at, contract, run_id, write_mode, publish, attempts, begun_at, opened_at)
VALUES (%(load_id)s, %(target)s, %(shard)s, 1, 'loading', %(export_id)s, %(kind)s, %(window_start)s, %(window_end)s,
    %(submitted_at)s, %(contract)s, %(run_id)s, %(write_mode)s, %(publish)s, 1, now(), now())
ON CONFLICT (load_id, target, shard)
    DO UPDATE SET fence = l.fence + 1, attempts = l.attempts + 1, run_id = excluded.run_id,
        write_mode = excluded.write_mode, opened_at = now(), submitted_at = CASE WHEN %(self_asked)s
            THEN l.submitted_at ELSE coalesce(excluded.submitted_at, l.submitted_at) END
RETURNING fence, attempts, begun_at, opened_at, submitted_at, checkpoint, export_id, state, contract, publish
"""
# Loads of one export with two contracts write the same rows. So an attempt with the other contract is fenced, and
# would start again: its rows are being replaced.
_TAKE_OVER = """
UPDATE {ledger} SET fence = fence + 1, checkpoint = NULL
WHERE target = %(target)s AND export_id = %(export_id)s AND load_id <> %(load_id)s AND state = 'loading'
"""
# Another shard of the same load may have fixed the time already.
_PROCESSED_AT = """
SELECT min(processed_at) FROM {ledger} WHERE load_id = %(load_id)s AND target = %(target)s
    AND export_id = %(export_id)s
"""
_BEGIN = """
UPDATE {ledger} SET state = 'loading', contract = %(contract)s, kind = %(kind)s, window_start = %(window_start)s,
    window_end = %(window_end)s, processed_at = CASE WHEN export_id = %(export_id)s THEN processed_at END,
    export_id = %(export_id)s, submitted_at = %(submitted_at)s, publish = %(publish)s, checkpoint = NULL,
    child_rows = '{{}}', certificate = NULL, attempts = 1, begun_at = now(), completed_at = NULL
WHERE load_id = %(load_id)s AND target = %(target)s AND shard = %(shard)s
"""
_LOCK = """
SELECT fence, checkpoint, taken_over, state = 'complete', EXISTS (
    SELECT FROM {ledger} WHERE target = {target} AND write_mode = 'replace_window' AND state = 'complete'
        AND export_id <> {export_id}
        AND (submitted_at >= {submitted_at} OR submitted_at IS NULL OR {submitted_at} IS NULL)
), (extract(epoch FROM now()) * 1000000)::bigint, child_rows
FROM {ledger} WHERE load_id = {load_id} AND target = {target} AND shard = {number} FOR UPDATE
"""
_ADVANCE = """
UPDATE {ledger} SET checkpoint = %(checkpoint)s, processed_at = %(processed_at)s, taken_over = %(taken_over)s,
    child_rows = %(child_rows)s
WHERE load_id = %(load_id)s AND target = %(target)s AND shard = %(shard)s AND fence = %(fence)s
"""
# One statement sees one snapshot, and a load that takes rows over notes it in the same transaction. Rows that only
# an attempt before begun_at landed are not in this account.
_AUDIT = """
SELECT (SELECT count(*) FROM {table} WHERE {export} = %(export_id)s AND {shard} = %(shard)s
        AND {contract} = %(contract)s AND {loaded} >= %(begun_at)s),
    (SELECT coalesce(sum((taken_over ->> %(source)s)::bigint), 0)::bigint FROM {ledger}
        WHERE target = %(target)s)
"""
_COMPLETE = """
UPDATE {ledger} SET state = 'complete', certificate = %(certificate)s, taken_over = %(taken_over)s,
    completed_at = now()
WHERE load_id = %(load_id)s AND target = %(target)s AND shard = %(shard)s AND fence = %(fence)s
"""
_AMEND = """
UPDATE {ledger} SET certificate = %(certificate)s
WHERE load_id = %(load_id)s AND target = %(target)s AND shard = %(shard)s AND fence = %(fence)s AND state = 'complete'
"""
_CERTIFICATE = """
SELECT certificate FROM {ledger} WHERE load_id = %(load_id)s AND target = %(target)s AND shard = %(shard)s
"""


_UNFINISHED = """
SELECT load_id, shard, export_id, kind, window_start, window_end, submitted_at, contract, run_id FROM {ledger} AS l
WHERE target = %s AND state = 'loading' AND shard = 0 AND NOT EXISTS (
    SELECT FROM {ledger} WHERE load_id = l.load_id AND target = l.target AND export_id = l.export_id AND shard > 0
) ORDER BY window_start
"""


class Ledger:
    """The ledger's row of one load into one table. Methods run in the transaction of the cursor that they are given."""

    def __init__(self, schema: str, table: str, load: Load, write_mode: WriteMode, publish: Publish) -> None:
        self.identifier = sql.Identifier(schema, "genesys_ledger")
        index = sql.SQL(_INDEX).format(ledger=self.identifier)
        self.table = OwnTable(self.identifier, _COLUMNS, ("load_id", "target", "shard"), (index,))
        self._load = load
        self._row: dict[str, Any] = {
            **vars(load.facts),
            "target": f"{schema}.{table}",
            "write_mode": write_mode,
            "publish": publish,
            "self_asked": load.self_asked,
        }
        self._names = {
            "ledger": self.identifier,
            "table": sql.Identifier(schema, table),
            "export": sql.Identifier(EXPORT.name),
            "shard": sql.Identifier(SHARD.name),
            "contract": sql.Identifier(CONTRACT.name),
            "loaded": sql.Identifier(LOADED.name),
        }
        self._form = f"{load.contract}/{publish}"
        self._composed: dict[str, bytes] = {}

    def claim(self, cursor: Cursor, *, restart: bool) -> Claim:
        """Take a new fence. The claim has a checkpoint if the load can be continued; otherwise it starts again."""
        claimed = self._run(cursor, _CLAIM).fetchone()
        if claimed is None:
            raise self._kept_out(cursor)
        fence, attempts, *times, checkpoint, export_id, state, contract, publish = claimed
        begun_at, opened_at, submitted_at = times
        self._run(cursor, _TAKE_OVER)
        (processed_at,) = _only(self._run(cursor, _PROCESSED_AT))
        claim = Claim(fence, attempts, begun_at, submitted_at)
        claim.processed_at = processed_at and processed_at.astimezone(timezone.utc).isoformat()
        previous = Previous(export_id, state, checkpoint, f"{contract}/{publish}")
        if continues(previous, self._load.export_id, self._form, restart=restart):
            claim.checkpoint = self._read(cursor, checkpoint)
        else:
            claim.attempts, claim.begun_at, claim.submitted_at = 1, opened_at, self._load.submitted_at
            self._run(cursor, _BEGIN)
        if cursor.execute(self.lock).fetchone() is None:
            raise self._kept_out(cursor)  # by a policy that hides it
        return claim

    @cached_property
    def lock(self) -> bytes:
        """The statement that locks the row, so that no other attempt writes meanwhile; sent along with BEGIN."""
        names = ("load_id", "target", "submitted_at", "export_id")
        literals = {name: sql.Literal(self._row[name]) for name in names}
        number = sql.Literal(self._row["shard"])  # "shard" names a column
        return sql.SQL(_LOCK).format(ledger=self.identifier, number=number, **literals).as_bytes()

    def held(self, cursor: Cursor, fence: int) -> HeldRow:
        """Return the row's values from when :attr:`lock` was executed: third, after BEGIN and another lock.

        :raises FencedError: another attempt has claimed the load.
        :raises SinkUnavailableError: the server has lost this attempt's claim.
        """
        cursor.nextset()
        cursor.nextset()
        unknown: tuple[Any, ...] = (0, None, {}, False, False, 0, {})
        newest, checkpoint, taken_over, complete, overtaken, now, child_rows = cursor.fetchone() or unknown
        if newest > fence:
            raise self._fenced(fence)
        if newest < fence:
            raise self.forgotten()
        known = self._read(cursor, checkpoint) if checkpoint else None
        return HeldRow(
            known, taken_over, complete, overtaken, _EPOCH + timedelta(microseconds=now), Counter(child_rows)
        )

    def forgotten(self) -> SinkUnavailableError:
        """Return the error for a server that has lost a transaction that it had confirmed, with rows and ledger."""
        return SinkUnavailableError(
            f"Export {self._load.export_id}: the database has lost transactions into {self._row['target']} that it had "
            "confirmed, as after a failover to a replica that lagged, or a crash with synchronous_commit off. The "
            "task's next try resumes at what is still there."
        )

    def advance(
        self, cursor: Cursor, checkpoint: Checkpoint, held: HeldRow, landed: Landed, child_rows: Counter[str]
    ) -> None:
        """Commit ``checkpoint`` with the transaction's rows: ``landed`` and ``child_rows`` since ``held``."""
        new = {
            "checkpoint": storable_json(cursor, checkpoint.to_json()),
            "processed_at": checkpoint.processed_at,
            "taken_over": json.dumps(Counter(held.taken_over) + landed.taken_over),
            "child_rows": storable_json(cursor, json.dumps(held.child_rows + child_rows)),
        }
        if not self._run(cursor, _ADVANCE, **new, fence=checkpoint.fence).rowcount:
            raise self._kept_out(cursor)

    def audit(self, cursor: Cursor, begun_at: datetime) -> tuple[int, int]:
        """Count the rows of this load that the table holds, and those that other loads took over from its source."""
        source = f"{self._load.export_id}/{self._load.shard}"
        present, taken = _only(self._run(cursor, _AUDIT, source=source, begun_at=begun_at))
        return present, taken

    def check(self, cursor: Cursor, written: int, present: int, taken: int) -> None:
        """Compare the rows written with those that the table holds. A newer export may have taken some over since."""
        if not written - taken <= present <= written:
            what = what_keeps_out(cursor, self._names["table"])
            suspect = f"{what} the table, or somebody else," if what else "Somebody else"
            raise AccountError(
                f"Export {self._load.export_id}: {written} rows were written to {self._row['target']}, but it "
                f"holds {present} of them, and other loads took over at most {taken}. {suspect} "
                "deletes rows there, or changes whose they are. Clear the task with on_clear='restart' to load the "
                "export again."
            )
        if present < written:
            log.warning("%d rows of export %s belong to newer loads by now.", written - present, self._load.export_id)

    def complete(self, cursor: Cursor, certificate: Certificate, fence: int, taken_over: dict[str, int]) -> None:
        """Mark the load complete."""
        new = {"certificate": storable_json(cursor, certificate.to_json()), "taken_over": json.dumps(taken_over)}
        if not self._run(cursor, _COMPLETE, **new, fence=fence).rowcount:
            raise self._kept_out(cursor)

    def amend(self, cursor: Cursor, certificate: Certificate, fence: int) -> None:
        """Keep another certificate of the load, which is complete, unless a newer attempt has claimed it."""
        self._run(cursor, _AMEND, certificate=storable_json(cursor, certificate.to_json()), fence=fence)

    def certificate(self, cursor: Cursor) -> Certificate:
        """Return the certificate of the complete load."""
        (certificate,) = _only(self._run(cursor, _CERTIFICATE))
        return msgspec.convert(restored(cursor, certificate), Certificate)

    def _run(self, cursor: Cursor, statement: str, **parameters: Any) -> Cursor:
        if statement not in self._composed:
            self._composed[statement] = sql.SQL(statement).format(**self._names).as_bytes()
        run_id = storable(cursor, self._row["run_id"])
        return cursor.execute(self._composed[statement], {**self._row, "run_id": run_id, **parameters})

    def _read(self, cursor: Cursor, checkpoint: dict[str, Any]) -> Checkpoint:
        return from_json(
            restored(cursor, checkpoint), where=f"{self.identifier.as_string()}, load_id {self._load.load_id}"
        )

    def _kept_out(self, cursor: Cursor) -> SinkRefusedError:
        """Return the error for a row that is locked, but not written."""
        what = what_keeps_out(cursor, self.identifier) or "Something about"
        return SinkRefusedError(
            f"{what} {self.identifier.as_string()} keeps the row of load {self._load.load_id} from being written, "
            "without an error. No load can go on like this: remove it from this table, then clear the task."
        )

    def _fenced(self, fence: int) -> FencedError:
        return FencedError(
            f"Export {self._load.export_id}: a newer attempt loads it into {self._row['target']} (this one holds fence "
            f"{fence} of load {self._load.load_id}). This attempt has stopped; leave the newer one to finish."
        )


def _only(cursor: Cursor) -> tuple[Any, ...]:
    """Return the row of a statement that always returns one."""
    (row,) = cursor.fetchall()
    return row


def unfinished_loads(connect: Callable[[], Connection], schema: str, table: str) -> list[LoadFacts]:
    """Return the loads into a table that began and are not complete, the oldest window first. Shards are left out.

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
