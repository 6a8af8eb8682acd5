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

    template_fields: Sequence[str] = tuple(
        dict.fromkeys((*GenesysEntitiesToObjectStoreOperator.template_fields, *AzureBlobLoader.template_fields))
    )
