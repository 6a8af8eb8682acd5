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

    template_fields: Sequence[str] = tuple(
        dict.fromkeys((*GenesysEntitiesToObjectStoreOperator.template_fields, *GCSLoader.template_fields))
    )
