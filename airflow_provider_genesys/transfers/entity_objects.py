"""The base of operators that load a listing into an object store."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from airflow.sdk import Context

from airflow_provider_genesys.hooks.object_store import open_folder
from airflow_provider_genesys.tasks.checkpoint_mirror import CheckpointMirror
from airflow_provider_genesys.transfers.entities import GenesysEntitiesOperator


class GenesysEntitiesToObjectStoreOperator(GenesysEntitiesOperator):
    """Load a listing into an object store: one snapshot per run, and a pointer to the newest complete one."""

    def load_export(
        self, context: Context, mirror: CheckpointMirror, handle: dict[str, Any], *, restart: bool
    ) -> dict[str, Any]:
        """Load the listing, then set the pointer to the snapshot."""
        from airflow_provider_genesys.sinks.objects.pointer import point_to

        summary = super().load_export(context, mirror, handle, restart=restart)
        store, _ = open_folder(summary["location"], self.store_conn_id())
        if not point_to(store, self.prefix(), summary, datetime.fromisoformat(summary["submitted_at"])):
            self.log.warning("A newer snapshot is already complete: %s keeps pointing to that one.", self.prefix())
        return summary

    @abstractmethod
    def store_conn_id(self) -> str | None:
        """Return the connection to the store."""

    @abstractmethod
    def prefix(self) -> str:
        """Return what the keys of this listing begin with."""

    @classmethod
    def _refused(cls) -> Sequence[str]:
        return (*super()._refused(), "child_files")
