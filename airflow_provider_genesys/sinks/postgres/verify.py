"""Reads finished loads of a PostgreSQL table back and compares them with their certificates.

The ledger has a row for each load. The table has to hold as many rows of the load as its certificate says, except the
rows that newer loads took over. The ledger counts those.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from zlib import crc32

import msgspec
from psycopg import sql

from airflow_provider_genesys.contracts.column import snake_case
from airflow_provider_genesys.contracts.contract import built_in_names, resolve
from airflow_provider_genesys.exceptions import AccountError, ConfigurationError
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import DIGEST_RANGE
from airflow_provider_genesys.sinks.postgres.encoding import restored
from airflow_provider_genesys.sinks.postgres.session import in_known_form
from airflow_provider_genesys.sinks.postgres.tables.columns import (
    CONTRACT,
    EXPORT,
    LOADED,
    OFFSET,
    ORDINAL,
    SHARD,
    name_of_child,
)

if TYPE_CHECKING:
    from psycopg import Connection

_STEP = 10_000
"""Rows that are fetched at once."""
_LOADS = """
SELECT load_id, shard, certificate, begun_at, child_rows FROM {ledger}
WHERE target = %(target)s AND state = 'complete' AND (%(load_id)s::text IS NULL OR load_id = %(load_id)s)
ORDER BY window_start, load_id, shard
"""
# One statement sees one snapshot: a load that takes rows over counts them in the same transaction.
_HELD = """
SELECT (SELECT count(*) FROM {table} WHERE {export} = %(export_id)s AND {shard} = %(shard)s
        AND {contract} = %(contract)s AND {loaded} >= %(begun_at)s),
    (SELECT coalesce(sum((taken_over ->> %(source)s)::bigint), 0)::bigint FROM {ledger} WHERE target = %(target)s),
    (SELECT count(*) FROM {letters} WHERE load_id = %(load_id)s AND target = %(target)s AND shard = %(shard)s),
    (SELECT count(*) FROM {letters} WHERE load_id = %(load_id)s AND target = %(target)s AND shard = %(shard)s
        AND state = 'replayed')
"""
# The record's key is the column of the child's key that is not its ordinal.
_CHILD_KEY = """
SELECT min(a.attname) FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
WHERE i.indrelid = to_regclass(%(child)s) AND i.indisunique AND a.attname <> %(ordinal)s AND i.indnatts = 2
"""
_CHILD_ROWS = """
SELECT count(*) FROM {child} WHERE {key} IN (
    SELECT {key} FROM {table} WHERE {export} = %(export_id)s AND {shard} = %(shard)s AND {contract} = %(contract)s
        AND {loaded} >= %(begun_at)s
)
"""
_KEYS = "SELECT {key}, {offset} FROM {table} WHERE {export} = %(export_id)s AND {shard} = %(shard)s"


@dataclass(frozen=True)
class VerifiedRows:
    """The result for one load. ``problems`` is empty if the load matches its certificate.

    ``child_rows`` are those of all child tables; None where they were not compared, as letters were replayed.
    ``taken_over`` rows belong to newer loads now. ``letters_gone`` dead letters are no longer there: that is no
    problem, since they may be removed earlier than rows. ``digest`` says whether the digest was compared, too.
    """

    location: str
    certificate: Certificate
    rows: int
    child_rows: int | None
    taken_over: int
    letters_gone: int
    digest: bool
    problems: tuple[str, ...]

    @property
    def measured(self) -> str:
        """What was compared, for people."""
        taken = f", {self.taken_over:,} more belong to newer loads" if self.taken_over else ""
        digest = "the digest of ids and offsets is " + ("compared" if self.digest else "not compared")
        children = f", {self.child_rows:,} child rows" if self.child_rows else ""
        return f"{self.rows:,} rows{children}{taken}, {digest}"


@dataclass(frozen=True)
class TablePlace:
    """A table, as a certificate's location names it."""

    database: str
    schema: str
    table: str


_PLACE = re.compile(r"postgresql://(.*?:\d+|[^/]*)/(?P<database>[^/]+)/(?P<table>.+)", re.DOTALL)
"""Where the server is reached by a socket, its host is the path of a folder."""


def place_of(url: str) -> TablePlace:
    """Return the table that ``postgresql://host:port/database/schema.table`` names.

    :raises ConfigurationError: it names none.
    """
    found = _PLACE.fullmatch(unquote(url))
    schema, _, table = found["table"].rpartition(".") if found else ("", "", "")
    if not found or not schema or not table:
        raise ConfigurationError(f"{url!r:.300} is no table. Give it as postgresql://host:port/database/schema.table.")
    return TablePlace(found["database"], schema, table)


def verify_table(
    connect: Callable[[], Connection[Any]],
    url: str,
    load_id: str | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> list[VerifiedRows]:
    """Compare every finished load of the table at ``url``, or one of them, with its certificate.

    :param progress: is called with the number of rows that were read and of all rows to read.
    :raises ConfigurationError: the connection leads to another database.
    """
    place = place_of(url)
    with closing(in_known_form(connect())) as connection:
        if connection.info.dbname != place.database:
            raise ConfigurationError(
                f"The connection leads to the database {connection.info.dbname!r}, and {url!r:.300} names "
                f"{place.database!r}. Give the connection that the load used."
            )
        loads = list(_Loads(connection, place, url).found(load_id))
        whole, done = sum(load.certificate.counts.written for load in loads), 0
        results = []
        for load in loads:
            results.append(load.verified())
            done += load.certificate.counts.written
            progress(done, whole)
        return results


class _Loads:
    """The finished loads of one table."""

    def __init__(self, connection: Connection[Any], place: TablePlace, url: str) -> None:
        self.connection = connection
        self.target = f"{place.schema}.{place.table}"
        self.url = url
        self.place = place
        self.names = {
            "ledger": sql.Identifier(place.schema, "genesys_ledger"),
            "letters": sql.Identifier(place.schema, "genesys_dead_letters"),
            "table": sql.Identifier(place.schema, place.table),
            "export": sql.Identifier(EXPORT.name),
            "shard": sql.Identifier(SHARD.name),
            "contract": sql.Identifier(CONTRACT.name),
            "loaded": sql.Identifier(LOADED.name),
            "offset": sql.Identifier(OFFSET.name),
        }

    def found(self, load_id: str | None) -> Iterator[_Load]:
        given = {"target": self.target, "load_id": load_id}
        with self.connection.cursor() as cursor:
            rows = cursor.execute(sql.SQL(_LOADS).format(**self.names), given).fetchall()
            for found_id, shard, certificate, begun_at, child_rows in rows:
                known = msgspec.convert(restored(cursor, certificate), Certificate)
                yield _Load(self, found_id, shard, known, begun_at, restored(cursor, child_rows))


@dataclass(frozen=True)
class _Load:
    of: _Loads
    load_id: str
    shard: int
    certificate: Certificate
    begun_at: datetime
    child_rows: dict[str, int]

    def verified(self) -> VerifiedRows:
        counts = self.certificate.counts
        given = {
            "export_id": self.certificate.export_id,
            "shard": self.shard,
            "contract": self.certificate.contract,
            "begun_at": self.begun_at,
            "source": f"{self.certificate.export_id}/{self.shard}",
            "target": self.of.target,
            "load_id": self.load_id,
        }
        statement = sql.SQL(_HELD).format(**self.of.names)
        [(present, taken, letters, replayed)] = self.of.connection.execute(statement, given).fetchall()
        problems = [*self._account()]
        if not counts.written - taken <= present <= counts.written + replayed:
            problems.append(
                f"the table holds {present:,} rows of the load; {counts.written:,} were written, and newer loads took "
                f"over at most {taken:,}"
            )
        if letters > counts.dead_letters:
            problems.append(f"there are {letters:,} dead letters, and the certificate counts {counts.dead_letters:,}")
        # A replay brings children, and may replace others, which nobody counts.
        children = {} if replayed else {child: self._held_of(child, given) for child in self.child_rows}
        problems += self._wrong(children, exact=not taken)
        key = self._key() if (present, letters, counts.duplicates) == (counts.written, 0, 0) else None
        if key and (digest := self._digest(key, given)) != self.certificate.digest:
            problems.append(f"the ids and offsets of the rows have the digest {digest}, not {self.certificate.digest}")
        return VerifiedRows(
            location=self.of.url,
            certificate=self.certificate,
            rows=present,
            child_rows=None if replayed else sum(held or 0 for held in children.values()),
            taken_over=max(counts.written - present, 0),
            letters_gone=max(counts.dead_letters - letters, 0),
            digest=bool(key),
            problems=tuple(problems),
        )

    def _account(self) -> Iterator[str]:
        counts = self.certificate.counts
        if counts.read != counts.written + counts.dead_letters + counts.duplicates:
            yield f"the account does not close: {counts}"

    def _held_of(self, child: str, given: dict[str, Any]) -> int | None:
        """Return how many rows of the load a child's table holds; None if there is no such table."""
        table = sql.Identifier(self.of.place.schema, name_of_child(self.of.place.table, child))
        connection = self.of.connection
        which = {"child": table.as_string(), "ordinal": ORDINAL}
        ((key,),) = connection.execute(_CHILD_KEY, which).fetchall()
        if key is None:
            return None
        names = {**self.of.names, "child": table, "key": sql.Identifier(key)}
        ((held,),) = connection.execute(sql.SQL(_CHILD_ROWS).format(**names), given).fetchall()
        return int(held)

    def _wrong(self, children: dict[str, int | None], *, exact: bool) -> Iterator[str]:
        for child, held in children.items():
            due = self.child_rows[child]
            if held is None:
                yield f"the table of the child {child!r} is not there, or its key is another one"
            elif held > due or (exact and held < due):
                yield f"the table of the child {child!r} holds {held:,} rows of the load; {due:,} were written"

    def _key(self) -> str | None:
        """Return the column with the records' ids, if the contract is one of ours and keeps them as they are."""
        kind = self.certificate.kind
        contract = resolve(None, kind=kind) if kind in built_in_names() else None
        if contract is None or str(contract) != self.certificate.contract or self.certificate.evolved:
            return None
        [key] = [column for column in contract.columns if column.name == contract.key]
        return snake_case(key.name) if (key.type, key.pii) == ("string", "keep") else None

    def _digest(self, key: str, given: dict[str, Any]) -> str:
        total = 0
        statement = sql.SQL(_KEYS).format(key=sql.Identifier(key), **self.of.names)
        with self.of.connection.cursor("genesys_verify") as cursor:
            cursor.itersize = _STEP
            for found, offset in cursor.execute(statement, given):
                total += crc32(found.encode(), offset)
        return f"{total % DIGEST_RANGE:016x}"


def one_of(found: list[VerifiedRows], load_id: str, shard: int, url: str) -> VerifiedRows:
    """Return the result of one load.

    :raises AccountError: the table's ledger does not have the load as complete.
    """
    for one in found:
        own = one.certificate.shard
        if (one.certificate.load_id, own.number if own else 0) == (load_id, shard):
            return one
    raise AccountError(f"{url} has no finished load {load_id}: it is loaded again, or somebody removed its ledger.")
