"""Compares a loaded window of conversations with Genesys' aggregates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import AssetAlias, BaseOperator, Context

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.hooks.clients import connect
from airflow_provider_genesys.hooks.object_store import open_folder
from airflow_provider_genesys.tasks.arguments import contract_of, is_rendered_later
from airflow_provider_genesys.tasks.connection import UsesGenesys, dag_folder
from airflow_provider_genesys.tasks.failures import failing_fast
from airflow_provider_genesys.tasks.files import check_file
from airflow_provider_genesys.tasks.reconcile import (
    KIND,
    SinkView,
    check_mode,
    compare,
    judge,
    view_of_folder,
    view_of_table,
)
from airflow_provider_genesys.tasks.rendered import mapping, place, text, text_or_none
from airflow_provider_genesys.tasks.xcoms import checked_export
from airflow_provider_genesys.window import absent, read_window, resolve_window

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_genesys.contracts.contract import Contract


class GenesysReconcileOperator(UsesGenesys, BaseOperator):
    """Count the conversations of a window in a sink, and compare them with Genesys' aggregates.

    It makes two requests to Genesys, and at most six for a window of three months. See ``docs/completeness.md`` for
    what is compared and what the verdicts mean.

    XCom ``return_value`` is {window_start, window_end, verdict, reason, reconciled_at, counts, differences, requests,
    state}. ``verdict`` is ``agrees``, ``differs`` or ``not comparable``; ``state`` is ``provisional`` or ``final``.

    :param handle: what the sensor returned; only its window is used. (templated)
    :param window_start: first moment of the window: a datetime or ISO 8601. Default: that of ``handle``, else as for
        GenesysCreateExportOperator. (templated)
    :param window_end: first moment after it. (templated)
    :param table: the PostgreSQL table that conversations were loaded into. (templated)
    :param schema: its schema. (templated)
    :param postgres_conn_id: the PostgreSQL connection. (templated)
    :param folder: instead of a table, the prefix that conversations were loaded to: ``s3://bucket/prefix``,
        ``az://container/prefix`` or ``gs://bucket/prefix``. (templated)
    :param folder_conn_id: the connection to it; default ``aws_default`` or ``wasb_default``. (templated)
    :param partition_format: how partitions below ``folder`` are named, as for the loading operator.
    :param contract: the contract that they were loaded with; see
        :class:`~.transfers.base.GenesysExportTransferOperator`. (templated)
    :param reconcile: ``warn``, or ``fail`` where the window differs. (templated)
    :param genesys_conn_id: the Genesys connection. (templated)
    """

    template_fields: Sequence[str] = (
        *("handle", "window_start", "window_end", "table", "schema", "postgres_conn_id", "folder", "folder_conn_id"),
        *("contract", "reconcile", "genesys_conn_id"),
    )
    ui_color = "#e6f5e0"

    def __init__(
        self,
        *,
        handle: dict[str, Any] | None = None,
        window_start: datetime | str | None = None,
        window_end: datetime | str | None = None,
        table: str | None = None,
        schema: str = "public",
        postgres_conn_id: str = "postgres_default",
        folder: str | None = None,
        folder_conn_id: str | None = None,
        partition_format: str = "dt=%Y-%m-%d",
        contract: str | Contract | None = None,
        reconcile: Literal["warn", "fail"] = "warn",
        genesys_conn_id: str = "genesys_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.handle = handle
        self.window_start = window_start
        self.window_end = window_end
        self.table = table
        self.schema = schema
        self.postgres_conn_id = postgres_conn_id
        self.folder = folder
        self.folder_conn_id = folder_conn_id
        self.partition_format = partition_format
        self.contract = contract
        self._contract_in_dag = contract
        self.reconcile = reconcile
        self.genesys_conn_id = genesys_conn_id
        if not is_rendered_later(reconcile):
            check_mode(reconcile)

    def execute(self, context: Context) -> dict[str, Any]:
        """Compare the window and return what was found."""
        with failing_fast(), self.hook:
            check_mode(self.reconcile)
            handle = checked_export(mapping(self.handle, "handle"), "handle")
            given = read_window("the operator's arguments", self.window_start, self.window_end)
            of_handle = read_window("the handle", handle.get("window_start"), handle.get("window_end"))
            window = given or of_handle or resolve_window(None, None, context)
            found = compare(self.hook, window, self._view(), self.reconcile)
            judge(found, self.reconcile)
        for outlet in self.outlets:
            if not isinstance(outlet, AssetAlias):
                context["outlet_events"][outlet].extra.update(found.as_json())
        return found.as_json()

    def _view(self) -> SinkView | None:
        check_file(self, "contract", self.contract, self._contract_in_dag)
        contract = contract_of(self.contract, None, kind=KIND, folder=dag_folder(self))
        if absent(self.table) == absent(self.folder):
            raise ConfigurationError(
                "Give the operator either table or folder: the place that the conversations were loaded to."
            )
        if not absent(self.table):
            schema, table = place(self.schema, self.table)
            conn_id = text(self.postgres_conn_id, "postgres_conn_id")
            return view_of_table(lambda: connect(conn_id), schema, table, contract)
        store, prefix = open_folder(text(self.folder, "folder"), text_or_none(self.folder_conn_id, "folder_conn_id"))
        return view_of_folder(store, prefix, self.partition_format, contract)
