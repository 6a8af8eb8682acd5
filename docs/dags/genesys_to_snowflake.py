"""
### Genesys Cloud recordings into Snowflake, one day at a time

Exports a day, loads it into S3 as Parquet, copies exactly the objects of that load into a Snowflake table, and compares
the rows that Snowflake has loaded with the certificate.

Connections: `genesys_default`, `aws_default`, `snowflake_default`. The table exists, and so does a stage on the root of
the bucket.
"""

import json
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlsplit

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.sdk import DAG, task

from airflow_provider_genesys.operators.export import GenesysCreateExportOperator
from airflow_provider_genesys.sensors.export import GenesysExportSensor
from airflow_provider_genesys.transfers.genesys_to_s3 import GenesysExportToS3Operator

try:
    from airflow.sdk import CronDataIntervalTimetable
except ImportError:  # before Airflow 3.3
    from airflow.timetables.interval import CronDataIntervalTimetable

TABLE = "recordings"
STAGE = "lake"
ROWS_LOADED = 3
"""Column of COPY INTO's answer; the first is the file."""


@task
def statements(certificate: dict[str, Any]) -> list[str]:
    """Return the statements of one transaction: the day's rows go, and those of the listed files come."""
    place = urlsplit(certificate["lists"]["rows"]["snowflake"])
    listed = json.loads(S3Hook("aws_default").read_key(place.path.lstrip("/"), place.netloc))
    start, end = certificate["window_start"], certificate["window_end"]
    # FORCE: Snowflake remembers files for 64 days, and their rows were just deleted.
    copies = [one.replace("<table>", TABLE).replace("<stage>", STAGE) + " FORCE = TRUE" for one in listed["statements"]]
    return [f"DELETE FROM {TABLE} WHERE timestamp >= '{start}' AND timestamp < '{end}'", *copies]  # noqa: S608 - our own window


@task
def check(answers: list[list[list[Any]]], certificate: dict[str, Any]) -> int:
    """Compare the number of rows that Snowflake has loaded with that of the list."""
    files = [row for answer in answers[1:] for row in answer if len(row) > ROWS_LOADED]
    loaded, listed = sum(int(row[ROWS_LOADED]) for row in files), certificate["lists"]["rows"]["rows"]
    if loaded != listed:
        raise ValueError(f"Snowflake has loaded {loaded} rows and the list leads to {listed}: clear the task copy.")
    return loaded


with DAG(
    dag_id="genesys_to_snowflake",
    description="Genesys Cloud recordings of one day into S3 and onward into Snowflake",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["genesys", "snowflake"],
) as dag:
    create = GenesysCreateExportOperator(task_id="create")
    wait = GenesysExportSensor(task_id="wait", export_id=create.output, deferrable=True)
    to_s3 = GenesysExportToS3Operator(
        task_id="to_s3",
        handle=wait.output,
        s3_bucket="lake",
        s3_prefix="genesys/recordings",
        output_format="parquet",
        lists=("snowflake",),
    )
    copy = SQLExecuteQueryOperator(
        task_id="copy",
        conn_id="snowflake_default",
        sql=statements(to_s3.output),
        autocommit=False,  # one transaction
        return_last=False,
    )
    check(copy.output, to_s3.output)
