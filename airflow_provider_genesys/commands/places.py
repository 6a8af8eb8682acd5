"""Where loads are: a table of PostgreSQL, or a folder of an object store, with their ledgers and dead letters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from airflow_provider_genesys.commands.patience import RETRIES, waiting_for
from airflow_provider_genesys.exceptions import AccountError, ConfigurationError, SinkError
from airflow_provider_genesys.hooks.object_store import is_folder_url, open_folder
from airflow_provider_genesys.outside import shown

if TYPE_CHECKING:
    import psycopg

    from airflow_provider_genesys.sinks.objects.ledger import Entry
    from airflow_provider_genesys.sinks.objects.parts import Part
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
# As JSON, for PostgreSQL has times that Python has not.
_LETTERS = """
SELECT row_to_json(d) AS letter FROM {} AS d WHERE target = %s AND (%s::text IS NULL OR load_id = %s)
ORDER BY load_id, source_offset
"""


def open_place(place: str, conn_id: str | None) -> LoadedTable | LoadedFolder:
    """Return what ``place`` names.

    :raises ConfigurationError: it names nothing.
    """
    if is_folder_url(place):
        store, folder = open_folder(place, conn_id, retries=RETRIES)
        return LoadedFolder(store, folder)
    if place.startswith("postgresql://"):
        from airflow_provider_genesys.sinks.postgres.verify import place_of

        named = place_of(place)
        return LoadedTable(named.schema, named.table, conn_id or "postgres_default")
    schema, _, table = place.rpartition(".")
    if not table.strip() or "/" in place or not place.isprintable():
        raise ConfigurationError(
            f"{shown(place)!r} names no place. Give schema.table, s3://bucket/prefix, az://container/prefix or "
            "gs://bucket/prefix."
        )
    return LoadedTable(schema or "public", table, conn_id or "postgres_default")


def reach(postgres_conn_id: str) -> psycopg.Connection:
    """Connect to PostgreSQL, and say so if it takes long."""
    from airflow_provider_genesys.hooks.clients import connect

    with waiting_for(f"PostgreSQL, connection {postgres_conn_id}"):
        return connect(postgres_conn_id)


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
        """Yield the dead letters, of one load or of all, with times as ISO 8601 text."""
        for row in self._rows(_LETTERS, "genesys_dead_letters", f"{self.schema}.{self.name}", load_id, load_id):
            yield row["letter"]

    def _rows(self, query: str, table: str, *values: Any) -> Iterator[ListedRow]:
        from psycopg import sql
        from psycopg.rows import dict_row

        name = sql.Identifier(self.schema, table)
        with closing(reach(self.conn_id)) as connection:
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
        """Yield every load in the ledgers below the prefix, the newest window first.

        :raises CheckpointError: an entry cannot be read; raised behind the others.
        """

        def row(shard: int, entry: Entry) -> ListedRow:
            counts = entry.checkpoint.counts if entry.checkpoint else None
            names = ("load_id", "state", "kind", "window_start", "window_end", "export_id", "contract", "run_id")
            facts = {name: getattr(entry, name) for name in names}
            figures = {"attempts": entry.attempts, "counts": vars(counts) if counts else None}
            return {**facts, **figures, "shard": shard, "written_at": entry.written_at, "parts": len(entry.parts)}

        unread: list[SinkError | AccountError] = []
        rows = [row(shard, entry) for shard, entry in self._entries(unread)]
        yield from sorted(rows, key=lambda one: (one["window_start"] or "", one["load_id"]), reverse=True)
        _raise_first(unread)

    def letters(self, load_id: str | None = None) -> Iterator[ListedRow]:
        """Yield the dead letters that ledgers list, of one load or of all.

        Objects that are gone are left out, since old dead letters may be removed.

        :raises AccountError: an object does not hold the letters that its ledger says; raised behind the others.
        :raises CheckpointError: the same, of an entry of a ledger.
        """
        unread: list[SinkError | AccountError] = []
        for _, entry in self._entries(unread):
            for part in entry.dead_letters if load_id in (None, entry.load_id) else ():
                yield from self._letters_in(part, unread)
        _raise_first(unread)

    def _letters_in(self, part: Part, unread: list[SinkError | AccountError]) -> Iterator[ListedRow]:
        from airflow_provider_genesys.sinks.objects.dead_letters import letters_in

        if self.store.read(part.key, 0, 1) is None:
            return
        try:
            for some in letters_in(self.store, part):
                yield from some
        except AccountError as error:
            unread.append(error)

    def _entries(self, unread: list[SinkError | AccountError]) -> Iterator[tuple[int, Entry]]:
        from airflow_provider_genesys.sinks.objects.ledger import newest_entries

        with waiting_for(self.store.url):
            yield from newest_entries(self.store, self.prefix, unread.append)


def _raise_first(unread: list[SinkError | AccountError]) -> None:
    if unread:
        first, *others = unread
        raise type(first)(f"{first} {len(others)} others cannot be read either." if others else str(first))
