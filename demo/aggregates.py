"""The report of the DAG that loads aggregates: rows, and the conversations that they count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import psycopg

from demo.embedded import Embedded
from demo.loads import Loads, collect

TABLE = "genesys_aggregates_conversations"
_BEGAN = f"""
SELECT date_trunc('day', interval_start AT TIME ZONE 'UTC')::date, sum(count) FROM {TABLE}
WHERE metric = 'nConversations' GROUP BY 1 ORDER BY 1
"""  # noqa: S608 - a constant


@dataclass(frozen=True)
class Aggregates(Loads):
    """The facts of one run."""

    conversations: tuple[tuple[str, int], ...] = ()
    """How many began on each day, by the rows."""

    def problems(self, expected: int) -> Iterator[str]:
        """Yield what does not agree.

        :param expected: how many conversations began on each day.
        """
        for day, began in self.conversations:
            if began != expected:
                yield f"PostgreSQL: {began} conversations on {day}, but Genesys has {expected}"
        if len(self.conversations) != len(self.certificates["PostgreSQL"]):
            yield f"PostgreSQL: {len(self.conversations)} days"
        # A row counts conversations, so the accounts are held against what the sinks hold alone.
        read = {certificate["counts"]["read"] for certificate in self.certificates["PostgreSQL"]}
        yield from (problem for problem in super().problems(max(read)) if "records read" not in problem)


def report(services: Embedded) -> Aggregates:
    """Read the facts."""
    columns = ("metric", "interval_start", "media_type", "originating_direction", "count")
    loads = collect(services, table=TABLE, columns=columns)
    with psycopg.connect(services.postgres.dsn) as connection:
        began = tuple((str(day), int(number)) for day, number in connection.execute(_BEGAN).fetchall())
    return Aggregates(**{field.name: getattr(loads, field.name) for field in fields(loads)}, conversations=began)
