"""
### Genesys Cloud recordings, one day at a time, each in several tasks

As `genesys_recordings_daily`, for archives of many GB: the archive is cut into byte ranges of whole records, and each
range is loaded by a task of its own, on whichever workers there are. Each has its own checkpoint; the last one to end
closes the account of the whole, and `certificate` compares PostgreSQL with S3.

* **How many tasks**: one for each `shard_gb` gigabytes, and no more than `max_shards`. A short archive, or one that is
  packed or an array, is loaded by one task.
* **Clear one shard** to load it again: until it has ended, the load does not count as complete.
* **Backfill** from the UI: *Trigger* → *Backfill*.

Connections: `genesys_default`, `postgres_default`, `aws_default`. Nothing else has to be configured.
"""

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, Asset, Param

from airflow_provider_genesys.operators.export import GenesysCreateExportOperator
from airflow_provider_genesys.operators.shards import GenesysPlanShardsOperator
from airflow_provider_genesys.operators.verify import GenesysVerifyExportOperator
from airflow_provider_genesys.sensors.export import GenesysExportSensor
from airflow_provider_genesys.transfers.genesys_to_postgres import GenesysExportToPostgresOperator
from airflow_provider_genesys.transfers.genesys_to_s3 import GenesysExportToS3Operator

try:
    from airflow.sdk import CronDataIntervalTimetable
except ImportError:  # before Airflow 3.3
    from airflow.timetables.interval import CronDataIntervalTimetable

with DAG(
    dag_id="genesys_recordings_sharded",
    description="Genesys Cloud recordings of one day into PostgreSQL and S3, each in several tasks",
    doc_md=__doc__,
    # Not "@daily": in Airflow 3 that gives runs whose data interval has no length.
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=2,  # as many exports as Genesys should work on at once
    default_args={
        "owner": "data",
        "retries": 3,
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=30),
    },
    params={
        "shard_gb": Param(1.0, type="number", exclusiveMinimum=0, title="GB to a shard, or more"),
        "max_shards": Param(16, type="integer", minimum=1, maximum=1000, title="Shards, at most"),
        "schema": Param("public", type="string", title="PostgreSQL schema"),
        "table": Param("genesys_recordings", type="string", title="PostgreSQL table"),
        "create_table": Param(False, type="boolean", title="Create another table than that of this form"),  # noqa: FBT003
        "s3_bucket": Param("genesys", type="string", title="S3 bucket"),
        "s3_prefix": Param("recordings", type="string", title="S3 prefix"),
        "max_dead_letter_ratio": Param(
            0.01,
            type="number",
            minimum=0,
            maximum=1,
            title="Share of records that may become dead letters",
            description="Of all shards together.",
        ),
    },
    render_template_as_native_obj=True,
    tags=["genesys", "recordings"],
) as dag:
    create = GenesysCreateExportOperator(task_id="create_export", file_format="ndjson")
    wait = GenesysExportSensor(task_id="wait_for_export", export_id=create.output, deferrable=True)
    plan = GenesysPlanShardsOperator(
        task_id="plan_shards",
        handle=wait.output,
        shard_size="{{ (params.shard_gb * 1e9) | int }}",
        max_shards="{{ params.max_shards }}",
    )
    to_postgres = GenesysExportToPostgresOperator.partial(
        task_id="load_into_postgres",
        handle=wait.output,
        schema="{{ params.schema }}",
        table="{{ params.table }}",
        create_table="{{ params.create_table or params.table == dag.params.table }}",
        max_dead_letter_ratio="{{ params.max_dead_letter_ratio }}",
    ).expand(shard=plan.output)
    to_s3 = GenesysExportToS3Operator.partial(
        task_id="load_into_s3",
        handle=wait.output,
        s3_bucket="{{ params.s3_bucket }}",
        s3_prefix="{{ params.s3_prefix }}",
        max_dead_letter_ratio="{{ params.max_dead_letter_ratio }}",
    ).expand(shard=plan.output)
    GenesysVerifyExportOperator(
        task_id="certificate",
        certificates=[to_postgres.output, to_s3.output],
        outlets=[Asset("genesys_recordings")],
    )
