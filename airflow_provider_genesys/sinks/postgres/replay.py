"""Replay the dead letters of a table of PostgreSQL: rows, marks and the ledger in one transaction per batch.

A replayed row is where the load would have put it: it carries the load's export, offset and time of submission, so
a newer row of the same key stays. Only its ledger says what a load is; letters that say otherwise are not its own.
A load that is not complete is left alone, by the lock on its row of the ledger.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.exceptions import DeadLetterError, SinkRefusedError, UnrankedExportError
from airflow_provider_genesys.failpoints import COMMITTING, failpoint
from airflow_provider_genesys.limits import LONGEST_LETTER
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.pipeline.replay import (
    BATCH,
    BATCH_BYTES,
    EVER,
    Judged,
    Open,
    Replayed,
    Span,
    account,
    judge,
)
from airflow_provider_genesys.sinks.postgres.dead_letters import table_of
from airflow_provider_genesys.sinks.postgres.encoding import legible, storable
from airflow_provider_genesys.sinks.postgres.errors import is_of_a_row
from airflow_provider_genesys.sinks.postgres.ledger import Ledger
from airflow_provider_genesys.sinks.postgres.poison import search
from airflow_provider_genesys.sinks.postgres.replace_window import shared_lock
from airflow_provider_genesys.sinks.postgres.session import Connection, Cursor, Session
from airflow_provider_genesys.sinks.postgres.tables.children import children_there
from airflow_provider_genesys.sinks.postgres.tables.relation import check_relation, is_watched
from airflow_provider_genesys.sinks.postgres.tables.schema import check, columns_of, find_key
from airflow_provider_genesys.sinks.postgres.tables.table import Table
from airflow_provider_genesys.sinks.postgres.tables.target import Target
from airflow_provider_genesys.sinks.postgres.tables.types import near_columns
from airflow_provider_genesys.sinks.postgres.upsert import Landed, lineage

log = logging.getLogger(__name__)

# Times that PostgreSQL has and Python does not, such as infinity: no load writes them.
_SANE = """least({of}.window_start, {of}.window_end, {of}.submitted_at, {of}.processed_at) > '0001-01-02 00:00+00'
    AND greatest({of}.window_start, {of}.window_end, {of}.submitted_at, {of}.processed_at) < '9999-12-30 00:00+00'"""
_OF_LOAD = f"""d.load_id = l.load_id AND d.target = l.target AND d.shard = l.shard AND d.kind = l.kind
    AND d.export_id = l.export_id AND {_SANE.format(of="d")} AND {_SANE.format(of="l")}"""
_STRAYS = """
SELECT count(*) AS strays FROM {letters} AS d
WHERE d.target = %(target)s AND d.state = 'open' AND NOT EXISTS (SELECT FROM {ledger} AS l WHERE {of_load})
"""
_LOADS = """
SELECT load_id, shard, export_id, kind, window_start, window_end, submitted_at, processed_at FROM {ledger} AS l
WHERE target = %(target)s AND window_end > %(since)s AND window_start < %(until)s
    AND EXISTS (SELECT FROM {letters} AS d WHERE d.state = 'open' AND {of_load})
ORDER BY submitted_at, load_id, shard
"""
# Letters are marked and never removed. A joint certificate counts letters that are those of its shards.
_GONE = """
SELECT * FROM (
    SELECT load_id, shard, window_start, window_end, CASE
        WHEN jsonb_typeof(certificate #> '{{counts,dead_letters}}') = 'number'
        THEN (certificate #> '{{counts,dead_letters}}')::numeric::bigint - (
            SELECT count(*) FROM {letters} AS d
            WHERE d.load_id = l.load_id AND d.target = l.target AND d.shard = l.shard
        ) END AS gone
    FROM {ledger} AS l
    WHERE target = %(target)s AND window_end > %(since)s AND window_start < %(until)s AND state = 'complete'
        AND coalesce(certificate -> 'shards', '[]') = '[]' AND {sane}
) AS counted WHERE gone > 0 ORDER BY window_start, load_id, shard
"""
_OPEN = f"""load_id = %(load_id)s AND target = %(target)s AND shard = %(shard)s AND kind = %(kind)s
    AND export_id = %(export_id)s AND state = 'open' AND {_SANE.format(of="d")} AND source_offset > %(after)s"""
_LETTERS = """
SELECT load_id, shard, export_id, source_offset, rule, raw_form, processed_at,
    CASE WHEN octet_length(raw) <= %(longest)s THEN raw END AS raw
FROM {letters} AS d WHERE {open} AND source_offset <= (
        SELECT max(source_offset) FROM (
            SELECT source_offset, sum(size) OVER (ORDER BY source_offset) - size AS before FROM (
                SELECT source_offset, coalesce(octet_length(raw), 0) AS size FROM {letters} AS d
                WHERE {open} ORDER BY source_offset LIMIT %(limit)s
            ) AS next
        ) AS summed WHERE before <= %(bytes)s
    ) ORDER BY source_offset
"""
_REPLAYED = """
UPDATE {letters} SET state = 'replayed', replayed_at = now(), replayed_by = %(run_id)s,
    replayed_contract = %(contract)s
WHERE load_id = %(load_id)s AND target = %(target)s AND shard = %(shard)s AND source_offset = ANY(%(offsets)s)
"""
_STILL_OPEN = """
UPDATE {letters} AS l SET stage = new.stage, rule = new.rule, message = new.message, contract = %(contract)s,
    replayed_at = now(), replayed_by = %(run_id)s, replayed_contract = %(contract)s
FROM json_to_recordset(%(failed)s) AS new (source_offset bigint, stage text, rule text, message text)
WHERE l.load_id = %(load_id)s AND l.target = %(target)s AND l.shard = %(shard)s
    AND l.source_offset = new.source_offset
"""
_TAKEN_OVER = """
UPDATE {ledger} SET taken_over = %(taken_over)s
WHERE load_id = %(load_id)s AND target = %(target)s AND shard = %(shard)s
"""


class PostgresReplay:
    """Replays the dead letters of loads into one table.

    :param connect: opens a connection (psycopg 3).
    :param table: name of the table, without schema; ``genesys_ledger`` and ``genesys_dead_letters`` are beside it.
    :param opened: returns the bytes of a dead letter's record.
    :param pii_key: returns the key that a contract hashes personal data with.
    :param retries: how often a batch is tried again; see :class:`.postgres.sink.PostgresSink`.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        table: str,
        *,
        schema: str = "public",
        opened: Open,
        pii_key: Callable[[Contract], bytes | None] = lambda _: None,
        retries: int = 3,
        retry_wait: float = 1.0,
    ) -> None:
        self._session = Session(connect, retries=retries, retry_wait=retry_wait)
        self._schema, self._name = schema, table
        self._target = f"{schema}.{table}"
        self._opened = opened
        self._pii_key = pii_key
        self._letters = table_of(schema).identifier
        self._ledger = sql.Identifier(schema, "genesys_ledger")

    def run(self, contract_of: Callable[[str], Contract], run_id: str, window: Span = EVER) -> Replayed:
        """Replay every open letter of the window.

        :param contract_of: returns today's contract of a kind of export.
        :param run_id: the task that replays; kept with each letter.
        :raises SinkRefusedError: there is no such table, or it lacks columns of the contract.
        """
        total = Replayed()
        try:
            found = self._session.retried(lambda: self._loads(window), self._doing("finding its dead letters"))
            loads, total.strays, gone = found
            total.gone = self._missing(gone)
            for row in loads:
                processed_at = row.pop("processed_at")
                try:
                    load = Load(**row, contract=contract_of(row["kind"]), run_id=run_id)
                except DeadLetterError as error:
                    log.warning("Dead letters of %s, export %s, stay. %s", self._target, shown(row["export_id"]), error)
                    total.strays += 1
                    continue
                self._replay(load, processed_at, total)
        finally:
            self._session.close()
        return total

    def _loads(self, window: Span) -> tuple[list[dict[str, Any]], int, list[dict[str, Any]]]:
        """Return the loads with open letters, the number of letters of none of them, and the loads that lack some."""
        with self._session.transaction() as cursor:
            [strays] = self._query(cursor, _STRAYS, target=self._target)
            loads = self._query(cursor, _LOADS, target=self._target, **asdict(window))
            gone = self._query(cursor, _GONE, target=self._target, **asdict(window))
        return loads, strays["strays"], gone

    def _missing(self, gone: list[dict[str, Any]]) -> int:
        """Name each load whose letters are not all there; return how many letters are missing."""
        for load in gone:
            log.warning(
                "Load %s of %s, window %s to %s: %d dead letters are no longer there. Somebody has deleted them. To "
                "have them again, load the window again.",
                shown(load["load_id"], 80),
                self._target,
                load["window_start"].isoformat(),
                load["window_end"].isoformat(),
                load["gone"],
            )
        return sum(load["gone"] for load in gone)

    def _replay(self, load: Load, processed_at: datetime | None, total: Replayed) -> None:
        after: int | None = -1
        while after is not None:
            doing, begin = self._doing(f"replaying export {load.export_id} behind byte {after}"), after
            after, part = self._session.retried(partial(self._batch, load, processed_at, begin), doing)
            total.add(part)
        total.loads += not part.loads_skipped

    def _batch(self, load: Load, processed_at: datetime | None, after: int) -> tuple[int | None, Replayed]:
        """Replay the next letters behind ``after`` in one transaction; return where it ended, None at the end."""
        ledger = Ledger(self._schema, self._name, load, "upsert", "batches")
        with self._session.transaction(shared_lock(self._target)) as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            state = cursor.execute(ledger.lock).fetchone()
            if state is None or not state[3]:
                return None, Replayed(loads_skipped=1)
            which = {**self._key(load), "kind": load.kind, "export_id": load.export_id, "after": after}
            letters = self._query(cursor, _LETTERS, **which, limit=BATCH, bytes=BATCH_BYTES, longest=LONGEST_LETTER)
            if not letters:
                return None, Replayed()
            moment = processed_at or letters[0]["processed_at"]
            judged = judge(letters, load.contract, moment, self._opened, self._pii_key(load.contract))
            landed = self._land(cursor, load, judged, overtaken=state[4]) if judged.rows else Landed()
            self._mark(cursor, load, judged)
            taken_over = json.dumps(Counter(state[2]) + landed.taken_over)
            self._run(cursor, _TAKEN_OVER, **self._key(load), taken_over=taken_over)
            failpoint(COMMITTING)
        return letters[-1]["source_offset"], account(letters, judged, landed.duplicates)

    def _land(self, cursor: Cursor, load: Load, judged: Judged, *, overtaken: bool) -> Landed:
        """Upsert the rows; those that PostgreSQL refuses, or that cannot be ranked, become failed letters."""
        table, children = self._table(cursor, load), children_there(cursor, self._schema, self._name, load)

        def land() -> Landed:
            landed = table.land(cursor, judged.rows, judged.offsets, overtaken=overtaken)
            children.replace(cursor, judged.rows, judged.offsets)
            return landed

        try:
            with cursor.connection.transaction():
                return land()
        except (psycopg.Error, UnrankedExportError) as error:
            if not _is_rejected_again(error):
                raise
        with cursor.connection.transaction(force_rollback=True):
            poison = search(
                cursor, table, load, judged.rows, judged.offsets, children=children, rejects=_is_rejected_again
            )
        good = [place for place, offset in enumerate(judged.offsets) if offset not in poison]
        judged.rows, judged.offsets = [judged.rows[i] for i in good], [judged.offsets[i] for i in good]
        judged.failed |= poison
        return land()

    def _table(self, cursor: Cursor, load: Load) -> Table:
        identifier, contract = sql.Identifier(self._schema, self._name), load.contract
        columns = columns_of(cursor, identifier)
        if not columns:
            raise SinkRefusedError(f"There is no table {self._target} to replay dead letters into.")
        check_relation(cursor, identifier)
        check(identifier, contract, load, columns)
        key, near = find_key(cursor, identifier, contract), near_columns(cursor, identifier, contract)
        watched = is_watched(cursor, identifier)
        target = Target(identifier, self._ledger, contract, key, near, watched=watched)
        return Table(target, lineage(load, self._target, EVER.since))

    def _mark(self, cursor: Cursor, load: Load, judged: Judged) -> None:
        facts = {**self._key(load), "run_id": storable(cursor, load.run_id), "contract": str(load.contract)}
        self._run(cursor, _REPLAYED, **facts, offsets=judged.offsets)
        failed = [
            {"source_offset": offset, "stage": letter.stage, "rule": letter.rule, "message": legible(letter.message)}
            for offset, letter in judged.failed.items()
        ]
        self._run(cursor, _STILL_OPEN, **facts, failed=json.dumps(failed))

    def _key(self, load: Load) -> dict[str, Any]:
        return {"load_id": load.load_id, "target": self._target, "shard": load.shard}

    def _query(self, cursor: Cursor, statement: str, **parameters: Any) -> list[dict[str, Any]]:
        with cursor.connection.cursor(row_factory=dict_row) as rows:
            parts = {"of_load": sql.SQL(_OF_LOAD), "open": sql.SQL(_OPEN), "sane": sql.SQL(_SANE.format(of="l"))}
            composed = sql.SQL(statement).format(letters=self._letters, ledger=self._ledger, **parts)
            return rows.execute(composed, parameters).fetchall()

    def _run(self, cursor: Cursor, statement: str, **parameters: Any) -> None:
        cursor.execute(sql.SQL(statement).format(letters=self._letters, ledger=self._ledger), parameters)

    def _doing(self, what: str) -> str:
        return f"the dead letters of {self._target} ({what})"


def _is_rejected_again(error: Exception) -> bool:
    """Return whether the error is of a single letter, so that the others can be replayed."""
    return isinstance(error, UnrankedExportError) or is_of_a_row(error)
