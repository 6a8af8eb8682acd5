"""
### Genesys Cloud conversations, one day at a time, and what Genesys has corrected since

Asks the analytics API for all conversations that began on a day, with their participants, sessions, segments and
metrics, and loads them into PostgreSQL and S3. Each load is held against what Genesys has counted of the day. So are
the days before, at the ages of `reconcile_days`: details may come late, and Genesys works on its data for about three
days. A day that differs is exported again, and takes the place of what was loaded.

* **Runs** every day at two in the morning UTC, when the day before is in analytics.
* **Backfill** from the UI: *Trigger* → *Backfill*. Set `reconcile_days` to `[]`: every day is compared as it is loaded.
* **By hand**: *Trigger*, with a window in the form; each UTC day that it touches is exported.
* **Watch**: the XCom `checkpoint` of the loading tasks.

Connections: `genesys_default`, `postgres_default`, `aws_default`. The OAuth client needs the permission
`analytics:conversationDetail:view`, and `analytics:conversationAggregate:view` to compare.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.sdk import DAG, Asset, Param, get_current_context, task

from airflow_provider_genesys.completeness.policy import AGES, day_before, days_at_ages, days_to_reload, merged
from airflow_provider_genesys.operators.export import GenesysCreateExportOperator
from airflow_provider_genesys.operators.reconcile import GenesysReconcileOperator
from airflow_provider_genesys.operators.verify import GenesysVerifyExportOperator
from airflow_provider_genesys.sensors.export import GenesysExportSensor
from airflow_provider_genesys.transfers.genesys_to_postgres import GenesysExportToPostgresOperator
from airflow_provider_genesys.transfers.genesys_to_s3 import GenesysExportToS3Operator
from airflow_provider_genesys.window import days_of, read_window, resolve_window

try:
    from airflow.sdk import CronDataIntervalTimetable
except ImportError:  # before Airflow 3.3
    from airflow.timetables.interval import CronDataIntervalTimetable

CONVERSATIONS = Asset("genesys_conversation_details")
KIND = "conversation_details"

with DAG(
    dag_id="genesys_conversation_details_daily",
    description="Genesys Cloud conversations of one day, and corrections of the days before, into PostgreSQL and S3",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("0 2 * * *", timezone="UTC"),
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
            description="Any moment of the first day, UTC. Empty: the run's data interval.",
        ),
        "window_end": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="Window end",
            description="First moment that no longer belongs to the window.",
        ),
        "reconcile_days": Param(
            list(AGES),
            type="array",
            items={"type": "integer", "minimum": 2},
            title="Ages of the days to compare again; the newest is 1. A day that differs is exported again",
        ),
        "look_back_days": Param(0, type="integer", minimum=0, title="Days before the window to export in any case"),
        "schema": Param("public", type="string", title="PostgreSQL schema"),
        "table": Param(KIND, type="string", title="PostgreSQL table"),
        "create_table": Param(False, type="boolean", title="Create another table than that of this form"),  # noqa: FBT003
        "s3_bucket": Param("genesys", type="string", title="S3 bucket"),
        "s3_prefix": Param(KIND, type="string", title="S3 prefix"),
        "max_dead_letter_ratio": Param(
            0.01, type="number", minimum=0, maximum=1, title="Share of conversations that may become dead letters"
        ),
    },
    render_template_as_native_obj=True,
    tags=["genesys", "conversations"],
) as dag:
    # A run at two in the morning is about the days that have ended, not about the two hours since.
    @task
    def older_days() -> list[dict[str, str]]:
        """Return the windows to compare again."""
        context = get_current_context()
        newest = days_of(day_before(resolve_window(None, None, context)))[0]
        window = read_window("the newest day", newest["window_start"], newest["window_end"])
        return days_at_ages(window, context["params"]["reconcile_days"])

    compared = GenesysReconcileOperator.partial(
        task_id="reconcile",
        schema="{{ params.schema }}",
        table="{{ params.table }}",
        max_active_tis_per_dag=2,
    ).expand_kwargs(older_days())

    @task(trigger_rule="none_failed")  # there may be nothing to compare
    def days(found: Sequence[dict[str, Any]] | None = None) -> list[dict[str, str]]:
        """Return the windows to export: one for each UTC day, and those that differ from what Genesys counts."""
        context = get_current_context()
        ended = day_before(resolve_window(None, None, context))
        return merged(days_of(ended, look_back=context["params"]["look_back_days"]), days_to_reload(found or []))

    create = GenesysCreateExportOperator.partial(
        task_id="create_export",
        kind=KIND,
        options={"startOfDayIntervalMatching": True},  # each conversation in the day on which it began, and no other
        deferrable=True,  # it waits until Genesys has all data of the day
        max_active_tis_per_dag=2,
    ).expand_kwargs(days(compared.output))
    wait = GenesysExportSensor.partial(task_id="wait_for_export", kind=KIND, deferrable=True).expand(
        export_id=create.output
    )
    to_postgres = GenesysExportToPostgresOperator.partial(
        task_id="load_into_postgres",
        schema="{{ params.schema }}",
        table="{{ params.table }}",
        create_table="{{ params.create_table or params.table == dag.params.table }}",
        max_dead_letter_ratio="{{ params.max_dead_letter_ratio }}",
        allow_empty=True,
        deferrable=True,
        max_active_tis_per_dag=2,
    ).expand(handle=wait.output)
    to_s3 = GenesysExportToS3Operator.partial(
        task_id="load_into_s3",
        s3_bucket="{{ params.s3_bucket }}",
        s3_prefix="{{ params.s3_prefix }}",
        max_dead_letter_ratio="{{ params.max_dead_letter_ratio }}",
        allow_empty=True,
        deferrable=True,
        max_active_tis_per_dag=2,
    ).expand(handle=wait.output)
    GenesysVerifyExportOperator.partial(task_id="certificate", outlets=[CONVERSATIONS]).expand(
        certificates=to_postgres.output.zip(to_s3.output)
    )
