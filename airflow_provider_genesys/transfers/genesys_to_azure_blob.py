"""Load an export into Azure Blob Storage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_genesys.exceptions import MissingExtraError
from airflow_provider_genesys.transfers.base import GenesysExportTransferOperator, required

if TYPE_CHECKING:
    from airflow_provider_genesys.sinks.base import Sink


class GenesysExportToAzureBlobOperator(GenesysExportTransferOperator):
    """Load an export into Azure Blob Storage, as NDJSON or Parquet in parts, with a manifest that is written last.

    Only what the manifest lists belongs to the load. See ``docs/azure-blob.md`` for the layout and the rights that are
    needed. The extra ``azure`` has to be installed.

    For the other parameters see :class:`.base.GenesysExportTransferOperator`.

    :param container_name: name of the container, which exists. (templated)
    :param blob_prefix: what every blob's name begins with. (templated)
    :param output_format: ``ndjson.gz``, ``ndjson`` or ``parquet`` (which needs the extra ``parquet``).
    :param part_size: bytes of the unpacked archive that make up one blob, about.
    :param extra_args: given with each blob that is written: ``standard_blob_tier``, ``encryption_scope``, ``metadata``,
        ``tags``.
    :param wasb_conn_id: the Azure connection, as ``WasbHook`` reads it. (templated)
    """

    template_fields: Sequence[str] = (
        *GenesysExportTransferOperator.template_fields,
        "container_name",
        "blob_prefix",
        "wasb_conn_id",
    )

    def __init__(
        self,
        *,
        container_name: str,
        blob_prefix: str,
        output_format: Literal["ndjson.gz", "ndjson", "parquet"] = "ndjson.gz",
        part_size: int = 64 * 1024 * 1024,
        extra_args: dict[str, Any] | None = None,
        wasb_conn_id: str = "wasb_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.container_name = container_name
        self.blob_prefix = blob_prefix
        self.output_format = output_format
        self.part_size = part_size
        self.extra_args = extra_args
        self.wasb_conn_id = wasb_conn_id

    def make_sink(self) -> Sink:
        """Return the sink, not opened."""
        from airflow_provider_genesys.sinks.azure_blob import AzureBlobSink  # noqa: PLC0415 - an extra

        name = required(self.container_name, "container_name")
        return AzureBlobSink(
            lambda: self._client().get_container_client(name),
            required(self.blob_prefix, "blob_prefix"),
            output_format=self.output_format,
            part_size=self.part_size,
            dead_letter_raw=self.dead_letter_raw,
            encrypt=self.encrypt,
            extra_args=self.extra_args or {},
        )

    def _client(self) -> Any:
        try:
            from airflow.providers.microsoft.azure.hooks.wasb import WasbHook  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise MissingExtraError(
                "Loading into Azure Blob needs Airflow's Azure provider. Run: pip install "
                "'airflow-provider-genesys[azure]'"
            ) from error

        return WasbHook(wasb_conn_id=self.wasb_conn_id).get_conn()
