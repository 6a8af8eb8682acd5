"""
### Genesys Cloud recordings into Amazon Redshift, one day at a time

Exports a day, loads it into S3 as Parquet, copies exactly the objects of that load into a Redshift table, and compares
the rows that Redshift has copied with the certificate.

Connections: `genesys_default`, `aws_default`. The table exists and has the columns of the contract in their order.
"""

from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.providers.amazon.aws.hooks.redshift_data import RedshiftDataHook
from airflow.providers.amazon.aws.operators.redshift_data import RedshiftDataOperator
from airflow.sdk import DAG, task

from airflow_provider_genesys.operators.export import GenesysCreateExportOperator
from airflow_provider_genesys.sensors.export import GenesysExportSensor
from airflow_provider_genesys.transfers.genesys_to_s3 import GenesysExportToS3Operator

try:
    from airflow.sdk import CronDataIntervalTimetable
except ImportError:  # before Airflow 3.3
    from airflow.timetables.interval import CronDataIntervalTimetable


@task(retries=2)
def check(statements: list[str], certificate: dict[str, Any]) -> int:
    """Compare the number of rows that Redshift has copied with that of the list."""
    answer = RedshiftDataHook(aws_conn_id="aws_default").conn.get_statement_result(Id=statements[-1])
    copied, listed = answer["Records"][0][0]["longValue"], certificate["lists"]["rows"]["rows"]
    if copied != listed:
        raise ValueError(f"Redshift has copied {copied} rows and the list leads to {listed}: clear the task copy.")
    return int(copied)


with DAG(
    dag_id="genesys_to_redshift",
    description="Genesys Cloud recordings of one day into S3 and onward into Redshift",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["genesys", "redshift"],
) as dag:
    create = GenesysCreateExportOperator(task_id="create")
    wait = GenesysExportSensor(task_id="wait", export_id=create.output, deferrable=True)
    to_s3 = GenesysExportToS3Operator(
        task_id="to_s3",
        handle=wait.output,
        s3_bucket="lake",
        s3_prefix="genesys/recordings",
        output_format="parquet",
        lists=("redshift",),
    )
    # The statements are one transaction: readers see the old rows of the day or the new ones.
    copy = RedshiftDataOperator(
        task_id="copy",
        database="analytics",
        workgroup_name="analytics",
        sql=[
            (
                'DELETE FROM recordings WHERE "timestamp" >= \'{{ ti.xcom_pull("to_s3").window_start }}\' '
                'AND "timestamp" < \'{{ ti.xcom_pull("to_s3").window_end }}\''
            ),
            (
                "COPY recordings FROM '{{ ti.xcom_pull(\"to_s3\").lists.rows.redshift }}' "
                "IAM_ROLE default MANIFEST FORMAT PARQUET"
            ),
            "SELECT pg_last_copy_count()",
        ],
    )
    to_s3 >> copy
    check(copy.output, to_s3.output)
