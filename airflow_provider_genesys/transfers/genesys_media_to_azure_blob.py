"""Fetch the media of recordings into Azure Blob Storage and their metadata into PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_genesys.hooks.clients import azure_container
from airflow_provider_genesys.tasks.rendered import text
from airflow_provider_genesys.transfers.media import GenesysRecordingMediaOperator

if TYPE_CHECKING:
    from airflow_provider_genesys.media.store import MediaStore


class GenesysRecordingMediaToAzureBlobOperator(GenesysRecordingMediaOperator):
    """Stream the recordings of some conversations to Azure Blob Storage, with a row in PostgreSQL for each.

    The extra ``azure`` has to be installed. For the other parameters see
    :class:`.media.GenesysRecordingMediaOperator`.

    :param container_name: name of the container, which exists. (templated)
    :param blob_prefix: what every blob's name begins with. (templated)
    :param extra_args: settings for each blob that is written: ``standard_blob_tier``, ``encryption_scope``,
        ``metadata``, ``tags``.
    :param wasb_conn_id: the Azure connection, as ``WasbHook`` reads it. (templated)
    """

    template_fields: Sequence[str] = (
        *GenesysRecordingMediaOperator.template_fields,
        "container_name",
        "blob_prefix",
        "wasb_conn_id",
    )

    def __init__(
        self,
        *,
        container_name: str,
        blob_prefix: str = "recording_media",
        extra_args: dict[str, Any] | None = None,
        wasb_conn_id: str = "wasb_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.container_name = container_name
        self.blob_prefix = blob_prefix
        self.extra_args = extra_args
        self.wasb_conn_id = wasb_conn_id

    def make_store(self) -> MediaStore:
        """Return the store for the media."""
        container = azure_container(
            text(self.wasb_conn_id, "wasb_conn_id"), text(self.container_name, "container_name")
        )
        return azure_media(container, text(self.blob_prefix, "blob_prefix"), self.extra_args)


def azure_media(container: Any, prefix: str, extra_args: dict[str, Any] | None) -> MediaStore:
    """Return the store for media; parameters as for :class:`AzureBlobSink`, but with the container itself."""
    from airflow_provider_genesys.media.store import MediaStore
    from airflow_provider_genesys.sinks.azure_blob import check_blob_prefix, check_extra_args
    from airflow_provider_genesys.stores.azure_blob import AzureStore

    extra = extra_args or {}
    check_extra_args(extra)
    check_blob_prefix(prefix)
    return MediaStore(AzureStore(container, extra_args=extra), prefix)
