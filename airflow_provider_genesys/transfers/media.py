"""The base of operators that fetch the media of recordings into an object store."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import Context

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.hooks.clients import connect
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.tasks.rendered import mapping, number, required, text_or_none
from airflow_provider_genesys.times import now
from airflow_provider_genesys.transfers.genesys_to_postgres import GenesysExportToPostgresOperator
from airflow_provider_genesys.window import absent, resolve_window

if TYPE_CHECKING:
    from airflow_provider_genesys.contracts.contract import Contract
    from airflow_provider_genesys.media.index import Index
    from airflow_provider_genesys.media.store import MediaStore
    from airflow_provider_genesys.transfers.loader import Results

SOURCES = ("handle", "conversations_sql", "retention_threshold_days")
"""The arguments that name conversations; exactly one is given."""


class GenesysRecordingMediaOperator(GenesysExportToPostgresOperator):
    """Stream the recordings of some conversations to an object store, with a row in PostgreSQL for each.

    One of ``handle``, ``conversations_sql`` and ``retention_threshold_days`` says which conversations. A retry
    continues from the table's ledger. See ``docs/recording-media.md`` for keys, rights and cost.

    For the other parameters see :class:`.genesys_to_postgres.GenesysExportToPostgresOperator`.

    :param handle: the sensor's output for an export of kind ``recording_media``: its conversations are loaded.
        (templated)
    :param conversations_sql: one SELECT for PostgreSQL with a column ``conversation_id``, or the path of a ``.sql``
        file with it: these conversations are loaded. (templated)
    :param conversations_parameters: values for its placeholders ``%(name)s``. PostgreSQL gets them separately from the
        query, so use them for all that comes from XCom, a form or a variable. (templated)
    :param conversations_timeout: seconds that the query may take each time that it runs.
    :param sql_conn_id: the connection that the query runs on; default: ``postgres_conn_id``. (templated)
    :param retention_threshold_days: load the recordings that Genesys retains for more than that many days. (templated)
    :param media_at_once: files that are fetched at the same time; each holds one piece in memory.
    :param page_size: conversations per page; a page is requested, fetched and committed as a whole.
    :param batch_poll_interval: seconds before the first poll of a batch request; later pauses double, up to 15.
    :param batch_timeout: seconds that one batch request may take.
    """

    template_fields: Sequence[str] = (
        *GenesysExportToPostgresOperator.template_fields,
        "conversations_sql",
        "conversations_parameters",
        "sql_conn_id",
        "retention_threshold_days",
    )
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **GenesysExportToPostgresOperator.template_fields_renderers,
        "conversations_sql": "sql",
        "conversations_parameters": "json",
    }

    def __init__(
        self,
        *,
        handle: dict[str, Any] | str | None = None,
        conversations_sql: str | None = None,
        conversations_parameters: dict[str, Any] | None = None,
        conversations_timeout: float = 600.0,
        sql_conn_id: str | None = None,
        retention_threshold_days: int | str | None = None,
        table: str = "recording_media",
        kind: str = "recording_media",
        page_size: int = 100,
        media_at_once: int = 8,
        batch_poll_interval: float = 1.0,
        batch_timeout: float = 1800.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(handle=handle, table=table, kind=kind, page_size=page_size, **kwargs)
        self.conversations_sql = conversations_sql
        self.conversations_parameters = conversations_parameters
        self.conversations_timeout = conversations_timeout
        self.sql_conn_id = sql_conn_id
        self.retention_threshold_days = retention_threshold_days
        self.media_at_once = media_at_once
        self.batch_poll_interval = batch_poll_interval
        self.batch_timeout = batch_timeout
        self._check_source()

    @abstractmethod
    def make_store(self) -> MediaStore:
        """Return the store for the media."""

    def find_handle(self, context: Context) -> dict[str, Any]:
        """Return the export's handle. Without an export, return one whose id names this task in this run.

        :raises WindowError: no window is given. It identifies the load; it does not select conversations.
        """
        if self.handle is not None:
            return super().find_handle(context)
        ti = context["ti"]
        window = resolve_window(self.window_start, self.window_end, context)
        task = _digest(f"{ti.dag_id}/{ti.run_id}/{ti.task_id}/{ti.map_index}")
        return {
            "export_id": f"{'retention' if self.conversations_sql is None else 'query'}-{task}",
            "kind": self.kind,
            "window_start": window.start.isoformat(),
            "window_end": window.end.isoformat(),
            "submitted_at": now().isoformat(),  # the conversations are asked for now
        }

    def read_by(self, contract: Contract) -> str:
        """Return the contract's fingerprint and, without an export, that of the conversations."""
        read = super().read_by(contract)
        if self.handle is not None:
            return read
        if self.conversations_sql is None:
            return read + _digest(f"retention {self._days()}")
        bound = self._parameters()
        return read + _digest(self._query() if bound is None else f"{self._query()} {sorted(bound.items())}")

    @contextmanager
    def results(self, handle: dict[str, Any]) -> Iterator[Results]:
        """Open the recordings; their media is fetched while they are read."""
        from airflow_provider_genesys.media.batches import Patience
        from airflow_provider_genesys.media.open import open_media
        from airflow_provider_genesys.source.pages import Pages

        media, jobs = open_media(
            handle,
            self.hook.get_conn(),
            self.make_store(),
            index=self._index(),
            page_size=self.page_size,
            at_once=self.media_at_once,
            patience=Patience(first=self.batch_poll_interval, whole=self.batch_timeout),
        )
        with closing(media):
            yield lambda _: Pages(media.read, handle["export_id"], jobs=jobs)

    def _index(self) -> Index | None:
        """Return the index of the conversations; None for those of an export."""
        if self.handle is not None:
            return None
        if self.conversations_sql is None:
            from airflow_provider_genesys.media.index import of_retention

            return of_retention(self.hook.get_conn(), self._days(), self.page_size)
        from airflow_provider_genesys.media.query import QueryIndex

        conn_id = text_or_none(self.sql_conn_id, "sql_conn_id")
        opened = self.connect if conn_id is None else lambda: connect(conn_id)
        return QueryIndex(opened, self._query(), self.page_size, self._parameters(), self.conversations_timeout)

    def _query(self) -> str:
        query = required(self.conversations_sql, "conversations_sql")
        if not isinstance(query, str):
            raise ConfigurationError(f"conversations_sql is {shown(query, 80)!r}; it has to be text, one SELECT.")
        return query

    def _parameters(self) -> dict[str, Any] | None:
        given = self.conversations_parameters
        if absent(given):
            return None
        found = mapping(given, "conversations_parameters")
        if not all(isinstance(name, str) for name in found):
            raise ConfigurationError(
                f"conversations_parameters has the names {shown([*found], 80)}; they have to be text."
            )
        return found

    def _days(self) -> int:
        return number(self.retention_threshold_days, "retention_threshold_days", int, least=0)

    def _check_source(self) -> None:
        """Check, while the DAG is parsed, that exactly one argument names conversations.

        :raises ConfigurationError: none or several are given, or ``replace_window`` is used with conversations of any
            window.
        """
        given = [name for name in SOURCES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ConfigurationError(f"Give one of {', '.join(SOURCES)}; {' and '.join(given) or 'none'} was given.")
        if self.conversations_parameters is not None and given != ["conversations_sql"]:
            raise ConfigurationError(
                "conversations_parameters are the values of conversations_sql's placeholders; give both."
            )
        if given != ["handle"] and self.write_mode == "replace_window":
            raise ConfigurationError(
                f"write_mode='replace_window' removes older rows of the window, and {given[0]} names conversations of "
                "any window. Use write_mode='upsert'."
            )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]
