"""
### Genesys Cloud recordings of one day, file by file, into S3

Asks analytics for the conversations that began on a UTC day, fetches the media of their recordings in batches, and
streams each file into S3, named by conversation and recording. A row of a PostgreSQL table tells of each:
metadata, key, bytes and SHA-256. What is there already is not fetched again.

* **Runs** every day at four in the morning UTC, for the day before.
* **Backfill** from the UI: *Trigger* → *Backfill*.
* **Rejected**: recordings that Genesys gives no media for, or leaves out because they hold sensitive data.
* **Large amounts** are better exported by Genesys itself: see the DAG `genesys_recording_bulk_export`.

Connections: `genesys_default`, `postgres_default`, `aws_default`. Permissions: see `docs/recording-media.md`.
"""

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, Asset, Param

from airflow_provider_genesys.operators.export import GenesysCreateExportOperator
from airflow_provider_genesys.sensors.export import GenesysExportSensor
from airflow_provider_genesys.transfers.genesys_media_to_s3 import GenesysRecordingMediaToS3Operator

try:
    from airflow.sdk import CronDataIntervalTimetable
except ImportError:  # before Airflow 3.3
    from airflow.timetables.interval import CronDataIntervalTimetable

RECORDINGS = Asset("genesys_recording_media")
KIND = "recording_media"

with DAG(
    dag_id="genesys_recording_media_daily",
    description="Genesys Cloud recordings of one day into S3, and what is known of them into PostgreSQL",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("0 4 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=2,
    default_args={
        "owner": "data",
        "retries": 3,
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=30),
    },
    params={
        "window_start": Param(None, type=["null", "string"], format="date-time", title="Window start"),
        "window_end": Param(None, type=["null", "string"], format="date-time", title="Window end"),
        "schema": Param("public", type="string", title="PostgreSQL schema"),
        "table": Param(KIND, type="string", title="PostgreSQL table"),
        "create_table": Param(False, type="boolean", title="Create another table than that of this form"),  # noqa: FBT003
        "s3_bucket": Param("genesys", type="string", title="S3 bucket"),
        "s3_prefix": Param(KIND, type="string", title="S3 prefix"),
        "max_dead_letter_ratio": Param(
            0.1, type="number", minimum=0, maximum=1, title="Share of recordings that may become dead letters"
        ),
    },
    render_template_as_native_obj=True,
    tags=["genesys", "recordings"],
) as dag:
    create = GenesysCreateExportOperator(
        task_id="create_export",
        kind=KIND,
        # The day before: at four in the morning, the data interval ends four hours into the next one.
        window_start="{{ params.window_start or data_interval_start.start_of('day').isoformat() }}",
        window_end="{{ params.window_end or data_interval_end.start_of('day').isoformat() }}",
        options={"startOfDayIntervalMatching": True},
    )
    wait = GenesysExportSensor(task_id="wait_for_export", kind=KIND, export_id=create.output, deferrable=True)
    fetch = GenesysRecordingMediaToS3Operator(
        task_id="fetch_media",
        handle=wait.output,
        schema="{{ params.schema }}",
        table="{{ params.table }}",
        create_table="{{ params.create_table or params.table == dag.params.table }}",
        s3_bucket="{{ params.s3_bucket }}",
        s3_prefix="{{ params.s3_prefix }}",
        max_dead_letter_ratio="{{ params.max_dead_letter_ratio }}",
        allow_empty=True,
        outlets=[RECORDINGS],
    )
