"""The short way of a batch: COPY into the table itself, which works if the table has none of its keys yet.

It saves the temporary table and the upsert: about half of a batch's time (``./run bench --row postgres``). A failure,
such as a key that exists, undoes only the COPY. Then the batch takes the long way, which ranks and counts.

Rows are packed before their transaction begins, while the server works on the one before. Only the time of the
transaction is not known then: a placeholder is replaced by it when the rows are sent.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import partial
from random import getrandbits
from typing import Any

from psycopg import sql

from airflow_provider_genesys.sinks.postgres.copying import packed
from airflow_provider_genesys.sinks.postgres.session import Connection
from airflow_provider_genesys.sinks.postgres.tables.columns import (
    CONTRACT,
    EXPORT,
    LOADED,
    OFFSET,
    SHARD,
    SUBMITTED,
    TYPES,
)
from airflow_provider_genesys.sinks.postgres.tables.target import Target

_COPY = "COPY {target} ({columns}) FROM STDIN (FORMAT BINARY)"
_LONGEST_WAIT = 64
_BEHIND = (OFFSET, EXPORT, SUBMITTED, SHARD, CONTRACT, LOADED)
_EPOCH = datetime(2000, 1, 1, tzinfo=timezone.utc)  # PostgreSQL's
_PLACEHOLDER = _EPOCH + timedelta(microseconds=getrandbits(50))
"""Of the time at which a row is written. It is looked for together with the contract before it: no record has both."""


@dataclass(frozen=True)
class Ready:
    """Rows that are packed for the short way, each key once, in the order of their keys.

    :param pieces: what COPY takes, with a placeholder for the time at which a row is written.
    :param end: returns the last two fields of each row for such a time.
    """

    count: int
    pieces: deque[bytes]
    end: Callable[[datetime], bytes]

    def at(self, moment: datetime) -> Iterator[bytes]:
        """Yield what COPY takes for rows that are written at ``moment``, once, and let go of what is sent."""
        placeholder, end = self.end(_PLACEHOLDER), self.end(moment)
        while self.pieces:
            yield self.pieces.popleft().replace(placeholder, end)


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
        self._types = [*(TYPES[column.type] for column in target.contract.columns), *(one.type for one in _BEHIND)]
        self._behind = (*(lineage[name] for name in ("export", "submitted", "shard", "contract")), _PLACEHOLDER)
        self._end = partial(_end, lineage["contract"].encode())
        self._waits = 0 if target.takes_binary and not (target.near or target.watched) else None
        self._next_wait = 1

    @property
    def is_due(self) -> bool:
        """Whether the next batch takes the short way."""
        return self._waits == 0

    def ready(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> Ready:
        """Pack ``rows``, each with its offset. Nothing is sent, so the connection may be in use.

        :raises psycopg.Error: a value does not fit its type, or the connection is closed.
        """
        pieces = packed(connection, self._types, ((*row, *self._behind) for row in rows))
        return Ready(len(rows), deque(pieces), self._end)

    def failed(self) -> None:
        """Let the next batches take the long way."""
        self._waits = self._next_wait
        self._next_wait = min(2 * self._next_wait, _LONGEST_WAIT)

    def took_the_long_way(self, *, met: int) -> None:
        """Count a batch that met ``met`` rows of the table on the long way."""
        if self._waits and not met:
            self._waits -= 1


def _end(contract: bytes, moment: datetime) -> bytes:
    """Return contract and time as fields of a binary COPY: length and text, length and microseconds since the epoch."""
    microseconds = (moment - _EPOCH) // timedelta(microseconds=1)
    return struct.pack(f"!i{len(contract)}siq", len(contract), contract, 8, microseconds)
