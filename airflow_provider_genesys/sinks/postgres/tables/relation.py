"""What has the name of a table, and what may keep rows out of it: rules, triggers, policies."""

from __future__ import annotations

import psycopg
from psycopg import sql

from airflow_provider_genesys.exceptions import SinkRefusedError
from airflow_provider_genesys.sinks.postgres.session import Cursor

_KIND = """
SELECT relkind::text, EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhparent = c.oid)
FROM pg_catalog.pg_class AS c WHERE c.oid = to_regclass(%s)
"""
_TABLES = {"r", "p"}
_OTHERS = {
    "v": "a view",
    "m": "a materialized view",
    "f": "a foreign table",
    "S": "a sequence",
    "i": "an index",
    "I": "an index",
    "c": "a composite type",
}
# COPY passes them by, so that rows would be treated now one way, now another. ON CONFLICT refuses disabled ones, too.
_RULES = "SELECT rulename FROM pg_catalog.pg_rewrite WHERE ev_class = to_regclass(%s) AND ev_type = ANY (%s)"
_EVENTS = {"UPDATE": "2", "INSERT": "3", "DELETE": "4"}
# A partition may have triggers that its table lacks.
_TRIGGERS = """
SELECT DISTINCT tgname::text FROM pg_catalog.pg_trigger
WHERE NOT tgisinternal AND tgenabled IN ('O', 'A') AND tgtype & %(bits)s = %(bits)s AND tgrelid IN (
    SELECT to_regclass(%(table)s) UNION ALL SELECT relid FROM pg_catalog.pg_partition_tree(to_regclass(%(table)s))
) ORDER BY 1
"""
_BEFORE_EACH_ROW = 3
_POLICIES = "SELECT row_security_active(to_regclass(%s)::oid)"


class RowsKeptOut(psycopg.DataError):
    """A trigger or a policy has kept rows from being written as they are, without an error.

    :param count: how many of ``of`` rows.
    :param what: see :func:`what_keeps_out`.
    """

    def __init__(self, table: sql.Identifier, count: int, of: int, what: str) -> None:
        self.where = f"{what} {table.as_string()}"
        self.all_of_several = count == of > 1
        super().__init__(
            f"{self.where} keeps {count} of {of} rows out or changes their keys or lineage, without an error. Disable "
            "it for this load, or let it raise an exception for rows that are not wanted"
        )


def check_relation(cursor: Cursor, table: sql.Identifier, *, deletes: bool = False) -> None:
    """Check that rows which are written to ``table`` arrive there, if it exists.

    :param deletes: rows of it are deleted, too.
    :raises SinkRefusedError: it is not a table, or has rules, or tables that inherit from it.
    """
    for kind, is_parent in cursor.execute(_KIND, [table.as_string()]).fetchall():
        if kind not in _TABLES:
            raise SinkRefusedError(
                f"{table.as_string()} is {_OTHERS.get(kind, 'something else')}, and a load writes to tables only. Name "
                "the table itself, or a name that is not taken: the load then creates the table."
            )
        if kind == "r" and is_parent:
            raise SinkRefusedError(
                f"Other tables inherit from {table.as_string()}, and no unique key holds over all of them: a record "
                "could be there twice. Load into a table from which none inherits, or into one with partitions "
                "(PARTITION BY)."
            )
    events = [number for event, number in _EVENTS.items() if event != "DELETE" or deletes]
    if rules := [name for (name,) in cursor.execute(_RULES, [table.as_string(), events]).fetchall()]:
        statements = [sql.SQL("DROP RULE {} ON {}").format(sql.Identifier(name), table) for name in rules]
        raise SinkRefusedError(
            f"The table {table.as_string()} has rules that rewrite what a load does there: {', '.join(rules)}. Use a "
            f"trigger instead, and run: {sql.SQL('; ').join(statements).as_string()};"
        )


def is_watched(cursor: Cursor, table: sql.Identifier) -> bool:
    """Return whether a trigger may drop or change rows before they are written."""
    return bool(_triggers(cursor, table, _BEFORE_EACH_ROW))


def what_keeps_out(cursor: Cursor, table: sql.Identifier) -> str:
    """Return what may keep rows out of ``table`` without an error, to stand before its name; empty for nothing."""
    if triggers := _triggers(cursor, table):
        return f"The trigger {' or '.join(triggers)} of"
    return "A policy of" if cursor.execute(_POLICIES, [table.as_string()]).fetchall() == [(True,)] else ""


def _triggers(cursor: Cursor, table: sql.Identifier, bits: int = 0) -> list[str]:
    """Return the names of the triggers that fire. ``bits`` of ``pg_trigger.tgtype`` have to be set."""
    return [name for (name,) in cursor.execute(_TRIGGERS, {"table": table.as_string(), "bits": bits}).fetchall()]
