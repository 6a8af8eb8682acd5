"""The conversations that the user's SQL query names, in PostgreSQL.

Downloads take minutes between two pages. So no cursor, transaction or connection is held open. Instead, each query
asks for the next ids in order, after the last id that was read. A load can continue after any id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from itertools import pairwise
from typing import Any
from uuid import UUID

import psycopg

from airflow_provider_genesys.exceptions import ConfigurationError, SourceUnavailableError
from airflow_provider_genesys.media.index import Conversations
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.sinks.postgres.errors import describe, is_transient

PAGES_AT_ONCE = 100
"""The query runs once for this many pages."""
_FIRST = str(UUID(int=0))
_IDS = """
SELECT id::text FROM (SELECT DISTINCT conversation_id::text::uuid AS id FROM (
{query}
) AS asked) AS wanted WHERE id > '{after}' ORDER BY id LIMIT {limit}
"""

_TIMEOUT = "SELECT set_config('statement_timeout', %s, true)"  # of this transaction alone: a pooler may share the rest


class QueryIndex:
    """An :data:`~.index.Index` of the conversations that a query names, each once. NULL is skipped.

    :param connect: opens a connection, which is only read from.
    :param query: one SELECT with a column ``conversation_id`` that holds UUIDs, of any type. Other columns are ignored.
    :param size: conversations in a page.
    :param parameters: values for the query's placeholders, ``%(name)s``; then a percent sign is written ``%%``. With
        None the query has no placeholders.
    :param timeout: seconds that the query may take each time that it runs.
    """

    def __init__(
        self,
        connect: Callable[[], psycopg.Connection],
        query: str,
        size: int,
        parameters: Mapping[str, Any] | None = None,
        timeout: float = 600.0,
    ) -> None:
        self._connect = connect
        self._query = query.strip().rstrip(";")
        self._parameters = parameters
        self._size = size
        self._timeout = timeout
        self._after = _FIRST
        self._ids: list[str] = []

    def __call__(self, job: int, cursor: str | None) -> Conversations:  # noqa: ARG002 - there is one
        """Return the conversations after the id ``cursor``.

        :raises ConfigurationError: PostgreSQL refuses the query, or the query returns something that is not an id.
        :raises SourceUnavailableError: PostgreSQL cannot be reached, or the query takes too long.
        """
        after = str(UUID(cursor)) if cursor else _FIRST
        if after != self._after or not self._ids:
            self._ids = self._behind(after)
        ids, self._ids = self._ids[: self._size], self._ids[self._size :]
        self._after = ids[-1] if ids else after
        return Conversations(ids, self._after if len(ids) == self._size else None)

    def _behind(self, after: str) -> list[str]:
        sql = _IDS.format(query=self._query, after=after, limit=PAGES_AT_ONCE * self._size)
        try:
            with closing(self._connect()) as connection:
                connection.read_only = True
                connection.execute(_TIMEOUT, [f"{max(1, round(1000 * self._timeout))}ms"])
                # Binary results come by the extended protocol, which takes one statement: none can end the transaction.
                ids = [found for (found,) in connection.execute(sql.encode(), self._parameters, binary=True)]
        except psycopg.errors.QueryCanceled as error:
            raise SourceUnavailableError(
                f"The query for conversations did not end within conversations_timeout ({self._timeout:g} s), or was "
                f"cancelled: {describe(error)}. The next try runs it again. If that takes as long, give its table an "
                "index for its WHERE, or raise conversations_timeout."
            ) from None
        except psycopg.Error as error:
            if is_transient(error):
                raise SourceUnavailableError(
                    f"The query for conversations failed: {describe(error)}. The next try continues after the last "
                    "page that was loaded."
                ) from None
            raise ConfigurationError(
                f"PostgreSQL refuses the query for conversations: {describe(error)}. conversations_sql has to be one "
                "SELECT with a column conversation_id, which holds UUIDs or NULL; it cannot change anything. Its "
                "placeholders are %(name)s, with values in conversations_parameters."
            ) from None
        except ValueError as error:
            raise ConfigurationError(
                f"conversations_sql or conversations_parameters hold what PostgreSQL cannot be sent: {shown(error)}."
            ) from None
        if any(one <= before for before, one in pairwise([after, *ids])):
            raise ConfigurationError(
                "The query for conversations does not end where it seems to: its ids are not in order. "
                "conversations_sql has to be one whole SELECT, with brackets that match."
            )
        return ids
