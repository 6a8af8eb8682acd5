"""Load an export into Amazon S3."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import BaseOperatorLink

from airflow_provider_genesys.hooks.clients import client
from airflow_provider_genesys.hooks.iceberg import s3_access
from airflow_provider_genesys.links.s3 import GenesysS3PrefixLink
from airflow_provider_genesys.tasks.iceberg import publisher_of
from airflow_provider_genesys.tasks.rendered import id_or_none, text
from airflow_provider_genesys.transfers.object_store import GenesysExportToObjectStoreOperator, ObjectStoreLoader

if TYPE_CHECKING:
    from airflow_provider_genesys.pipeline.sink import Sink


class S3Loader(ObjectStoreLoader):
    """Loads into a bucket; its parameters are those of :class:`GenesysExportToS3Operator`, except ``handle``."""

    template_fields: Sequence[str] = (
        *ObjectStoreLoader.template_fields,
        "s3_bucket",
        "s3_prefix",
        "aws_conn_id",
    )
    prefix_argument = "s3_prefix"
    operator_extra_links: Collection[BaseOperatorLink] = (
        *ObjectStoreLoader.operator_extra_links,
        GenesysS3PrefixLink(),
    )

    def __init__(
        self,
        *,
        s3_bucket: str,
        s3_prefix: str,
        fencing: Literal["conditional", "none"] = "conditional",
        aws_conn_id: str | None = "aws_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.s3_bucket = s3_bucket
        self.s3_prefix = s3_prefix
        self.fencing = fencing
        self.aws_conn_id = aws_conn_id

    def make_sink(self) -> Sink:
        """Return the sink, not opened."""
        from airflow_provider_genesys.sinks.s3 import S3Sink

        bucket, conn_id = text(self.s3_bucket, "s3_bucket"), id_or_none(self.aws_conn_id, "aws_conn_id")
        return S3Sink(
            lambda: client("s3", conn_id),
            bucket,
            self.prefix(),
            fencing=self.fencing,
            publisher=publisher_of(self.publish_to_iceberg, lambda: s3_access(bucket, conn_id)),
            **self.row_settings(),
        )


class GenesysExportToS3Operator(S3Loader, GenesysExportToObjectStoreOperator):
    """Load an export into S3, as NDJSON or Parquet in parts, or as the unchanged archive; a manifest is written last.

    Only what the manifest lists belongs to the load. See ``docs/s3.md`` for the layout and the rights that are needed.

    For the other parameters see :class:`.base.GenesysExportTransferOperator`.

    :param s3_bucket: name of the bucket, which exists. (templated)
    :param s3_prefix: what every key begins with. (templated)
    :param output_format: ``ndjson.gz``, ``ndjson`` or ``parquet`` (which needs the extra ``parquet``); or ``raw`` for
        the unchanged archive in one object, which the loading operators can load later.
    :param part_size: approximate bytes of unpacked archive per object; with ``raw``, bytes of the archive between two
        checkpoints.
    :param fencing: ``conditional``, or ``none`` for a store without conditional writes. With ``none``, two tries that
        run at the same time are not kept apart.
    :param child_files: write the contract's children (of a conversation: participants, sessions, segments, metrics) to
        separate files, below ``<prefix>_<child>``.
    :param partition_format: name of the partition below the prefix: ``name=value`` in strftime's letters, from the
        window's start in UTC, e.g. ``year=%Y/month=%m/day=%d``. A window that was loaded before keeps its partition.
    :param lists: warehouses that get a list of exactly the load's objects, beside the manifest: ``redshift``,
        ``snowflake``. See ``docs/warehouses.md``. (templated)
    :param publish_to_iceberg: with ``parquet``, the Iceberg table that the load is committed to before it is complete:
        ``{"conn_id": …, "namespace": …, "table": …, "create": True}``. See ``docs/iceberg.md``. (templated)
    :param extra_args: settings for each object that is written: ``ServerSideEncryption``, ``SSEKMSKeyId``,
        ``StorageClass``, ``Tagging`` and the like.
    :param aws_conn_id: the AWS connection. (templated)
    """

    template_fields: Sequence[str] = ("handle", *S3Loader.template_fields)
