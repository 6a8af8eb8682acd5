"""Load a listing of entities into Azure Blob Storage."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_genesys.transfers.entities import GenesysEntitiesToObjectStoreOperator
from airflow_provider_genesys.transfers.genesys_to_azure_blob import AzureBlobLoader


class GenesysEntitiesToAzureBlobOperator(GenesysEntitiesToObjectStoreOperator, AzureBlobLoader):
    """Load a listing into a container: one complete snapshot per run, below ``<blob_prefix>/<name of the listing>``.

    ``_latest.json`` there names the manifest of the newest complete one. See ``docs/entities.md``. For the other
    parameters see :class:`.entities.GenesysEntitiesOperator` and
    :class:`.genesys_to_azure_blob.GenesysExportToAzureBlobOperator`.
    """

    template_fields: Sequence[str] = (
        *GenesysEntitiesToObjectStoreOperator.template_fields,
        *(
            name
            for name in AzureBlobLoader.template_fields
            if name not in GenesysEntitiesToObjectStoreOperator.template_fields
        ),
    )

    def store_conn_id(self) -> str | None:
        """Return the connection to the store."""
        return self.wasb_conn_id

    def prefix(self) -> str:
        """Return what the keys of this listing begin with."""
        return f"{AzureBlobLoader.prefix(self)}/{self.listing().name}"
