"""The bases of operators that load a listing of entities, such as users or queues."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import Context

from airflow_provider_genesys.exceptions import ConfigurationError, SourceChangedError
from airflow_provider_genesys.tasks.arguments import is_rendered_later
from airflow_provider_genesys.tasks.checkpoint_mirror import CheckpointMirror
from airflow_provider_genesys.tasks.connection import dag_folder
from airflow_provider_genesys.tasks.files import check_file
from airflow_provider_genesys.tasks.rendered import text
from airflow_provider_genesys.times import now
from airflow_provider_genesys.transfers.base import GenesysExportTransferOperator
from airflow_provider_genesys.transfers.object_store import ObjectStoreLoader

if TYPE_CHECKING:
    from airflow_provider_genesys.contracts.contract import Contract
    from airflow_provider_genesys.entities.declaration import Listing
    from airflow_provider_genesys.pipeline.load import Load
    from airflow_provider_genesys.transfers.loader import Results

_OF_EXPORTS = ("handle", "kind", "window_start", "window_end", "filters", "contract", "shard", "expect_records")


class GenesysEntitiesOperator(GenesysExportTransferOperator):
    """Read a listing and load it as a snapshot, in one task: no export is created or waited for.

    A *retry* continues in the middle of the listing; a *cleared* task reads it from its beginning. A listing that
    changes while it is read is read again. ``docs/entities.md`` has the listings, and how to declare one.

    The other parameters are those of :class:`.base.GenesysExportTransferOperator`, except those that name an export.

    :param entity: name of a built-in listing, or the path of a YAML file that declares one (relative to the DAG file's
        folder). It is checked when the DAG is parsed. (templated)
    :param page_size: records per page; None for the listing's own number.
    :param allow_empty: whether a listing without records is a success.
    """

    template_fields: Sequence[str] = ("entity", *GenesysExportTransferOperator.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = GenesysExportTransferOperator.template_fields_renderers

    def __init__(self, *, entity: str, page_size: int | None = None, allow_empty: bool = True, **kwargs: Any) -> None:
        if wrong := sorted(kwargs.keys() & set(self._refused())):
            raise ConfigurationError(f"A listing is loaded without {', '.join(wrong)}: those are for exports.")
        super().__init__(handle={}, page_size=page_size or 0, allow_empty=allow_empty, **kwargs)
        self.entity = entity
        self._entity_in_dag = entity
        self._accept = False
        if not is_rendered_later(entity):
            self.listing()

    @classmethod
    def _refused(cls) -> Sequence[str]:
        """Return the parameters that listings do not have."""
        return _OF_EXPORTS

    def listing(self) -> Listing:
        """Return the declaration of the listing.

        :raises ContractError: there is none, or it is not valid.
        """
        from airflow_provider_genesys.entities.declaration import resolve

        check_file(self, "entity", self.entity, self._entity_in_dag)
        return resolve(text(self.entity, "entity"), dag_folder(self), self.fits)

    def find_handle(self, context: Context) -> dict[str, Any]:
        """Return a handle for the snapshot of this DAG run; its window is the run's day."""
        run = context["dag_run"]
        day = run.run_after.replace(hour=0, minute=0, second=0, microsecond=0)
        name = self.listing().name
        return {
            "export_id": f"{name}@{context['ti'].run_id}",
            "kind": name,
            "window_start": day.isoformat(),
            "window_end": (day + timedelta(days=1)).isoformat(),
            "submitted_at": now().isoformat(),
        }

    def load_of(self, handle: dict[str, Any], context: Context) -> Load:
        """Return the load of this listing in this DAG run; a retry finds it by its id."""
        self.contract = self.listing().contract
        self.filters = {"snapshot": handle["export_id"]}
        return replace(super().load_of(handle, context), self_asked=True)

    def load_export(
        self, context: Context, mirror: CheckpointMirror, handle: dict[str, Any], *, restart: bool
    ) -> dict[str, Any]:
        """Load the listing. If it changes while it is read, load it again from its beginning."""
        from airflow_provider_genesys.entities.walk import READINGS

        for reading in range(1, READINGS):
            try:
                return super().load_export(context, mirror, handle, restart=restart or reading > 1)
            except SourceChangedError as error:
                self.log.warning("%s It is read again from its beginning.", error)
        self._accept = True
        return super().load_export(context, mirror, handle, restart=True)

    @contextmanager
    def results(self, handle: dict[str, Any]) -> Iterator[Results]:
        """Open the listing."""
        from airflow_provider_genesys.entities.walk import ListingWalk

        size, accept = self.page_size or None, self._accept
        walk = ListingWalk(self.hook.get_conn(), self.listing(), page_size=size, accept=accept)
        yield lambda _: walk.pages(handle["export_id"])

    def read_by(self, contract: Contract) -> str:
        """Return how the listing is read: its contract, path and query."""
        return f"{super().read_by(contract)} {self.listing().path} {self.listing().query}"


class GenesysEntitiesToObjectStoreOperator(GenesysEntitiesOperator, ObjectStoreLoader):
    """Load a listing into an object store: one snapshot per run, and a pointer to the newest complete one."""

    def load_export(
        self, context: Context, mirror: CheckpointMirror, handle: dict[str, Any], *, restart: bool
    ) -> dict[str, Any]:
        """Load the listing, then set the pointer to the snapshot."""
        from airflow_provider_genesys.sinks.objects.manifest import point_to

        summary = super().load_export(context, mirror, handle, restart=restart)
        store, _ = self.reading()
        if not point_to(store, self.prefix(), summary, datetime.fromisoformat(summary["submitted_at"])):
            self.log.warning("A newer snapshot is already complete: %s keeps pointing to that one.", self.prefix())
        return summary

    def prefix(self) -> str:
        """Return the beginning of every key of this listing."""
        return f"{super().prefix()}/{self.listing().name}"

    @classmethod
    def _refused(cls) -> Sequence[str]:
        return (*super()._refused(), "child_files")
