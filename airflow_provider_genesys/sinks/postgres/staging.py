"""``publish="atomic"``: a load lands in a separate table beside the target, and is published in one transaction."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any, Literal

import psycopg
from psycopg import sql

from airflow_provider_genesys.exceptions import AccountError, SinkRefusedError
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.sinks.postgres.errors import describe, is_of_a_row
from airflow_provider_genesys.sinks.postgres.session import Cursor
from airflow_provider_genesys.sinks.postgres.tables.relation import RowsKeptOut
from airflow_provider_genesys.sinks.postgres.tables.target import Target
from airflow_provider_genesys.sinks.postgres.tables.types import InexactValue, inexact
from airflow_provider_genesys.sinks.postgres.upsert import Landed, Upsert

Publish = Literal["batches", "atomic"]

# Checks of a single row happen when it lands; checks against other rows happen when the load is published.
_CREATE = """
CREATE TABLE {staging} (
    LIKE {target} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING IDENTITY, PRIMARY KEY ({keys})
);
COMMENT ON TABLE {staging} IS {about}
"""


class Staging:
    """The table beside the target that one load with ``publish="atomic"`` fills."""

    def __init__(self, schema: str, table: str, load: Load) -> None:
        self._load = load
        self._target = f"{schema}.{table}"
        digest = hashlib.sha256(f"{load.load_id} {load.shard} {table}".encode()).hexdigest()[:16]
        self.identifier = sql.Identifier(schema, f"genesys_staging_{digest}")

    def exists(self, cursor: Cursor) -> bool:
        """Return whether an earlier attempt left the table."""
        return cursor.execute("SELECT to_regclass(%s)", [self.identifier.as_string()]).fetchall() != [(None,)]

    def create(self, cursor: Cursor, target: Target) -> None:
        """Make it, with the target's columns.

        :raises SinkRefusedError: the role may not create tables in the schema.
        """
        about = f"Load {self._load.load_id} of export {self._load.export_id} until it is published in {self._target}"
        names = {
            "staging": self.identifier,
            "target": target.identifier,
            "keys": sql.SQL(", ").join(map(sql.Identifier, target.key)),
            "about": sql.Literal(about),
        }
        try:
            cursor.execute(sql.SQL(_CREATE).format(**names))
        except psycopg.errors.InsufficientPrivilege:
            schema = self.identifier.as_string().partition(".")[0]
            raise SinkRefusedError(
                "publish='atomic' loads into a table beside the target, and the role may not create it. Have somebody "
                f"who may run: GRANT CREATE ON SCHEMA {schema} TO <role>;"
            ) from None

    def drop(self, cursor: Cursor) -> None:
        """Remove it, where it is."""
        cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(self.identifier))

    def in_place_of(self, target: Target) -> Target:
        """Return what batches are written to."""
        return replace(target, identifier=self.identifier, watched=False)

    def publish(
        self, cursor: Cursor, target: Target, lineage: dict[str, Any], *, written: int, overtaken: bool
    ) -> Landed:
        """Upsert the whole load into ``target``, and drop the table.

        :param written: how many rows the load's batches have put here.
        :param overtaken: see :meth:`Upsert.run`.
        :raises AccountError: it does not hold that many rows.
        :raises SinkRefusedError: the target's constraints refuse a row, or its types would change a value.
        """
        ((held,),) = cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(self.identifier)).fetchall()
        if held != written:
            raise AccountError(
                f"Export {self._load.export_id}: {written} rows were loaded into {self.identifier.as_string()}, to be "
                f"published from there, but it holds {held}. Clear the task with on_clear='restart' to load them again."
            )
        cursor.execute(sql.SQL("ANALYZE {}").format(self.identifier))
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        self._check_types(cursor, target)
        try:
            landed = Upsert(target, self.identifier).run(cursor, held, lineage, overtaken=overtaken)
        except psycopg.Error as error:
            if not is_of_a_row(error):
                raise
            raise self._refused(error) from None
        self.drop(cursor)
        return landed

    def _check_types(self, cursor: Cursor, target: Target) -> None:
        """Refuse what landed here before a column of the target got a type that would change it."""
        if not target.near:
            return
        [found] = cursor.execute(inexact(target.near, target.contract, self.identifier)).fetchall()
        if wrong := [column for column, differs in zip(target.near, found, strict=True) if differs]:
            raise SinkRefusedError(
                f"Export {self._load.export_id} is loaded beside {self._target}, of which columns have got other types "
                f"since: {InexactValue(wrong)}. Clear the task with on_clear='restart' to load it again."
            )

    def _refused(self, error: psycopg.Error) -> SinkRefusedError:
        why = error if isinstance(error, RowsKeptOut) else describe(error)
        return SinkRefusedError(
            f"{self._target} refuses to take export {self._load.export_id}, which is loaded beside it: "
            f"{why}. Nothing of it is visible; its rows are in {self.identifier.as_string()}. Look there "
            "for the row, change it or the constraint, then clear the task with on_clear='resume'."
        )
