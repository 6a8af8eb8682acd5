"""Load an export into Google Cloud Storage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.hooks.gcs import gcs_bucket
from airflow_provider_genesys.tasks.rendered import text
from airflow_provider_genesys.transfers.object_store import GenesysExportToObjectStoreOperator, ObjectStoreLoader

if TYPE_CHECKING:
    from airflow_provider_genesys.pipeline.sink import Sink


class GCSLoader(ObjectStoreLoader):
    """Loads into a bucket; parameters as for :class:`GenesysExportToGCSOperator`, except ``handle``."""

    template_fields: Sequence[str] = (
        *ObjectStoreLoader.template_fields,
        "gcs_bucket",
        "gcs_prefix",
        "gcp_conn_id",
    )
    prefix_argument = "gcs_prefix"

    def __init__(
        self,
        *,
        gcs_bucket: str,
        gcs_prefix: str,
        gcp_conn_id: str = "google_cloud_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.gcs_bucket = gcs_bucket
        self.gcs_prefix = gcs_prefix
        self.gcp_conn_id = gcp_conn_id
        if self.publish_to_iceberg is not None:
            raise ConfigurationError(
                "publish_to_iceberg is for loads into S3 and Azure Blob. Leave it out, or load into one of those."
            )

    def make_sink(self) -> Sink:
        """Return the sink, not opened."""
        from airflow_provider_genesys.sinks.gcs import GCSSink

        return GCSSink(
            lambda: gcs_bucket(text(self.gcp_conn_id, "gcp_conn_id"), text(self.gcs_bucket, "gcs_bucket")),
            self.prefix(),
            cipher=lambda: self.hook.cipher("upload session"),
            **self.row_settings(),
        )


class GenesysExportToGCSOperator(GCSLoader, GenesysExportToObjectStoreOperator):
    """Load an export into Google Cloud Storage, as NDJSON or Parquet in parts, or as the unchanged archive.

    A manifest is written last; only what it lists belongs to the load. See ``docs/gcs.md`` for the layout and
    the rights it needs. The extra ``google`` has to be installed.

    For the other parameters see :class:`.base.GenesysExportTransferOperator`.

    :param gcs_bucket: name of the bucket, which exists. (templated)
    :param gcs_prefix: what every object's name begins with. (templated)
    :param output_format: ``ndjson.gz``, ``ndjson`` or ``parquet`` (which needs the extra ``parquet``); or ``raw`` for
        the unchanged archive in one object, which the loading operators can load later.
    :param part_size: approximate bytes of unpacked archive per object; with ``raw``, bytes of the archive between two
        checkpoints.
    :param child_files: write the contract's children (of a conversation: participants, sessions, segments, metrics) to
        separate files, below ``<prefix>_<child>``.
    :param partition_format: name of the partition below the prefix: ``name=value`` in strftime's letters, from the
        window's start in UTC, e.g. ``year=%Y/month=%m/day=%d``. A window that was loaded before keeps its partition.
    :param lists: warehouses that get a list of exactly the load's objects, beside the manifest: ``bigquery``,
        ``snowflake``. See ``docs/warehouses.md``. (templated)
    :param extra_args: settings for each object that is written: ``storage_class``, ``kms_key_name``, ``metadata``,
        ``predefined_acl``.
    :param gcp_conn_id: the Google connection. (templated)
    """

    template_fields: Sequence[str] = ("handle", *GCSLoader.template_fields)
