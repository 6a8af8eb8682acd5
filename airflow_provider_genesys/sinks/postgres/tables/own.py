"""The tables that this package fills beside the target: the ledger and the dead letters."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.sinks.postgres.session import Cursor
from airflow_provider_genesys.sinks.postgres.tables.relation import check_relation
from airflow_provider_genesys.sinks.postgres.tables.schema import (
    check_filled,
    check_present,
    check_submission,
    create_table,
    ensure,
    listed,
    unfit,
    unique_keys,
)
from airflow_provider_genesys.sinks.postgres.tables.types import check_exact


@dataclass(frozen=True)
class OwnTable:
    """A table that this package fills beside the target.

    :param columns: their definitions, without that of the key.
    :param key: names of the columns of its primary key.
    :param more: statements that complete its creation.
    """

    identifier: sql.Identifier
    columns: tuple[str, ...]
    key: tuple[str, ...]
    more: tuple[sql.Composable, ...] = ()

    def ensure(self, cursor: Cursor, load: Load, *, create: bool) -> None:
        """Create it unless it is there, perhaps from an earlier release.

        :raises SinkRefusedError: it is missing and cannot be created, or it does not take the load.
        """
        table = self.identifier
        check_relation(cursor, table, deletes=True)
        present = ensure(cursor, table, self.definition, create=create)
        own = dict(column.split(" ", 1) for column in self.columns)
        # The rows that are there have no value: so without NOT NULL, unless there is a default.
        absent = {name: sql.SQL(_addable(definition)) for name, definition in own.items() if name not in present}
        check_present(table, absent)
        check_filled(table, present, own)
        if set(self.key) not in unique_keys(cursor, table):
            remedy = sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(table, listed(self.key))
            raise unfit(table, f"has no unique key on {', '.join(self.key)} alone", [remedy])
        check_exact(cursor, table, {name: definition.split(" ", 1)[0] for name, definition in own.items()})
        check_submission(table, load, present, "submitted_at")

    @property
    def definition(self) -> sql.Composed:
        """The statements that create it."""
        key = sql.SQL("PRIMARY KEY ({})").format(listed(self.key))
        body = create_table(self.identifier, [*map(sql.SQL, self.columns), key])
        return sql.SQL(";\n").join([body, *self.more])


def _addable(definition: str) -> str:
    return definition if " DEFAULT " in definition else definition.replace(" NOT NULL", "")
