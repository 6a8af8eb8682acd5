"""
### Genesys Cloud aggregates, one day at a time

Asks the analytics API what it has counted in each half hour of a day, and loads it into PostgreSQL and S3: one row for
each group, half hour and metric. The domain says which metrics, and by what they are grouped; see `docs/aggregates.md`.

* **Runs** every day at six in the morning, about the day before. The three days before that are exported again: Genesys
  works on its numbers for days, and what it has corrected takes the place of what was loaded.
* **Backfill** from the UI: *Trigger* → *Backfill*. Set `look_back_days` to 0: older days do not change any more.
* **By hand**: *Trigger*, with a window in the form; each day that it touches is exported.

Connections: `genesys_default`, `postgres_default`, `aws_default`. The OAuth client needs the permission
`analytics:conversationAggregate:view`, or that of the domain.
"""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from airflow.sdk import DAG, Asset, Param, get_current_context, task

from airflow_provider_genesys.operators.export import GenesysCreateExportOperator
from airflow_provider_genesys.operators.verify import GenesysVerifyExportOperator
from airflow_provider_genesys.sensors.export import GenesysExportSensor
from airflow_provider_genesys.transfers.genesys_to_postgres import GenesysExportToPostgresOperator
from airflow_provider_genesys.transfers.genesys_to_s3 import GenesysExportToS3Operator
from airflow_provider_genesys.window import days_of, resolve_window

try:
    from airflow.sdk import CronDataIntervalTimetable
except ImportError:  # before Airflow 3.3
    from airflow.timetables.interval import CronDataIntervalTimetable

AGGREGATES = Asset("genesys_aggregates")
KIND = "aggregates"
TIME_ZONE = "UTC"
"""Where a day begins, for the schedule and for the buckets: a name of the IANA database."""

with DAG(
    dag_id="genesys_aggregates_daily",
    description="What Genesys Cloud has counted in each half hour of a day, into PostgreSQL and S3",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("0 6 * * *", timezone=TIME_ZONE),
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,  # two runs would export the days that both look back to twice
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
            description="Any moment of the first day. Empty: the day before the run.",
        ),
        "window_end": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="Window end",
            description="First moment that no longer belongs to the window.",
        ),
        "domain": Param("conversations", type="string", title="Domain"),
        "granularity": Param("PT30M", type="string", title="Length of a bucket: PT15M, PT30M, PT1H, P1D"),
        "look_back_days": Param(3, type="integer", minimum=0, title="Days before the window to export again"),
        "schema": Param("public", type="string", title="PostgreSQL schema"),
        "table": Param("genesys_aggregates", type="string", title="PostgreSQL table"),
        "create_table": Param(False, type="boolean", title="Create another table than that of this form"),  # noqa: FBT003
        "s3_bucket": Param("genesys", type="string", title="S3 bucket"),
        "s3_prefix": Param(KIND, type="string", title="S3 prefix"),
    },
    render_template_as_native_obj=True,
    tags=["genesys", "aggregates"],
) as dag:

    @task
    def days() -> list[dict[str, str]]:
        """Return the windows to export: one for each day that has ended, and that was changed since."""
        context = get_current_context()
        window = resolve_window(None, None, context)
        # A run at six in the morning is about the days that have ended, not about the six hours since.
        whole = window.end.astimezone(ZoneInfo(TIME_ZONE)).replace(hour=0, minute=0, second=0, microsecond=0)
        ended = type(window)(min(window.start, whole - timedelta(days=1)), whole)
        return days_of(ended, look_back=context["params"]["look_back_days"], time_zone=TIME_ZONE)

    create = GenesysCreateExportOperator.partial(
        task_id="create_export",
        kind=KIND,
        options={
            "domain": "{{ params.domain }}",
            "granularity": "{{ params.granularity }}",
            "time_zone": TIME_ZONE,
        },
        deferrable=True,
        max_active_tis_per_dag=2,
    ).expand_kwargs(days())
    wait = GenesysExportSensor.partial(task_id="wait_for_export", kind=KIND, deferrable=True).expand(
        export_id=create.output
    )
    to_postgres = GenesysExportToPostgresOperator.partial(
        task_id="load_into_postgres",
        schema="{{ params.schema }}",
        table="{{ params.table }}_{{ params.domain }}",
        create_table="{{ params.create_table or params.table == dag.params.table }}",
        write_mode="replace_window",  # a group that Genesys no longer counts has to go
        look_back_days="{{ params.look_back_days + 2 }}",  # whole days of TIME_ZONE, and a day that has ended
        allow_empty=True,
        max_active_tis_per_dag=2,
    ).expand(handle=wait.output)
    to_s3 = GenesysExportToS3Operator.partial(
        task_id="load_into_s3",
        s3_bucket="{{ params.s3_bucket }}",
        s3_prefix="{{ params.s3_prefix }}/{{ params.domain }}",
        allow_empty=True,
        max_active_tis_per_dag=2,
    ).expand(handle=wait.output)
    GenesysVerifyExportOperator.partial(task_id="certificate", outlets=[AGGREGATES]).expand(
        certificates=to_postgres.output.zip(to_s3.output)
    )
