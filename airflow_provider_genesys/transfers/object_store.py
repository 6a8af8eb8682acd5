"""The bases of operators that load into an object store: rows in parts, or the unchanged archive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from airflow.sdk import Context

from airflow_provider_genesys.cloud.exports.base import PagedFamily
from airflow_provider_genesys.cloud.exports.registry import family
from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.hooks.object_store import letters_of
from airflow_provider_genesys.tasks.arguments import is_rendered_later
from airflow_provider_genesys.tasks.checkpoint_mirror import CheckpointMirror
from airflow_provider_genesys.tasks.iceberg import check_iceberg
from airflow_provider_genesys.tasks.reconcile import SinkView, view_of_folder
from airflow_provider_genesys.tasks.rendered import text, words
from airflow_provider_genesys.tasks.result import open_archive
from airflow_provider_genesys.transfers.base import GenesysExportTransferOperator
from airflow_provider_genesys.transfers.loader import ExportLoader

if TYPE_CHECKING:
    from airflow_provider_genesys.contracts.contract import Contract
    from airflow_provider_genesys.pipeline.certificate import Certificate
    from airflow_provider_genesys.pipeline.load import Load
    from airflow_provider_genesys.sinks.objects.settings import ObjectSettings
    from airflow_provider_genesys.sinks.objects.sink import ObjectSink
    from airflow_provider_genesys.stores.base import ObjectStore

OutputFormat = Literal["ndjson.gz", "ndjson", "parquet", "raw"]
_OF_THE_HANDLE = ("export_id", "kind", "state", "window_start", "window_end", "submitted_at", "records", "size", "etag")
"""The fields that the manifest of a landed archive keeps. The file's URL is not one: it expires and is a secret."""


class ObjectStoreLoader(ExportLoader):
    """Loads below a prefix of an object store, with the parameters that all stores have."""

    template_fields: Sequence[str] = (*ExportLoader.template_fields, "lists", "publish_to_iceberg")
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **ExportLoader.template_fields_renderers,
        "publish_to_iceberg": "json",
    }
    prefix_argument: ClassVar[str]
    """Name of the argument that every key begins with."""

    def __init__(
        self,
        *,
        output_format: OutputFormat = "ndjson.gz",
        part_size: int = 64 * 1024 * 1024,
        child_files: bool = True,
        partition_format: str = "dt=%Y-%m-%d",
        lists: Sequence[str] = (),
        publish_to_iceberg: dict[str, Any] | None = None,
        extra_args: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.output_format = output_format
        self.part_size = part_size
        self.child_files = child_files
        self.partition_format = partition_format
        self.lists = lists
        self.publish_to_iceberg = publish_to_iceberg
        self.extra_args = extra_args
        if not is_rendered_later(publish_to_iceberg):
            check_iceberg(publish_to_iceberg)

    def row_settings(self) -> dict[str, Any]:
        """Return the arguments of the sink that do not depend on the store."""
        return {
            "output_format": self.output_format,
            "part_size": self.part_size,
            "child_files": self.child_files,
            "partition_format": self.partition_format,
            "dead_letter_raw": self.dead_letter_raw,
            "encrypt": self.encrypt,
            "lists": words(self.lists, "lists", ()),
            "extra_args": self.extra_args or {},
        }

    def reading(self) -> tuple[ObjectStore, ObjectSettings]:
        """Return the store, and the settings that name the objects in it."""
        return cast("ObjectSink", self.make_sink()).reading()

    def letters_at(self, certificate: Certificate) -> str:
        """Return the URL of their folder."""
        return letters_of(certificate.location, self.prefix())

    def prefix(self) -> str:
        """Return the beginning of every key."""
        return text(getattr(self, self.prefix_argument), self.prefix_argument)


class GenesysExportToObjectStoreOperator(GenesysExportTransferOperator, ObjectStoreLoader):
    """Load an export into an object store, or with ``output_format="raw"`` land its archive unchanged."""

    def row_settings(self) -> dict[str, Any]:
        """Return the arguments of the sink; for a raw archive, those that its landing uses."""
        if self.output_format != "raw":
            return super().row_settings()
        return {
            "part_size": self.part_size,
            "partition_format": self.partition_format,
            "dead_letter_raw": "drop",
            "extra_args": self.extra_args or {},
        }

    def sink_view(self, contract: Contract) -> SinkView | None:
        """Return the view of the prefix for its reconciliation."""
        store, settings = self.reading()
        return view_of_folder(store, settings.prefix, settings.partition_format, contract)

    def arrived(self, certificate: Certificate) -> str:
        """Return what is there; of a raw archive no record was read."""
        if self.output_format != "raw":
            return super().arrived(certificate)
        return f"{certificate.bytes_read:,} bytes, as Genesys made them."

    def read_by(self, contract: Contract) -> str:
        """Return the contract's fingerprint; a raw archive is read with no contract."""
        return "raw" if self.output_format == "raw" else super().read_by(contract)

    def load_export(
        self, context: Context, mirror: CheckpointMirror, handle: dict[str, Any], *, restart: bool
    ) -> dict[str, Any]:
        """Load the rows, or land the archive."""
        if self.output_format != "raw":
            return super().load_export(context, mirror, handle, restart=restart)
        from airflow_provider_genesys.pipeline.land import land

        load, options = self.prepare(context, mirror, handle, restart=restart)
        self._check_landable(load)
        certificate = land(
            load,
            {name: handle.get(name) for name in _OF_THE_HANDLE},
            lambda start: open_archive(self.hook, handle, start.source, self.landed),
            cast("ObjectSink", self.make_sink()).landing(),
            options,
            mirror.committed,
        )
        return self.report(context, certificate, load.contract)

    def _check_landable(self, load: Load) -> None:
        if words(self.lists, "lists", ()):
            raise ConfigurationError(
                "output_format='raw' lands an archive, which has no rows to list: leave out lists."
            )
        if self.publish_to_iceberg:
            raise ConfigurationError("publish_to_iceberg needs output_format='parquet', and it is 'raw'.")
        if load.shard:
            raise ConfigurationError("output_format='raw' lands an archive whole. Leave out shard.")
        if isinstance(family(load.kind, self.hook.config), PagedFamily):
            raise ConfigurationError(
                f"An export of the kind {load.kind!r} has pages and no archive: output_format='raw' cannot land "
                "it. Choose 'ndjson.gz', 'ndjson' or 'parquet'."
            )
