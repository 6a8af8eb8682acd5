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

    template_fields: Sequence[str] = (
        *GenesysEntitiesToObjectStoreOperator.template_fields,
        *(
            name
            for name in S3Loader.template_fields
            if name not in GenesysEntitiesToObjectStoreOperator.template_fields
        ),
    )

    def store_conn_id(self) -> str | None:
        """Return the connection to the store."""
        return self.aws_conn_id

    def prefix(self) -> str:
        """Return what the keys of this listing begin with."""
        return f"{S3Loader.prefix(self)}/{self.listing().name}"
