"""What the tests of Google Cloud Storage share."""

from __future__ import annotations

from airflow_provider_genesys.cloud.seal import cipher

CIPHER = cipher(["a secret of the tests"], "upload session")
