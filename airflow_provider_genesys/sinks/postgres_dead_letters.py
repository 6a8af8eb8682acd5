"""The table ``genesys_dead_letters``: records that were set aside, committed with their batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from psycopg import sql

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.pipeline.dead_letter import DeadLetter
from airflow_provider_genesys.sinks.base import Load
from airflow_provider_genesys.sinks.postgres_schema import create_table
from airflow_provider_genesys.sinks.postgres_session import Cursor

DeadLetterRaw = Literal["encrypt", "keep", "drop"]
"""What is stored of a dead letter's bytes."""

_FORMS = {"encrypt": "encrypted", "keep": "plain", "drop": "dropped"}

_COLUMNS = (
    "load_id text NOT NULL",
    "target text NOT NULL",
    "shard integer NOT NULL",
    "source_offset bigint NOT NULL",
    "export_id text NOT NULL",
    "contract text NOT NULL",
    "run_id text NOT NULL",
    "stage text NOT NULL",
    "rule text NOT NULL",
    "message text NOT NULL",
    "raw bytea",
    "raw_form text NOT NULL CHECK (raw_form IN ('encrypted', 'plain', 'dropped'))",
    "created_at timestamptz NOT NULL",
    "PRIMARY KEY (load_id, target, shard, source_offset)",
)
_SET_ASIDE = """
INSERT INTO {table} (load_id, target, shard, export_id, contract, run_id, source_offset, stage, rule, message, raw,
    raw_form, created_at)
SELECT %(load_id)s, %(target)s, %(shard)s, %(export_id)s, %(contract)s, %(run_id)s, letter.*, %(form)s, now()
FROM unnest(%(offsets)s::bigint[], %(stages)s::text[], %(rules)s::text[], %(messages)s::text[], %(raws)s::bytea[])
    AS letter
ON CONFLICT (load_id, target, shard, source_offset) DO UPDATE SET export_id = excluded.export_id,
    contract = excluded.contract, run_id = excluded.run_id, stage = excluded.stage, rule = excluded.rule,
    message = excluded.message, raw = excluded.raw, raw_form = excluded.raw_form, created_at = excluded.created_at
"""
_FORGET = "DELETE FROM {table} WHERE load_id = %(load_id)s AND target = %(target)s AND shard = %(shard)s"


class RawBytes:
    """How the bytes of dead letters are stored.

    :param encrypt: for ``encrypt``.
    :raises ConfigurationError: ``how`` is unknown, or there is nothing to encrypt with.
    """

    def __init__(self, how: DeadLetterRaw, encrypt: Callable[[bytes], bytes] | None) -> None:
        if how not in _FORMS:
            raise ConfigurationError(f"dead_letter_raw is one of {', '.join(_FORMS)}, not {how!r}.")
        if how == "encrypt" and encrypt is None:
            raise ConfigurationError("dead_letter_raw='encrypt' needs a function that encrypts; 'drop' needs none.")
        self.form = _FORMS[how]
        self._encrypt = encrypt if how == "encrypt" else None

    def stored(self, raw: bytes) -> bytes | None:
        """Return what is stored of ``raw``."""
        if self.form == "dropped":
            return None
        return self._encrypt(raw) if self._encrypt else raw


class DeadLetters:
    """The dead letters of one load into one table. Methods run in the transaction of the cursor that they are given."""

    def __init__(self, schema: str, table: str, load: Load, raw_bytes: RawBytes) -> None:
        self.identifier = sql.Identifier(schema, "genesys_dead_letters")
        self.definition = create_table(self.identifier, [sql.SQL(column) for column in _COLUMNS])
        self._raw_bytes = raw_bytes
        self._load: dict[str, Any] = {
            "load_id": load.load_id,
            "target": f"{schema}.{table}",
            "shard": load.shard,
            "export_id": load.export_id,
            "contract": str(load.contract),
            "run_id": load.run_id,
            "form": raw_bytes.form,
        }

    def set_aside(self, cursor: Cursor, letters: Sequence[DeadLetter]) -> None:
        """Keep ``letters``; what is there already for the same record is replaced."""
        columns = {
            "offsets": [letter.offset for letter in letters],
            "stages": [letter.stage for letter in letters],
            "rules": [letter.rule for letter in letters],
            "messages": [letter.message for letter in letters],
            "raws": [self._raw_bytes.stored(letter.raw) for letter in letters],
        }
        cursor.execute(sql.SQL(_SET_ASIDE).format(table=self.identifier), {**self._load, **columns})

    def forget(self, cursor: Cursor) -> None:
        """Delete what a former attempt set aside: the load begins anew."""
        cursor.execute(sql.SQL(_FORGET).format(table=self.identifier), self._load)
