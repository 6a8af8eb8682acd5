"""The short way of a batch: COPY into the table itself, which works if the table has none of its keys yet.

It saves the temporary table and the upsert: about half of a batch's time (``./run bench --row postgres``). A failure,
such as a key that exists, undoes only the COPY. Then the batch takes the long way, which ranks and counts.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import sql

from airflow_provider_genesys.sinks.postgres.tables.columns import CONTRACT, EXPORT, LOADED, OFFSET, SHARD, SUBMITTED
from airflow_provider_genesys.sinks.postgres.tables.target import Target

_COPY = "COPY {target} ({columns}) FROM STDIN (FORMAT BINARY)"
_LONGEST_WAIT = 64
_BEHIND = (OFFSET, EXPORT, SUBMITTED, SHARD, CONTRACT, LOADED)


class Straight:
    """Decides which batches take the short way, and completes their rows.

    After a failure, batches take the long way until enough of them met no row of the table. Each failure doubles that
    number, up to 64.

    :param lineage: see :func:`.postgres.upsert.lineage`.
    """

    def __init__(self, target: Target, lineage: dict[str, Any]) -> None:
        columns = [*target.own, *(column.name for column in _BEHIND)]
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        self.copy = sql.SQL(_COPY).format(target=target.identifier, columns=names).as_bytes()
        self.types = [column.type for column in _BEHIND]
        self._lineage = tuple(lineage[name] for name in ("export", "submitted", "shard", "contract"))
        self._waits = 0 if target.takes_binary and not (target.near or target.watched) else None
        self._next_wait = 1

    @property
    def is_due(self) -> bool:
        """Whether the next batch takes the short way."""
        return self._waits == 0

    def behind(self, loaded_at: datetime) -> tuple[Any, ...]:
        """Return what follows the offset in each row that is written at that time."""
        return (*self._lineage, loaded_at)

    def failed(self) -> None:
        """Let the next batches take the long way."""
        self._waits = self._next_wait
        self._next_wait = min(2 * self._next_wait, _LONGEST_WAIT)

    def took_the_long_way(self, *, met: int) -> None:
        """Count a batch that met ``met`` rows of the table on the long way."""
        if self._waits and not met:
            self._waits -= 1
