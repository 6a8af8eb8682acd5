"""
### Genesys Cloud: finish loads that have failed

Loads that the daily DAG has begun and given up, all retries spent, are taken up from where they stopped, without a
person: from their checkpoint while their export is alive, else with a new export of the same window.

* **Runs** every day at six, after the retries of the night.
* **Finds** them in the ledgers of PostgreSQL and S3. A load whose task still runs or will be tried again is left alone.
* **Watch**: the XCom `return_value` lists the certificates of what was finished. What fails here fails this DAG, and is
  taken up again the next day.

Connections: `genesys_default`, `postgres_default`, `aws_default`. Give it the table, prefix and other settings that the
loading tasks have.
"""

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, Param

from airflow_provider_genesys.operators.finish_loads import (
    GenesysFinishPostgresLoadsOperator,
    GenesysFinishS3LoadsOperator,
)

with DAG(
    dag_id="genesys_finish_failed_loads",
    description="Loads of Genesys Cloud exports that have failed, finished",
    doc_md=__doc__,
    schedule="0 6 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args={"owner": "data", "retries": 2, "retry_delay": timedelta(minutes=5)},
    params={
        "schema": Param("public", type="string", title="PostgreSQL schema"),
        "table": Param("genesys_recordings", type="string", title="PostgreSQL table"),
        "s3_bucket": Param("genesys", type="string", title="S3 bucket"),
        "s3_prefix": Param("recordings", type="string", title="S3 prefix"),
        "max_dead_letter_ratio": Param(
            0.01, type="number", minimum=0, maximum=1, title="Share that may become dead letters"
        ),
    },
    render_template_as_native_obj=True,
    tags=["genesys", "recordings"],
) as dag:
    GenesysFinishPostgresLoadsOperator(
        task_id="finish_postgres_loads",
        schema="{{ params.schema }}",
        table="{{ params.table }}",
        max_dead_letter_ratio="{{ params.max_dead_letter_ratio }}",
        deferrable=True,
    )
    GenesysFinishS3LoadsOperator(
        task_id="finish_s3_loads",
        s3_bucket="{{ params.s3_bucket }}",
        s3_prefix="{{ params.s3_prefix }}",
        max_dead_letter_ratio="{{ params.max_dead_letter_ratio }}",
        deferrable=True,
    )
