"""Load a listing of entities into Amazon S3."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_genesys.transfers.entities import GenesysEntitiesToObjectStoreOperator
from airflow_provider_genesys.transfers.genesys_to_s3 import S3Loader


class GenesysEntitiesToS3Operator(GenesysEntitiesToObjectStoreOperator, S3Loader):
    """Load a listing into S3: one complete snapshot per run, below ``<s3_prefix>/<name of the listing>``.

    ``_latest.json`` there names the manifest of the newest complete one. See ``docs/entities.md``. For the other
    parameters see :class:`.entities.GenesysEntitiesOperator` and :class:`.genesys_to_s3.GenesysExportToS3Operator`.
    """

    template_fields: Sequence[str] = tuple(
        dict.fromkeys((*GenesysEntitiesToObjectStoreOperator.template_fields, *S3Loader.template_fields))
    )
