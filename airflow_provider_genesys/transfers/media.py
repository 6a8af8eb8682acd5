"""What every operator does that fetches the media of recordings, whatever the object store."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import Context

from airflow_provider_genesys.transfers.conversations_argument import (
    check_source,
    handle_without_export,
    index_of,
    source_fingerprint,
)
from airflow_provider_genesys.transfers.genesys_to_postgres import GenesysExportToPostgresOperator

if TYPE_CHECKING:
    from airflow_provider_genesys.pipeline.certificate import Certificate
    from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
    from airflow_provider_genesys.pipeline.contract import Contract
    from airflow_provider_genesys.pipeline.run import Options
    from airflow_provider_genesys.sinks.base import Load
    from airflow_provider_genesys.sinks.objects.media_store import MediaStore


class GenesysRecordingMediaOperator(GenesysExportToPostgresOperator):
    """Stream each recording of some conversations to an object store; a row of a PostgreSQL table tells of each.

    One of ``handle``, ``conversations_sql`` and ``retention_threshold_days`` says which. The table's ledger is what a
    retry goes on from. See ``docs/recording-media.md`` for keys, rights and cost.

    For the other parameters see :class:`.genesys_to_postgres.GenesysExportToPostgresOperator`.

    :param handle: what the sensor returned for an export of kind ``recording_media``: its conversations. (templated)
    :param conversations_sql: one SELECT for PostgreSQL with a column ``conversation_id``, or the path of a ``.sql``
        file with it: the conversations that it names. (templated)
    :param sql_conn_id: the connection that it runs on; default: ``postgres_conn_id``. (templated)
    :param retention_threshold_days: the recordings that Genesys retains for more than so many days. (templated)
    :param media_at_once: files that are fetched at the same time; each holds a piece of what it sends in memory.
    :param page_size: conversations in a page; a page is asked for, fetched and committed as a whole.
    :param batch_poll_interval: seconds before a batch request is asked after again; later pauses double, up to 15.
    :param batch_timeout: seconds that one batch request may take.
    """

    template_fields: Sequence[str] = (
        *GenesysExportToPostgresOperator.template_fields,
        "conversations_sql",
        "sql_conn_id",
        "retention_threshold_days",
    )
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **GenesysExportToPostgresOperator.template_fields_renderers,
        "conversations_sql": "sql",
    }

    def __init__(  # noqa: PLR0913 - Airflow operators take what a user may set as keywords
        self,
        *,
        handle: dict[str, Any] | str | None = None,
        conversations_sql: str | None = None,
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
        self.sql_conn_id = sql_conn_id
        self.retention_threshold_days = retention_threshold_days
        self.media_at_once = media_at_once
        self.batch_poll_interval = batch_poll_interval
        self.batch_timeout = batch_timeout
        check_source(self)

    @abstractmethod
    def make_store(self) -> MediaStore:
        """Return where the media goes."""

    def find_handle(self, context: Context) -> dict[str, Any]:
        """Return the export's handle, or one of the task's own where there is no export."""
        return handle_without_export(self, context) if self.handle is None else super().find_handle(context)

    def read_by(self, contract: Contract) -> str:
        """Return the contract's fingerprint, and what tells the conversations where there is no export."""
        return super().read_by(contract) + source_fingerprint(self)

    def run_load(
        self, load: Load, handle: dict[str, Any], options: Options, watch: Callable[[Checkpoint], None]
    ) -> Certificate:
        """Fetch the media, and load what is known of it."""
        from airflow_provider_genesys.cloud.media_batches import Patience
        from airflow_provider_genesys.pipeline.pages import Pages
        from airflow_provider_genesys.pipeline.run import run

        patience = Patience(first=self.batch_poll_interval, whole=self.batch_timeout)
        media, jobs = self.hook.open_media(
            handle,
            self.make_store(),
            index=index_of(self),
            page_size=self.page_size,
            at_once=self.media_at_once,
            patience=patience,
        )
        with closing(media):
            return run(load, lambda _: Pages(media.read, load.export_id, jobs=jobs), self.make_sink(), options, watch)
