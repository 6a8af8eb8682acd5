"""Where loads are: a table of PostgreSQL, or a folder of an object store, with their ledgers and dead letters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from airflow_provider_genesys.hooks.object_store import is_folder_url, open_folder

if TYPE_CHECKING:
    from airflow_provider_genesys.stores.base import ObjectStore

PlaceArgument = Annotated[
    str,
    typer.Argument(
        help="Where the loads are: schema.table, s3://bucket/prefix, az://container/prefix or gs://bucket/prefix."
    ),
]
PlaceConnection = Annotated[
    str | None,
    typer.Option(
        help="The Airflow connection to it. [default: postgres_default, aws_default, wasb_default or "
        "google_cloud_default]"
    ),
]
ListedRow = dict[str, Any]

_LEDGER = """
SELECT load_id, shard, state, kind, window_start, window_end, export_id, contract, run_id, attempts,
    certificate -> 'counts' AS counts, begun_at, completed_at, certificate
FROM {} WHERE target = %s ORDER BY window_start DESC, load_id, shard
"""
_LETTERS = "SELECT * FROM {} WHERE target = %s AND (%s::text IS NULL OR load_id = %s) ORDER BY load_id, source_offset"


def open_place(place: str, conn_id: str | None) -> LoadedTable | LoadedFolder:
    """Return what ``place`` names.

    :raises ConfigurationError: it names nothing.
    """
    if is_folder_url(place):
        store, folder = open_folder(place, conn_id)
        return LoadedFolder(store, folder)
    schema, _, table = place.rpartition(".")
    return LoadedTable(schema or "public", table, conn_id or "postgres_default")


@dataclass(frozen=True)
class LoadedTable:
    """A table of PostgreSQL."""

    schema: str
    name: str
    conn_id: str

    def loads(self) -> Iterator[ListedRow]:
        """Yield every load in the ledger, the newest window first."""
        yield from self._rows(_LEDGER, "genesys_ledger", f"{self.schema}.{self.name}")

    def letters(self, load_id: str | None = None) -> Iterator[ListedRow]:
        """Yield the dead letters, of one load or of all."""
        yield from self._rows(_LETTERS, "genesys_dead_letters", f"{self.schema}.{self.name}", load_id, load_id)

    def _rows(self, query: str, table: str, *values: Any) -> Iterator[ListedRow]:
        from psycopg import sql
        from psycopg.rows import dict_row

        from airflow_provider_genesys.hooks.clients import connect

        name = sql.Identifier(self.schema, table)
        with closing(connect(self.conn_id)) as connection:
            there = connection.execute("SELECT to_regclass(%s)", [name.as_string()]).fetchone()
            if there == (None,):
                return
            # A server-side cursor, since there may be millions of dead letters.
            with connection.cursor("genesys", row_factory=dict_row) as cursor:
                yield from cursor.execute(sql.SQL(query).format(name), values)


@dataclass(frozen=True)
class LoadedFolder:
    """A prefix of an object store."""

    store: ObjectStore
    prefix: str

    def loads(self) -> Iterator[ListedRow]:
        """Yield every load in the ledgers below the prefix, the newest window first."""
        from airflow_provider_genesys.sinks.objects.ledger import Entry, newest_entries

        def row(shard: int, entry: Entry) -> ListedRow:
            counts = entry.checkpoint.counts if entry.checkpoint else None
            names = ("load_id", "state", "kind", "window_start", "window_end", "export_id", "contract", "run_id")
            facts = {name: getattr(entry, name) for name in names}
            figures = {"attempts": entry.attempts, "counts": vars(counts) if counts else None}
            return {**facts, **figures, "shard": shard, "written_at": entry.written_at, "parts": len(entry.parts)}

        rows = [row(shard, entry) for shard, entry in newest_entries(self.store, self.prefix)]
        yield from sorted(rows, key=lambda one: (one["window_start"] or "", one["load_id"]), reverse=True)

    def letters(self, load_id: str | None = None) -> Iterator[ListedRow]:
        """Yield the dead letters that ledgers list, of one load or of all."""
        from airflow_provider_genesys.sinks.objects.dead_letters import letters_in
        from airflow_provider_genesys.sinks.objects.ledger import newest_entries

        for _, entry in newest_entries(self.store, self.prefix):
            if load_id in (None, entry.load_id):
                for part in entry.dead_letters:
                    for some in letters_in(self.store, part):
                        yield from some
