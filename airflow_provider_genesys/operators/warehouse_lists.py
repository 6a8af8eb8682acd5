"""Write lists of a load's objects for warehouses that load them onward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator, Context

from airflow_provider_genesys.hooks.object_store import open_folder
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.tasks.failures import failing_fast
from airflow_provider_genesys.tasks.landed import check_location
from airflow_provider_genesys.tasks.rendered import Rendered, text_or_none, words
from airflow_provider_genesys.tasks.xcoms import checked_summary


class GenesysWriteListsOperator(Rendered, BaseOperator):
    """Write, beside the manifest of a finished load in an object store, lists of exactly its objects for warehouses.

    The argument ``lists`` of the loading operators writes the same. This operator is for loads of an earlier day, for
    loads in shards, and after a replay of dead letters, which adds parts. See ``docs/warehouses.md``.

    XCom ``return_value`` is {location, export_id, lists: {table: {"rows": number, warehouse: url}}}. ``table`` is
    ``rows``, or the name of one of the contract's children.

    :param certificate: what the loading operator returned. (templated)
    :param lists: some of ``redshift``, ``snowflake`` and ``bigquery``. (templated)
    :param conn_id: the connection to the store; default ``aws_default``, ``wasb_default`` or
        ``google_cloud_default``. (templated)
    :param below: URL of the folder below which the load has to be, e.g. ``s3://lake/genesys/``. Default: the folders of
        the loading tasks upstream. It has to be given where no such task is upstream.
    """

    template_fields: Sequence[str] = ("certificate", "lists", "conn_id")
    ui_color = "#e6f5e0"

    def __init__(
        self,
        *,
        certificate: dict[str, Any],
        lists: Sequence[str],
        conn_id: str | None = None,
        below: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.certificate = certificate
        self._certificate_in_dag = certificate
        self.lists = lists
        self.conn_id = conn_id
        self.below = below

    def execute(self, context: Context) -> dict[str, Any]:
        """Write the lists and return where they are."""
        from airflow_provider_genesys.sinks.objects.warehouse_lists import write_lists

        with failing_fast():
            location = checked_summary(self.certificate, "certificate")["location"]
            check_location(self, location, self.below, self._certificate_in_dag, context)
            lists = words(self.lists, "lists", ())
            store, folder = open_folder(location, text_or_none(self.conn_id, "conn_id"))
            export_id, written = write_lists(store, folder, lists)
        tables = ", ".join(f"{table} ({of_table['rows']:,} rows)" for table, of_table in written.items())
        self.log.info("Export %s in %s has new lists of: %s.", shown(export_id, 80), shown(location), tables)
        return {"location": location, "export_id": export_id, "lists": written}
