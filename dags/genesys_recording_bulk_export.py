"""
### Genesys Cloud recordings of one day, written by Genesys into a bucket of yours

Creates a recording job that exports the recordings of one UTC day through the organisation's *AWS S3 Recording Bulk
Actions Integration*, starts it when Genesys has found the recordings, and waits for its end. What the job says of
itself becomes a row of a PostgreSQL table; the recordings that it could not export are rejected, id by id.

* **Runs** every day at three in the morning UTC, for the day `delay_days` before the data interval: Genesys may need
  48 hours before a job finds a recording.
* **Exports once**: Genesys skips what an earlier job or a policy has exported. The row says how many that were.
* **Backfill** from the UI: *Trigger* → *Backfill*. An organisation may have two recording jobs at work, whoever made
  them; the task waits for its turn.
* **Never deletes or archives** anything.

Set the parameter `integration_id`. Connections: `genesys_default`, `postgres_default`. The OAuth client's permissions
are listed in `docs/recording-bulk.md`.
"""

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, Asset, Param, get_current_context, task

from airflow_provider_genesys.operators.export import GenesysCreateExportOperator
from airflow_provider_genesys.sensors.export import GenesysExportSensor
from airflow_provider_genesys.transfers.genesys_to_postgres import GenesysExportToPostgresOperator
from airflow_provider_genesys.window import resolve_window

try:
    from airflow.sdk import CronDataIntervalTimetable
except ImportError:  # before Airflow 3.3
    from airflow.timetables.interval import CronDataIntervalTimetable

JOBS = Asset("genesys_recording_bulk")
KIND = "recording_bulk"

with DAG(
    dag_id="genesys_recording_bulk_export",
    description="Genesys Cloud recordings of one day into a bucket of yours, written by Genesys itself",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("0 3 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=2,  # Genesys takes two jobs of an organisation at a time
    default_args={
        "owner": "data",
        "retries": 3,
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=30),
    },
    params={
        "window_start": Param(None, type=["null", "string"], format="date-time", title="Window start"),
        "window_end": Param(None, type=["null", "string"], format="date-time", title="Window end"),
        "integration_id": Param(
            "", type="string", title="Integration", description="Id of the AWS S3 Recording Bulk Actions Integration."
        ),
        "delay_days": Param(2, type="integer", minimum=0, title="Days before the run's data interval"),
        "max_failed": Param(100, type="integer", minimum=0, title="Recordings that the job may fail to export"),
        "schema": Param("public", type="string", title="PostgreSQL schema"),
        "table": Param(KIND, type="string", title="PostgreSQL table"),
        "create_table": Param(False, type="boolean", title="Create another table than that of this form"),  # noqa: FBT003
    },
    render_template_as_native_obj=True,
    tags=["genesys", "recordings"],
) as dag:

    @task
    def window() -> dict[str, str]:
        """Return the UTC day to export, or what the form says."""
        context = get_current_context()
        found = resolve_window(None, None, context)
        if context["params"]["window_start"]:
            return {"start": found.start.isoformat(), "end": found.end.isoformat()}
        midnight = found.end.replace(hour=0, minute=0, second=0, microsecond=0)
        end = midnight - timedelta(days=context["params"]["delay_days"])
        return {"start": (end - timedelta(days=1)).isoformat(), "end": end.isoformat()}

    chosen = window()
    create = GenesysCreateExportOperator(
        task_id="create_export",
        kind=KIND,
        window_start=chosen["start"],
        window_end=chosen["end"],
        filters={"startOfDayIntervalMatching": True},
        options={"integrationId": "{{ params.integration_id }}"},
        deferrable=True,
    )
    wait = GenesysExportSensor(
        task_id="wait_for_export",
        kind=KIND,
        export_id=create.output,
        timeout=timedelta(days=3),  # archived recordings take many hours
        deferrable=True,
    )
    report = GenesysExportToPostgresOperator(
        task_id="report",
        handle=wait.output,
        schema="{{ params.schema }}",
        table="{{ params.table }}",
        create_table="{{ params.create_table or params.table == dag.params.table }}",
        max_dead_letters="{{ params.max_failed }}",
        max_dead_letter_ratio=None,  # of one row, any failed recording would be too large a share
        dead_letter_raw="keep",  # ids alone: in clear, they can be looked up
        outlets=[JOBS],
    )
