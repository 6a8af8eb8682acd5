"""Load an export into Amazon S3."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import BaseOperatorLink

from airflow_provider_genesys.links.s3 import GenesysS3PrefixLink
from airflow_provider_genesys.transfers.base import GenesysExportTransferOperator, required

if TYPE_CHECKING:
    from airflow_provider_genesys.sinks.base import Sink


class GenesysExportToS3Operator(GenesysExportTransferOperator):
    """Load an export into S3, as NDJSON or Parquet in parts, with a manifest that is written last.

    Only what the manifest lists belongs to the load. See ``docs/s3.md`` for the layout and the rights that are needed.

    For the other parameters see :class:`.base.GenesysExportTransferOperator`.

    :param s3_bucket: name of the bucket, which exists. (templated)
    :param s3_prefix: what every key begins with. (templated)
    :param output_format: ``ndjson.gz``, ``ndjson`` or ``parquet`` (which needs the extra ``parquet``).
    :param part_size: bytes of the unpacked archive that make up one object, about.
    :param fencing: ``conditional``; ``none`` for a store without conditional writes, where two tries that run at the
        same time are then not kept apart.
    :param extra_args: given with each object that is written: ``ServerSideEncryption``, ``SSEKMSKeyId``,
        ``StorageClass``, ``Tagging`` and the like.
    :param aws_conn_id: the AWS connection. (templated)
    """

    template_fields: Sequence[str] = (
        *GenesysExportTransferOperator.template_fields,
        "s3_bucket",
        "s3_prefix",
        "aws_conn_id",
    )
    operator_extra_links: Collection[BaseOperatorLink] = (
        *GenesysExportTransferOperator.operator_extra_links,
        GenesysS3PrefixLink(),
    )

    def __init__(
        self,
        *,
        s3_bucket: str,
        s3_prefix: str,
        output_format: Literal["ndjson.gz", "ndjson", "parquet"] = "ndjson.gz",
        part_size: int = 64 * 1024 * 1024,
        fencing: Literal["conditional", "none"] = "conditional",
        extra_args: dict[str, str] | None = None,
        aws_conn_id: str | None = "aws_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.s3_bucket = s3_bucket
        self.s3_prefix = s3_prefix
        self.output_format = output_format
        self.part_size = part_size
        self.fencing = fencing
        self.extra_args = extra_args
        self.aws_conn_id = aws_conn_id

    def make_sink(self) -> Sink:
        """Return the sink, not opened."""
        from airflow_provider_genesys.sinks.s3 import S3Sink  # noqa: PLC0415 - pulls in boto3

        return S3Sink(
            self._client,
            required(self.s3_bucket, "s3_bucket"),
            required(self.s3_prefix, "s3_prefix"),
            output_format=self.output_format,
            part_size=self.part_size,
            fencing=self.fencing,
            dead_letter_raw=self.dead_letter_raw,
            encrypt=self.encrypt,
            extra_args=self.extra_args or {},
        )

    def _client(self) -> Any:
        """Return a client as S3Hook makes it, with the sink's settings where the connection has none of its own."""
        from airflow.providers.amazon.aws.hooks.s3 import S3Hook  # noqa: PLC0415 - pulls in boto3
        from botocore.config import Config

        from airflow_provider_genesys.sinks.s3 import CLIENT_CONFIG  # noqa: PLC0415 - as above

        config = Config(**CLIENT_CONFIG)
        chosen = S3Hook(aws_conn_id=self.aws_conn_id).conn_config.botocore_config
        return S3Hook(aws_conn_id=self.aws_conn_id, config=config.merge(chosen) if chosen else config).get_conn()
