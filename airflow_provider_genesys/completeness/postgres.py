"""Conversations of a PostgreSQL table, counted there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from airflow_provider_genesys.completeness.tally import BEGAN, EMITTED, LOOK_BACK, Cell, Tally
from airflow_provider_genesys.contracts.column import snake_case
from airflow_provider_genesys.sinks.postgres.session import Connection, Session
from airflow_provider_genesys.window import Window

_Rows = list[tuple[str, str, str, int]]
_DIVISION, _EARLIER = "division", "earlier"
_COUNTED = """
WITH conversation AS (
    SELECT {id} AS id, {start} AS began, coalesce({direction}, '') AS direction, {divisions} AS divisions,
        {start} >= %(start)s AS within, {participants} AS participants
    FROM {table} WHERE {start} >= %(earliest)s AND {start} < %(end)s
), session AS (
    SELECT id, within, direction, coalesce(s.value ->> 'mediaType', '') AS media, s.value -> 'metrics' AS metrics
    FROM conversation,
        jsonb_path_query(participants, 'lax $[*].sessions[*]') AS s(value)
)
SELECT %(began)s, direction, media, count(DISTINCT id) FROM session WHERE within GROUP BY 2, 3
UNION ALL
SELECT m.value ->> 'name', direction, media, count(*)
FROM session, jsonb_path_query(metrics, 'lax $[*]') AS m(value)
WHERE m.value ->> 'name' = ANY(%(emitted)s) AND (m.value ->> 'emitDate')::timestamptz >= %(start)s
    AND (m.value ->> 'emitDate')::timestamptz < %(end)s GROUP BY 1, 2, 3
UNION ALL
SELECT %(division)s, d.value #>> '{{}}', '', count(*)
FROM conversation, jsonb_path_query(divisions, 'lax $[*]') AS d(value)
WHERE within GROUP BY 2
UNION ALL
SELECT %(earlier)s, '', '', count(*) FROM conversation WHERE NOT within
"""


def counter(
    connect: Callable[[], Connection], schema: str, table: str, columns: Mapping[str, str]
) -> Callable[[Window], Tally]:
    """Return a function that counts the conversations of a table.

    :param connect: opens a connection (psycopg 3).
    :param columns: the contract's names of :data:`.tally.FIELDS`.
    """
    from psycopg import sql

    names = ("conversationId", "conversationStart", "originatingDirection", "divisionIds", "participants")
    places = dict(zip(("id", "start", "direction", "divisions", "participants"), names, strict=True))
    parts = {place: sql.Identifier(snake_case(columns[name])) for place, name in places.items()}
    statement = sql.SQL(_COUNTED).format(table=sql.Identifier(schema, table), **parts)

    def count(window: Window) -> Tally:
        values = {"start": window.start, "end": window.end, "earliest": window.start - LOOK_BACK}
        words = {"began": BEGAN, "division": _DIVISION, "earlier": _EARLIER, "emitted": list(EMITTED)}
        session = Session(connect, retries=3, retry_wait=0.5)

        def found() -> _Rows:
            with session.transaction() as cursor:
                cursor.execute(statement, {**values, **words})
                return cast(_Rows, cursor.fetchall())

        try:
            return _tally(session.retried(found, f"the count of what {schema}.{table} holds"))
        finally:
            session.close()

    return count


def _tally(rows: _Rows) -> Tally:
    tally = Tally()
    for kind, one, other, number in rows:
        if kind == _EARLIER:
            tally.earlier = number
        elif kind == _DIVISION:
            tally.divisions[one] = number
        else:
            tally.cells[Cell(kind, one, other)] = number
    return tally
