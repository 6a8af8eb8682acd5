"""
### Genesys Cloud recordings, one day at a time

Asks Genesys Cloud for an export of the day, waits for it without holding a worker, loads it into PostgreSQL and S3 at
the same time, and compares the two.

* **Runs** every day after midnight UTC, for the day before.
* **Backfill** from the UI: *Trigger* → *Backfill*, with the first and the last day. Loading a day again changes nothing
  but what Genesys itself has corrected.
* **By hand**: *Trigger*, with a window in the form, or with a logical date.
* **Watch**: the XCom `checkpoint` of the loading tasks (on Airflow 3.3 also their *Task State Store*).

Connections: `genesys_default`, `postgres_default`, `aws_default`. Nothing else has to be configured.
"""

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, Asset, Param

from airflow_provider_genesys.operators.export import GenesysCreateExportOperator
from airflow_provider_genesys.operators.verify import GenesysVerifyExportOperator
from airflow_provider_genesys.sensors.export import GenesysExportSensor
from airflow_provider_genesys.transfers.genesys_to_postgres import GenesysExportToPostgresOperator
from airflow_provider_genesys.transfers.genesys_to_s3 import GenesysExportToS3Operator

try:
    from airflow.sdk import CronDataIntervalTimetable
except ImportError:  # before Airflow 3.3
    from airflow.timetables.interval import CronDataIntervalTimetable

RECORDINGS = Asset("genesys_recordings")

with DAG(
    dag_id="genesys_recordings_daily",
    description="Genesys Cloud recordings of one day into PostgreSQL and S3",
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
        "window_start": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="Window start",
            description="First moment to export, UTC. Empty: the run's data interval.",
        ),
        "window_end": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="Window end",
            description="First moment that no longer belongs to the export.",
        ),
        "file_format": Param("ndjson", enum=["ndjson", "json"], title="Format of the archive"),
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
        ),
    },
    render_template_as_native_obj=True,
    tags=["genesys", "recordings"],
) as dag:
    create = GenesysCreateExportOperator(task_id="create_export", file_format="{{ params.file_format }}")
    wait = GenesysExportSensor(task_id="wait_for_export", export_id=create.output, deferrable=True)
    to_postgres = GenesysExportToPostgresOperator(
        task_id="load_into_postgres",
        handle=wait.output,
        schema="{{ params.schema }}",
        table="{{ params.table }}",
        create_table="{{ params.create_table or params.table == dag.params.table }}",
        max_dead_letter_ratio="{{ params.max_dead_letter_ratio }}",
        deferrable=True,
    )
    to_s3 = GenesysExportToS3Operator(
        task_id="load_into_s3",
        handle=wait.output,
        s3_bucket="{{ params.s3_bucket }}",
        s3_prefix="{{ params.s3_prefix }}",
        max_dead_letter_ratio="{{ params.max_dead_letter_ratio }}",
        deferrable=True,
    )
    GenesysVerifyExportOperator(
        task_id="certificate",
        certificates=[to_postgres.output, to_s3.output],
        outlets=[RECORDINGS],
    )
