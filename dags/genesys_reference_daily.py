"""
### Genesys Cloud reference data, every night

Reads the listings of the organisation (users, queues, wrap-up codes, skills, teams and so on) and loads each as a
snapshot: into a PostgreSQL table of its name, where what is gone is marked with `_deleted_at` and every version is kept
in `<table>_history`; and into S3, one complete snapshot a run. `docs/entities.md` has the listings and the permissions
that they need, `docs/models.md` has views that join them with conversations.

* **Runs** every night at four. A run reads what there is now: to run an older day again does not bring that day back.
* **Narrow it** with the param `entities`; the path of a YAML file is a listing of your own.
* **A listing that fails** fails alone; the summary then fails, too, and names it.

Connections: `genesys_default`, `postgres_default`, `aws_default`.
"""

from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.exceptions import AirflowFailException
from airflow.sdk import DAG, Asset, Param, TriggerRule, get_current_context, task

from airflow_provider_genesys.transfers.genesys_entities_to_postgres import GenesysEntitiesToPostgresOperator
from airflow_provider_genesys.transfers.genesys_entities_to_s3 import GenesysEntitiesToS3Operator

REFERENCE = Asset("genesys_reference")

with DAG(
    dag_id="genesys_reference_daily",
    description="Users, queues, wrap-up codes and all other listings of Genesys Cloud, into PostgreSQL and S3",
    doc_md=__doc__,
    schedule="0 4 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args={
        "owner": "data",
        "retries": 3,
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=30),
    },
    params={
        "entities": Param(
            [],
            type="array",
            items={"type": "string"},
            title="Listings",
            description="Names, or paths of YAML files. Empty: all that come with the package.",
        ),
        "max_deleted_ratio": Param(0.2, type="number", minimum=0, maximum=1, title="Share that may be gone at once"),
        "schema": Param("public", type="string", title="PostgreSQL schema"),
        "s3_bucket": Param("genesys", type="string", title="S3 bucket"),
        "s3_prefix": Param("entities", type="string", title="S3 prefix"),
    },
    render_template_as_native_obj=True,
    tags=["genesys", "reference"],
) as dag:

    @task
    def entities() -> list[str]:
        """Return the listings to read."""
        from airflow_provider_genesys.entities.declaration import built_in_names

        return get_current_context()["params"]["entities"] or built_in_names()

    @task(trigger_rule=TriggerRule.ALL_DONE, outlets=[REFERENCE])
    def summary(names: list[str], certificates: Any) -> list[dict[str, Any]]:
        """Print what became of each listing, and fail where one of them is missing."""
        rows = [{"entity": one["kind"], **one["snapshot"]} for one in certificates or [] if one]
        for row in rows:
            print(" ".join(f"{name}={value}" for name, value in row.items()))  # noqa: T201 - for the task's log
        if len(rows) < len(names):
            raise AirflowFailException(f"{len(names) - len(rows)} of {len(names)} listings failed: see their tasks.")
        return rows

    listed = entities()
    to_postgres = GenesysEntitiesToPostgresOperator.partial(
        task_id="load_into_postgres",
        schema="{{ params.schema }}",
        max_deleted_ratio="{{ params.max_deleted_ratio }}",
        history=True,
        max_active_tis_per_dag=2,
    ).expand(entity=listed)
    to_s3 = GenesysEntitiesToS3Operator.partial(
        task_id="load_into_s3",
        s3_bucket="{{ params.s3_bucket }}",
        s3_prefix="{{ params.s3_prefix }}",
        max_active_tis_per_dag=2,
    ).expand(entity=listed)
    to_s3 >> summary(listed, to_postgres.output)
