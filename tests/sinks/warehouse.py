"""A database to load into, and what a test wants to know of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.rows import dict_row

from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, Counts
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.sinks.postgres.sink import PostgresSink
from tests.sinks.batches import make_certificate


@dataclass
class Warehouse:
    """An empty database. Sinks that it makes retry soon and let go of their connections at :meth:`close`."""

    dsn: str
    connections: list[psycopg.Connection[Any]] = field(default_factory=list)
    _looking: psycopg.Connection[dict[str, Any]] | None = None

    def connect(self) -> psycopg.Connection[Any]:
        self.connections.append(psycopg.connect(self.dsn))
        return self.connections[-1]

    def sink(self, **options: Any) -> PostgresSink:
        connect = options.pop("connect", self.connect)
        settings = {"dead_letter_raw": "keep", "retry_wait": 0.01, "commit_rows": 1, **options}
        return PostgresSink(connect, "recordings", **settings)

    def load(self, load: Load, batches: Iterable[Batch], *, restart: bool = False, **options: Any) -> Certificate:
        """Load from the beginning to the end."""
        sink = self.sink(**options)
        sink.open(load, restart=restart)
        return sink.finish(make_certificate(load, write_all(sink, batches)))

    def execute(self, statement: str, *parameters: Any) -> list[dict[str, Any]]:
        cursor = self._look().execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []

    def rows(self) -> list[dict[str, Any]]:
        return self.execute("SELECT * FROM recordings ORDER BY recording_id")

    def rows_by(self, key: str) -> list[dict[str, Any]]:
        return self.execute(f"SELECT * FROM recordings ORDER BY {key}")

    def ledger(self) -> dict[str, Any]:
        (row,) = self.execute("SELECT * FROM genesys_ledger")
        return row

    def dead_letters(self) -> list[dict[str, Any]]:
        return self.execute("SELECT * FROM genesys_dead_letters ORDER BY load_id, shard, source_offset")

    def contents(self) -> list[dict[str, Any]]:
        """Return the rows without what differs between two loads of the same records."""
        passing = ("_loaded_at", "_genesys_export_id", "_genesys_submitted_at")
        return [{name: value for name, value in row.items() if name not in passing} for row in self.rows()]

    def close(self) -> None:
        for connection in (*self.connections, *([self._looking] if self._looking else [])):
            connection.close()

    def _look(self) -> psycopg.Connection[dict[str, Any]]:
        """Connect once: to connect takes longer than most statements."""
        if self._looking is None or self._looking.closed:
            self._looking = psycopg.connect(self.dsn, autocommit=True, row_factory=dict_row, prepare_threshold=None)
        return self._looking


def write_all(sink: PostgresSink, batches: Iterable[Batch]) -> Checkpoint:
    """Write all batches; return the last checkpoint."""
    last = [sink.write(batch) for batch in batches][-1]
    while committed := sink.flush():
        last = committed
    assert last is not None
    return last


def counts(read: int, *, dead_letters: int = 0, duplicates: int = 0) -> Counts:
    """Return the account in which everything else is written."""
    return Counts(read, read - dead_letters - duplicates, dead_letters, duplicates)
