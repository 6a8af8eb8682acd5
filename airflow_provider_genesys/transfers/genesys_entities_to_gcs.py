"""Load a listing of entities into Google Cloud Storage."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_genesys.transfers.entities import GenesysEntitiesToObjectStoreOperator
from airflow_provider_genesys.transfers.genesys_to_gcs import GCSLoader


class GenesysEntitiesToGCSOperator(GenesysEntitiesToObjectStoreOperator, GCSLoader):
    """Load a listing into a bucket: one complete snapshot per run, below ``<gcs_prefix>/<name of the listing>``.

    ``_latest.json`` there names the manifest of the newest complete one. See ``docs/entities.md``. For the other
    parameters see :class:`.entities.GenesysEntitiesOperator` and
    :class:`.genesys_to_gcs.GenesysExportToGCSOperator`.
    """

    template_fields: Sequence[str] = (
        *GenesysEntitiesToObjectStoreOperator.template_fields,
        *(
            name
            for name in GCSLoader.template_fields
            if name not in GenesysEntitiesToObjectStoreOperator.template_fields
        ),
    )

    def store_conn_id(self) -> str | None:
        """Return the connection to the store."""
        return self.gcp_conn_id

    def prefix(self) -> str:
        """Return what the keys of this listing begin with."""
        return f"{GCSLoader.prefix(self)}/{self.listing().name}"
