"""A table that batches are written to.

A batch is copied into the table itself (:mod:`.postgres.straight`). Where that does not work, it is copied into a
temporary table, the stage, and upserted from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from operator import itemgetter
from typing import Any

import psycopg
from psycopg import sql

from airflow_provider_genesys.failpoints import TAKEN_BACK, failpoint
from airflow_provider_genesys.sinks.postgres.background import Sent
from airflow_provider_genesys.sinks.postgres.copying import copied, packed
from airflow_provider_genesys.sinks.postgres.errors import STAGE, is_transient
from airflow_provider_genesys.sinks.postgres.session import Connection, Cursor
from airflow_provider_genesys.sinks.postgres.straight import Ready, Straight
from airflow_provider_genesys.sinks.postgres.tables.columns import OFFSET, TYPES
from airflow_provider_genesys.sinks.postgres.tables.target import Target
from airflow_provider_genesys.sinks.postgres.tables.types import InexactValue, Near, inexact, refusing_column
from airflow_provider_genesys.sinks.postgres.upsert import Landed, Upsert

_STAGE = f"DROP TABLE IF EXISTS {{stage}}; CREATE TEMPORARY TABLE {STAGE} ({{columns}}) ON COMMIT DROP"
_COPY = "COPY {stage} FROM STDIN (FORMAT BINARY)"


class Table:
    """Writes a load's rows to one table, in the transaction of the cursor that it is given.

    :param lineage: see :func:`.postgres.upsert.lineage`.
    """

    def __init__(self, target: Target, lineage: dict[str, Any]) -> None:
        stage = sql.Identifier("pg_temp", STAGE)
        self._key = itemgetter(*map(target.own.index, target.key))
        self._types = [*(TYPES[column.type] for column in target.contract.columns), OFFSET.type]
        self._lineage = lineage
        self._upsert = Upsert(target, stage)
        self._target = target
        self._near = target.near
        self._straight = Straight(target, lineage)
        self._inexact = inexact(target.near, target.contract, stage) if target.near else None
        columns = zip([*target.own, OFFSET.name], self._types, strict=True)
        definitions = [sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in columns]
        names = {"stage": stage, "columns": sql.SQL(", ").join(definitions)}
        self._stage, self._copy = (sql.SQL(text).format(**names).as_bytes() for text in (_STAGE, _COPY))

    def rehearse(self, cursor: Cursor) -> None:
        """Run every statement on no rows: a missing right is an error before anything is downloaded."""
        self.land(cursor, [], [])
        self._upsert.settle(cursor, 0, self._lineage)

    def ready(self, connection: Connection, rows: Sequence[tuple[Any, ...]], offsets: Sequence[int]) -> Ready | None:
        """Pack rows, while the connection is in use, for the :meth:`land` of the same rows that follows.

        :return: None if they do not go straight into the table, or cannot be packed.
        """
        if not self._straight.is_due:
            return None
        with suppress(psycopg.Error):  # the long way meets the error again, and finds its row
            return self._straight.ready(connection, self._staged(rows, offsets))
        return None

    def land(
        self,
        cursor: Cursor,
        rows: Sequence[tuple[Any, ...]],
        offsets: Sequence[int],
        *,
        loaded_at: datetime | None = None,
        overtaken: bool = False,
        sent: Sent = lambda: None,
        ready: Ready | None = None,
    ) -> Landed:
        """Write ``rows``, whose records begin at ``offsets``; among duplicates of their own the newest stays.

        :param loaded_at: ``now()`` of the transaction. With it the rows may go straight into the table.
        :param overtaken: see :meth:`Upsert.run`.
        :param sent: is called when the server has all rows.
        :param ready: the rows as :meth:`ready` has packed them; None to pack them here.
        :raises InexactValue: the table would change a value.
        """
        if loaded_at and not overtaken and self._straight.is_due:
            ready = ready or self.ready(cursor.connection, rows, offsets)
            if ready and self._goes_straight(cursor, ready, loaded_at, sent):
                return Landed(ready.count, len(rows) - ready.count)
            self._straight.failed()
        landed = self._upserted(cursor, self._staged(rows, offsets), sent, overtaken=overtaken)
        return replace(landed, duplicates=len(rows) - landed.written)

    def _staged(self, rows: Sequence[tuple[Any, ...]], offsets: Sequence[int]) -> list[tuple[Any, ...]]:
        kept = newest(list(map(self._key, rows)), offsets)
        return [(*rows[place], offsets[place]) for place in kept]

    def refusing_column(self, cursor: Cursor, row: Sequence[Any]) -> Near | None:
        """Return the column whose type does not take its value of ``row``; None if there is no such column."""
        return refusing_column(cursor, self._target.identifier, self._target.contract, row)

    def _goes_straight(self, cursor: Cursor, ready: Ready, loaded_at: datetime, sent: Sent) -> bool:
        """Copy rows into the table. Return False if it refuses them; then nothing has changed."""
        cursor.execute(b"SAVEPOINT straight")
        try:
            taken = copied(cursor.connection, self._straight.copy, ready.at(loaded_at), sent)
        except psycopg.Error as error:
            if is_transient(error):
                raise
            taken = None
        if taken == ready.count:  # fewer, if a trigger has kept some out
            return True
        cursor.execute(b"ROLLBACK TO SAVEPOINT straight")
        failpoint(TAKEN_BACK)
        return False

    def _upserted(self, cursor: Cursor, rows: Sequence[tuple[Any, ...]], sent: Sent, *, overtaken: bool) -> Landed:
        cursor.execute(self._stage)
        connection = cursor.connection
        copied(connection, self._copy, packed(connection, self._types, rows), sent)
        self._check_near(cursor)
        landed = self._upsert.run(cursor, len(rows), self._lineage, overtaken=overtaken)
        self._straight.took_the_long_way(met=landed.met)
        return landed

    def _check_near(self, cursor: Cursor) -> None:
        if self._inexact:
            [found] = cursor.execute(self._inexact).fetchall()
            if wrong := [column for column, differs in zip(self._near, found, strict=True) if differs]:
                raise InexactValue(wrong)


def newest(keys: Sequence[Any], offsets: Sequence[int]) -> list[int]:
    """Return the places of the rows to keep: among equal keys, the one with the greatest offset.

    They are in the order of the keys, so that two loads which share keys insert them in the same order.
    """
    places: Iterable[int] = range(len(keys))
    if len(set(keys)) < len(keys):
        places = {keys[place]: place for place in sorted(places, key=offsets.__getitem__)}.values()
    return sorted(places, key=keys.__getitem__)
