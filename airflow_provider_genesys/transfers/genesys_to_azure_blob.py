"""Load an export into Azure Blob Storage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_genesys.hooks.clients import azure_container
from airflow_provider_genesys.hooks.iceberg import azure_access
from airflow_provider_genesys.tasks.iceberg import publisher_of
from airflow_provider_genesys.tasks.rendered import text
from airflow_provider_genesys.transfers.object_store import GenesysExportToObjectStoreOperator, ObjectStoreLoader

if TYPE_CHECKING:
    from airflow_provider_genesys.pipeline.sink import Sink


class AzureBlobLoader(ObjectStoreLoader):
    """Loads into a container; parameters as for :class:`GenesysExportToAzureBlobOperator`, except ``handle``."""

    template_fields: Sequence[str] = (
        *ObjectStoreLoader.template_fields,
        "container_name",
        "blob_prefix",
        "wasb_conn_id",
    )
    prefix_argument = "blob_prefix"

    def __init__(
        self,
        *,
        container_name: str,
        blob_prefix: str,
        wasb_conn_id: str = "wasb_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.container_name = container_name
        self.blob_prefix = blob_prefix
        self.wasb_conn_id = wasb_conn_id

    def make_sink(self) -> Sink:
        """Return the sink, not opened."""
        from airflow_provider_genesys.sinks.azure_blob import AzureBlobSink

        return AzureBlobSink(
            self._container,
            self.prefix(),
            publisher=publisher_of(self.publish_to_iceberg, lambda: azure_access(self._container())),
            **self.row_settings(),
        )

    def _container(self) -> Any:
        return azure_container(text(self.wasb_conn_id, "wasb_conn_id"), text(self.container_name, "container_name"))


class GenesysExportToAzureBlobOperator(AzureBlobLoader, GenesysExportToObjectStoreOperator):
    """Load an export into Azure Blob Storage, as NDJSON or Parquet in parts, or as the unchanged archive.

    A manifest is written last; only what it lists belongs to the load. See ``docs/azure-blob.md`` for the layout and
    the rights it needs. The extra ``azure`` has to be installed.

    For the other parameters see :class:`.base.GenesysExportTransferOperator`.

    :param container_name: name of the container, which exists. (templated)
    :param blob_prefix: what every blob's name begins with. (templated)
    :param output_format: ``ndjson.gz``, ``ndjson`` or ``parquet`` (which needs the extra ``parquet``); or ``raw`` for
        the unchanged archive in one blob, which the loading operators can load later.
    :param part_size: approximate bytes of unpacked archive per blob; with ``raw``, bytes of the archive between two
        checkpoints.
    :param child_files: write the contract's children (of a conversation: participants, sessions, segments, metrics) to
        separate files, below ``<prefix>_<child>``.
    :param partition_format: name of the partition below the prefix: ``name=value`` in strftime's letters, from the
        window's start in UTC, e.g. ``year=%Y/month=%m/day=%d``. A window that was loaded before keeps its partition.
    :param lists: warehouses that get a list of exactly the load's objects, beside the manifest: ``snowflake``.
        See ``docs/warehouses.md``. (templated)
    :param publish_to_iceberg: with ``parquet``, the Iceberg table that the load is committed to before it is complete:
        ``{"conn_id": …, "namespace": …, "table": …, "create": True}``. See ``docs/iceberg.md``. (templated)
    :param extra_args: settings for each blob that is written: ``standard_blob_tier``, ``encryption_scope``,
        ``metadata``, ``tags``.
    :param wasb_conn_id: the Azure connection, as ``WasbHook`` reads it. (templated)
    """

    template_fields: Sequence[str] = ("handle", *AzureBlobLoader.template_fields)
