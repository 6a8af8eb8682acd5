"""What a load imports and looks for the first time, for a process whose forks are to begin at once."""

from __future__ import annotations

from importlib import import_module

for name in (
    "tests.support.airflow_home",
    "tests.unit.transfers.test_entities_killed",
    "airflow.sdk.execution_time.supervisor",
    "airflow.providers.amazon.aws.hooks.s3",
    "airflow.providers.postgres.hooks.postgres",
    "airflow_provider_genesys.cloud.http.client",
    "airflow_provider_genesys.entities.walk",
    "airflow_provider_genesys.pipeline.run",
    "airflow_provider_genesys.sinks.postgres.snapshots",
    "airflow_provider_genesys.sinks.s3",
):
    import_module(name)
import_module("airflow.sdk.lineage").get_hook_lineage_collector()
