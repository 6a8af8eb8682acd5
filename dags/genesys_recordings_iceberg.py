"""
### Genesys Cloud recordings into an Iceberg table

Asks Genesys Cloud for an export of the day, waits for it without holding a worker, loads it into S3 as Parquet, and
commits the parts to an Iceberg table: one commit takes the day's old files out and puts the new ones in. A reader of
the table sees the whole day before, or the whole day after.

* **Runs** every day after midnight UTC, for the day before.
* **Backfill** from the UI: *Trigger* → *Backfill*, with the first and the last day.
* **Go back**: each load is a version of the table. The XCom `return_value` of the loading task has its snapshot.

Connections: `genesys_default`, `aws_default`, and `iceberg_default` for the catalog. Needs the extra `iceberg`.
"""

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, Asset, Param

from airflow_provider_genesys.operators.export import GenesysCreateExportOperator
from airflow_provider_genesys.operators.verify import GenesysVerifyExportOperator
from airflow_provider_genesys.sensors.export import GenesysExportSensor
from airflow_provider_genesys.transfers.genesys_to_s3 import GenesysExportToS3Operator

try:
    from airflow.sdk import CronDataIntervalTimetable
except ImportError:  # before Airflow 3.3
    from airflow.timetables.interval import CronDataIntervalTimetable

RECORDINGS = Asset("genesys_recordings_iceberg")

with DAG(
    dag_id="genesys_recordings_iceberg",
    description="Genesys Cloud recordings of one day as a commit in an Iceberg table",
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
        "namespace": Param("genesys", type="string", title="Namespace in the Iceberg catalog"),
        "table": Param("recordings", type="string", title="Iceberg table"),
        "create_table": Param(False, type="boolean", title="Create another table than that of this form"),  # noqa: FBT003
        "s3_bucket": Param("genesys", type="string", title="S3 bucket"),
        "s3_prefix": Param("lake/recordings", type="string", title="S3 prefix"),
        "max_dead_letter_ratio": Param(
            0.01,
            type="number",
            minimum=0,
            maximum=1,
            title="Share of records that may become dead letters",
        ),
    },
    render_template_as_native_obj=True,
    tags=["genesys", "recordings", "iceberg"],
) as dag:
    create = GenesysCreateExportOperator(task_id="create_export", file_format="{{ params.file_format }}")
    wait = GenesysExportSensor(task_id="wait_for_export", export_id=create.output, deferrable=True)
    to_lake = GenesysExportToS3Operator(
        task_id="load_into_lake",
        handle=wait.output,
        s3_bucket="{{ params.s3_bucket }}",
        s3_prefix="{{ params.s3_prefix }}",
        output_format="parquet",
        publish_to_iceberg={
            "conn_id": "iceberg_default",
            "namespace": "{{ params.namespace }}",
            "table": "{{ params.table }}",
            "create": "{{ params.create_table or params.table == dag.params.table }}",
        },
        max_dead_letter_ratio="{{ params.max_dead_letter_ratio }}",
        deferrable=True,
    )
    GenesysVerifyExportOperator(task_id="certificate", certificates=[to_lake.output], outlets=[RECORDINGS])
