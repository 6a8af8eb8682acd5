"""Fetch the media of recordings into Google Cloud Storage and their metadata into PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_genesys.hooks.gcs import gcs_bucket
from airflow_provider_genesys.tasks.rendered import text
from airflow_provider_genesys.transfers.media import GenesysRecordingMediaOperator

if TYPE_CHECKING:
    from airflow_provider_genesys.media.store import MediaStore


class GenesysRecordingMediaToGCSOperator(GenesysRecordingMediaOperator):
    """Stream the recordings of some conversations to Google Cloud Storage, with a row in PostgreSQL for each.

    The extra ``google`` has to be installed. For the other parameters see
    :class:`.media.GenesysRecordingMediaOperator`.

    :param gcs_bucket: name of the bucket, which exists. (templated)
    :param gcs_prefix: what every object's name begins with. (templated)
    :param extra_args: settings for each object that is written: ``storage_class``, ``kms_key_name``, ``metadata``,
        ``predefined_acl``.
    :param gcp_conn_id: the Google connection. (templated)
    """

    template_fields: Sequence[str] = (
        *GenesysRecordingMediaOperator.template_fields,
        "gcs_bucket",
        "gcs_prefix",
        "gcp_conn_id",
    )

    def __init__(
        self,
        *,
        gcs_bucket: str,
        gcs_prefix: str = "recording_media",
        extra_args: dict[str, Any] | None = None,
        gcp_conn_id: str = "google_cloud_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.gcs_bucket = gcs_bucket
        self.gcs_prefix = gcs_prefix
        self.extra_args = extra_args
        self.gcp_conn_id = gcp_conn_id

    def make_store(self) -> MediaStore:
        """Return the store for the media."""
        bucket = gcs_bucket(text(self.gcp_conn_id, "gcp_conn_id"), text(self.gcs_bucket, "gcs_bucket"))
        return gcs_media(bucket, text(self.gcs_prefix, "gcs_prefix"), self.extra_args)


def gcs_media(bucket: Any, prefix: str, extra_args: dict[str, Any] | None) -> MediaStore:
    """Return the store for media; parameters as for :class:`GCSSink`, but with the bucket itself."""
    from airflow_provider_genesys.media.store import MediaStore
    from airflow_provider_genesys.sinks.gcs import EXTRA_ARGS
    from airflow_provider_genesys.sinks.objects.settings import check_known
    from airflow_provider_genesys.stores.gcs import GCSStore

    extra = extra_args or {}
    check_known(extra, EXTRA_ARGS)
    return MediaStore(GCSStore(bucket, extra_args=extra), prefix)
