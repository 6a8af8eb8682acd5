"""Child tables: their rows are replaced together with their record, in the same transaction.

Whose rows they are is decided by the record's own row: only where that is the one just written, its children take the
place of those that are there. So a segment that Genesys has removed goes, and an older export that comes late changes
nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from psycopg import sql

from airflow_provider_genesys.contracts.child import Child
from airflow_provider_genesys.contracts.child_rows import ChildRows
from airflow_provider_genesys.contracts.column import snake_case
from airflow_provider_genesys.contracts.column_rows import values_at
from airflow_provider_genesys.exceptions import AccountError, ConfigurationError
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.sinks.postgres.session import Cursor
from airflow_provider_genesys.sinks.postgres.tables.columns import (
    CONTRACT,
    EXPORT,
    LOADED,
    OFFSET,
    ORDINAL,
    SHARD,
    TYPES,
    child_column_names,
    child_name,
)
from airflow_provider_genesys.sinks.postgres.tables.relation import RowsKeptOut, check_relation, what_keeps_out
from airflow_provider_genesys.sinks.postgres.tables.schema import (
    check_filled,
    check_present,
    columns_of,
    create_table,
    ensure,
)
from airflow_provider_genesys.sinks.postgres.tables.types import check_exact

_WRITTEN = """
SELECT t.{key}::text, t.{offset} FROM {target} AS t
JOIN unnest(%s::{kind}[], %s::bigint[]) AS s (key, place) ON t.{key} = s.key AND t.{offset} = s.place
WHERE t.{export} = %s AND t.{shard} = %s
"""
_DELETE = """
WITH gone AS (DELETE FROM {child} WHERE {key} = ANY (%s::{kind}[]) RETURNING {key})
SELECT count(*) FROM gone WHERE {key}::text = ANY (%s)
"""
_COUNT = """
SELECT count(*) FROM {child} WHERE {key} IN (
    SELECT {key} FROM {target} WHERE {export} = %(export)s AND {shard} = %(shard)s AND {contract} = %(contract)s
        AND {loaded} >= %(begun_at)s
)
"""
_TOGETHER = 20  # records whose child rows are made at a time: few enough for the processor's cache
_COPY = "COPY {child} ({columns}) FROM STDIN"


class Children:
    """The child tables of one table.

    :param children: of the load's contract; none for no tables.
    """

    def __init__(self, schema: str, table: str, load: Load, children: Sequence[Child]) -> None:
        contract = load.contract
        place = contract.index(contract.key)
        self._load = load
        self._place = place
        self._key = snake_case(contract.key)
        self._kind = TYPES[contract.columns[place].type]
        self._names = {
            "target": sql.Identifier(schema, table),
            "key": sql.Identifier(self._key),
            "kind": sql.SQL(self._kind),
            "offset": sql.Identifier(OFFSET.name),
            "contract": sql.Identifier(CONTRACT.name),
            "loaded": sql.Identifier(LOADED.name),
            "export": sql.Identifier(EXPORT.name),
            "shard": sql.Identifier(SHARD.name),
        }
        self._own = {child: child_column_names(contract, child) for child in children}
        self._tables = [(child, sql.Identifier(schema, child_name(table, child, contract))) for child in children]
        self._made = {child.name: ChildRows(child) for child in children}
        self._sources = {column.path: index for index, column in enumerate(contract.columns)}

    def prepare(self, cursor: Cursor, *, create: bool) -> None:
        """Create missing tables, and run every statement on no rows.

        :raises SinkRefusedError: one is missing and cannot be created; the message holds the SQL.
        """
        for child, table in self._tables:
            check_relation(cursor, table, deletes=True)
            present = ensure(cursor, table, self._definition(child, table), create=create)
            given = self._given(child)
            check_present(table, {name: sql.SQL(kind) for name, kind in given.items() if name not in present})
            check_filled(table, present, given)
        self.check_types(cursor)
        self.replace(cursor, [], [], rehearse=True)

    def check_types(self, cursor: Cursor) -> None:
        """Check that the tables can hold every value.

        :raises SinkRefusedError: one cannot; the message holds the SQL.
        """
        for child, table in self._tables:
            check_exact(cursor, table, self._given(child))

    def replace(
        self,
        cursor: Cursor,
        rows: Sequence[tuple[Any, ...]],
        offsets: Sequence[int],
        renewed: Sequence[str] = (),
        *,
        rehearse: bool = False,
    ) -> Counter[str]:
        """Replace the children of those ``rows``, at ``offsets``, that the table now holds.

        :param renewed: ids of the rows that took the place of rows of the same load.
        :returns: by child, how many rows of the load there are more now.
        :raises RowsKeptOut: a trigger or a policy has kept child rows out.
        """
        more: Counter[str] = Counter()
        if not self._tables:
            return more
        keys = [row[self._place] for row in rows]
        written = set(
            cursor.execute(
                sql.SQL(_WRITTEN).format(**self._names), [keys, list(offsets), self._load.export_id, self._load.shard]
            ).fetchall()
        )
        held = [row for row, key, at in zip(rows, keys, offsets, strict=True) if (key, at) in written]
        if not held and not rehearse:
            return more
        for child, table in self._tables:
            names = {**self._names, "child": table, "columns": self._columns(child)}
            keys = [row[self._place] for row in held]
            ((gone,),) = cursor.execute(sql.SQL(_DELETE).format(**names), [keys, list(renewed)]).fetchall()
            sent = 0
            with cursor.copy(sql.SQL(_COPY).format(**names)) as copy:
                for sent, values in enumerate(self._rows(child, held), 1):  # noqa: B007 - their number is used below
                    copy.write_row(values)
            if cursor.rowcount != sent:
                what = what_keeps_out(cursor, table) or "Something about"
                raise RowsKeptOut(table, sent - cursor.rowcount, sent, what)
            more[child.name] = sent - gone
        return more

    def check(self, cursor: Cursor, lineage: dict[str, Any], written: Mapping[str, int], *, exact: bool) -> None:
        """Compare the number of child rows with what the load has written.

        :param lineage: that of the load; see :func:`.postgres.upsert.lineage`.
        :param written: see :attr:`.postgres.held.HeldRow.child_rows`.
        :param exact: whether no other load has taken rows over, with their children.
        :raises AccountError: rows are missing, or there are more.
        """
        for child, table in self._tables:
            names = {**self._names, "child": table}
            ((present,),) = cursor.execute(sql.SQL(_COUNT).format(**names), lineage).fetchall()
            due = written.get(child.name, 0)
            if present > due or (exact and present < due):
                what = what_keeps_out(cursor, table)
                who = f"{what} the table, or somebody else," if what else "Somebody else"
                raise AccountError(
                    f"Export {lineage['export']}: {due} rows were written to {table.as_string()}, but it holds "
                    f"{present} of them. {who} writes or deletes rows there. "
                    "Clear the task with on_clear='restart' to load the export again."
                )

    def _given(self, child: Child) -> dict[str, str]:
        """Return the columns of the child's table, with their types."""
        own = zip(self._own[child], (TYPES[column.type] for column in child.columns), strict=True)
        return {self._key: self._kind, ORDINAL: "integer", **dict(own)}

    def _rows(self, child: Child, rows: Sequence[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        source = self._sources[child.source]
        for begin in range(0, len(rows), _TOGETHER):
            some = rows[begin : begin + _TOGETHER]
            owners, columns = self._made[child.name].columns(values_at(some, source))
            yield from zip([some[place][self._place] for place in owners], *columns, strict=True)

    def _columns(self, child: Child) -> sql.Composed:
        return sql.SQL(", ").join([self._names["key"], *map(sql.Identifier, [ORDINAL, *self._own[child]])])

    def _definition(self, child: Child, table: sql.Identifier) -> sql.Composed:
        key, ordinal = self._names["key"], sql.Identifier(ORDINAL)
        columns = [sql.SQL("{} {} NOT NULL").format(key, self._names["kind"]), sql.SQL("{} integer").format(ordinal)]
        for name, column in zip(self._own[child], child.columns, strict=True):
            columns.append(sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(TYPES[column.type])))
        columns.append(sql.SQL("PRIMARY KEY ({}, {})").format(key, ordinal))
        return create_table(table, columns)


def children_of(schema: str, table: str, load: Load, modes: tuple[str, str] | None) -> Children:
    """Return the child tables of a load.

    :param modes: how rows are written and published; None for no child tables, even if the contract has children.
    :raises ConfigurationError: children cannot be written in these modes.
    """
    children = load.contract.children if modes else ()
    if children and modes != ("upsert", "batches"):
        raise ConfigurationError(
            f"The contract {load.contract.name} has child tables, which are written batch by batch. Set "
            "child_tables=False (their content is in the json columns, too), or write_mode='upsert' and "
            "publish='batches'."
        )
    return Children(schema, table, load, children)


def children_there(cursor: Cursor, schema: str, table: str, load: Load) -> Children:
    """Return the child tables of a load that exist: a replay creates none.

    :raises SinkRefusedError: one cannot hold every value; the message holds the SQL.
    """
    contract = load.contract
    names = {child: sql.Identifier(schema, child_name(table, child, contract)) for child in contract.children}
    found = Children(schema, table, load, [child for child, name in names.items() if columns_of(cursor, name)])
    found.check_types(cursor)
    return found
