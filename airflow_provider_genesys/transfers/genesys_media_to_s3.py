"""Fetch the media of recordings into Amazon S3 and their metadata into PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_genesys.hooks.clients import client
from airflow_provider_genesys.tasks.rendered import id_or_none, text
from airflow_provider_genesys.transfers.media import GenesysRecordingMediaOperator

if TYPE_CHECKING:
    from airflow_provider_genesys.media.store import MediaStore


class GenesysRecordingMediaToS3Operator(GenesysRecordingMediaOperator):
    """Stream the recordings of some conversations to S3, with a row in PostgreSQL for each.

    For the other parameters see :class:`.media.GenesysRecordingMediaOperator`.

    :param s3_bucket: name of the bucket, which exists. (templated)
    :param s3_prefix: what every key begins with. (templated)
    :param extra_args: settings for each object: ``ServerSideEncryption``, ``SSEKMSKeyId``, ``StorageClass`` and the
        like.
    :param aws_conn_id: the AWS connection. (templated)
    """

    template_fields: Sequence[str] = (
        *GenesysRecordingMediaOperator.template_fields,
        "s3_bucket",
        "s3_prefix",
        "aws_conn_id",
    )

    def __init__(
        self,
        *,
        s3_bucket: str,
        s3_prefix: str = "recording_media",
        extra_args: dict[str, str] | None = None,
        aws_conn_id: str | None = "aws_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.s3_bucket = s3_bucket
        self.s3_prefix = s3_prefix
        self.extra_args = extra_args
        self.aws_conn_id = aws_conn_id

    def make_store(self) -> MediaStore:
        """Return the store for the media."""
        bucket, prefix = text(self.s3_bucket, "s3_bucket"), text(self.s3_prefix, "s3_prefix")
        conn_id = id_or_none(self.aws_conn_id, "aws_conn_id")
        # One connection for each file that is sent at the same time, and one for checks.
        bucket_client = client("s3", conn_id, {"max_pool_connections": self.media_at_once + 1})
        return s3_media(bucket_client, bucket, prefix, self.extra_args)


def s3_media(client: Any, bucket: str, prefix: str, extra_args: dict[str, Any] | None) -> MediaStore:
    """Return the store for media; parameters as for :class:`S3Sink`, but with the client itself."""
    from airflow_provider_genesys.media.store import MediaStore
    from airflow_provider_genesys.sinks.s3 import check_extra_args
    from airflow_provider_genesys.stores.s3 import S3Store

    extra = extra_args or {}
    check_extra_args(extra)
    return MediaStore(S3Store(client, bucket, extra_args=extra), prefix)
