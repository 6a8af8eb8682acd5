"""The table ``genesys_dead_letters``: dead letters, committed with their batch."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import msgspec
from psycopg import sql

from airflow_provider_genesys.exceptions import AccountError, SinkRefusedError
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.sinks.dead_letters import DeadLetterRows, RawBytes
from airflow_provider_genesys.sinks.postgres.encoding import holds_any_text, storable_letter
from airflow_provider_genesys.sinks.postgres.session import Cursor
from airflow_provider_genesys.sinks.postgres.tables.own import OwnTable
from airflow_provider_genesys.sinks.postgres.tables.relation import what_keeps_out
from airflow_provider_genesys.source.records import DeadLetter

_COLUMNS = (
    "load_id text NOT NULL",
    "target text NOT NULL",
    "shard integer NOT NULL",
    "source_offset bigint NOT NULL",
    "export_id text NOT NULL",
    "kind text NOT NULL",
    "window_start timestamptz NOT NULL",
    "window_end timestamptz NOT NULL",
    "submitted_at timestamptz",
    "processed_at timestamptz NOT NULL",
    "contract text NOT NULL",
    "run_id text NOT NULL",
    "stage text NOT NULL",
    "rule text NOT NULL",
    "message text NOT NULL",
    "raw text",
    "raw_form text NOT NULL CHECK (raw_form IN ('text', 'base64', 'encrypted', 'dropped', 'protected'))",
    "created_at timestamptz NOT NULL",
    "state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'replayed'))",
    "replayed_at timestamptz",
    "replayed_by text",
    "replayed_contract text",
)
_KEY = ("load_id", "target", "shard", "source_offset")
_INSERT = """
INSERT INTO {table} (target, {names}) SELECT %(target)s, {names}
FROM json_populate_recordset(NULL::{table}, %(rows)s)
ON CONFLICT (load_id, target, shard, source_offset) DO UPDATE SET {renewed}
"""
_NAMES = (
    *("load_id", "shard", "source_offset", "export_id", "kind", "window_start", "window_end", "submitted_at"),
    *("processed_at", "contract", "run_id", "stage", "rule", "message", "raw", "raw_form", "created_at"),
)
_COUNT = "SELECT count(*) FROM {table} WHERE load_id = %(load_id)s AND target = %(target)s AND shard = %(shard)s"
_FORGET = "DELETE FROM {table} WHERE load_id = %(load_id)s AND target = %(target)s AND shard = %(shard)s"


def table_of(schema: str) -> OwnTable:
    """Return the table of ``schema``."""
    return OwnTable(sql.Identifier(schema, "genesys_dead_letters"), _COLUMNS, _KEY)


class DeadLetters:
    """The dead letters of one load into one table. Methods run in the transaction of the cursor that they are given."""

    def __init__(self, schema: str, table: str, load: Load, raw_bytes: RawBytes) -> None:
        self.table = table_of(schema)
        self.identifier = self.table.identifier
        self._raw_bytes = raw_bytes
        self._rows = DeadLetterRows(load, raw_bytes)
        self._export_id = load.export_id
        self._load: dict[str, Any] = {
            "load_id": load.load_id,
            "target": f"{schema}.{table}",
            "shard": load.shard,
        }
        names = [sql.Identifier(name) for name in _NAMES]
        self._insert = sql.SQL(_INSERT).format(
            table=self.identifier,
            names=sql.SQL(", ").join(names),
            renewed=sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(name) for name in names),
        )

    def of(self, load: Load) -> DeadLetters:
        """Return the dead letters of the same load as the ledger has it."""
        same = copy(self)
        same._rows = DeadLetterRows(load, self._raw_bytes)  # noqa: SLF001 - of the same class
        return same

    def rehearse(self, cursor: Cursor) -> None:
        """Insert nothing: a missing right is an error before anything is downloaded."""
        cursor.execute(self._insert, {**self._load, "rows": "[]"})

    def keep(self, cursor: Cursor, batch: Batch, letters: Sequence[DeadLetter]) -> None:
        """Insert ``letters`` of the batch; they replace letters of the same records."""
        rows = self._rows.rows(letters, batch.checkpoint.processed_at, batch.protect)
        if not holds_any_text(cursor):
            rows = list(map(storable_letter, rows))
        cursor.execute(self._insert, {**self._load, "rows": msgspec.json.encode(rows).decode()})
        if cursor.rowcount != len(rows):
            what = what_keeps_out(cursor, self.identifier) or "Something about"
            raise SinkRefusedError(
                f"Export {self._export_id}: {what} {self.identifier.as_string()} keeps dead letters from being "
                "written, without an error. Remove it from this table, then clear the task."
            )

    def check(self, cursor: Cursor, expected: int) -> None:
        """Compare the number of letters with the number that the checkpoint counts, replayed ones included.

        :raises AccountError: letters are missing.
        """
        ((held,),) = cursor.execute(sql.SQL(_COUNT).format(table=self.identifier), self._load).fetchall()
        if held != expected:
            raise AccountError(
                f"Export {self._export_id}: {expected} records were rejected, but {self.identifier.as_string()} holds "
                f"{held} of them for {self._load['target']}. Somebody else deletes dead letters. Clear "
                "the task with on_clear='restart' to load the export again."
            )

    def forget(self, cursor: Cursor) -> None:
        """Delete the dead letters of a former attempt: the load starts again."""
        cursor.execute(sql.SQL(_FORGET).format(table=self.identifier), self._load)
