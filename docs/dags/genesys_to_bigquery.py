"""
### Genesys Cloud recordings into BigQuery, one day at a time

Exports a day, loads it into Google Cloud Storage as Parquet, loads exactly the objects of that load into the day's
partition of a BigQuery table, and compares the rows that BigQuery has written with the certificate.

Connections: `genesys_default`, `google_cloud_default`. The table exists and is partitioned by the day of `timestamp`.
"""

import json
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlsplit

from airflow.providers.google.cloud.hooks.bigquery import BigQueryHook
from airflow.providers.google.cloud.hooks.gcs import GCSHook
from airflow.providers.google.cloud.operators.bigquery import BigQueryInsertJobOperator
from airflow.sdk import DAG, task

from airflow_provider_genesys.operators.export import GenesysCreateExportOperator
from airflow_provider_genesys.sensors.export import GenesysExportSensor
from airflow_provider_genesys.transfers.genesys_to_gcs import GenesysExportToGCSOperator

try:
    from airflow.sdk import CronDataIntervalTimetable
except ImportError:  # before Airflow 3.3
    from airflow.timetables.interval import CronDataIntervalTimetable

PROJECT, DATASET, TABLE, LOCATION = "analytics", "genesys", "recordings", "EU"


@task
def configuration(certificate: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of the load job: the listed objects replace the day's partition."""
    place = urlsplit(certificate["lists"]["rows"]["bigquery"])
    listed = json.loads(GCSHook("google_cloud_default").download(place.netloc, place.path.lstrip("/")))
    if len(listed["source_uris"]) > 1:
        raise ValueError("The load has more objects than one job takes: choose a larger part_size.")
    day = certificate["window_start"][:10].replace("-", "")
    return {
        "load": {
            "sourceUris": [uri for group in listed["source_uris"] for uri in group],
            "sourceFormat": listed["source_format"],
            "destinationTable": {"projectId": PROJECT, "datasetId": DATASET, "tableId": f"{TABLE}${day}"},
            "writeDisposition": "WRITE_TRUNCATE",
        }
    }


@task
def check(job_id: str, certificate: dict[str, Any]) -> int:
    """Compare the number of rows that BigQuery has written with that of the list."""
    job = BigQueryHook("google_cloud_default").get_job(job_id=job_id, project_id=PROJECT, location=LOCATION)
    written, listed = int(job.output_rows), certificate["lists"]["rows"]["rows"]
    if written != listed:
        raise ValueError(f"BigQuery has written {written} rows and the list leads to {listed}: clear the task load.")
    return written


with DAG(
    dag_id="genesys_to_bigquery",
    description="Genesys Cloud recordings of one day into Google Cloud Storage and onward into BigQuery",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["genesys", "bigquery"],
) as dag:
    create = GenesysCreateExportOperator(task_id="create")
    wait = GenesysExportSensor(task_id="wait", export_id=create.output, deferrable=True)
    to_gcs = GenesysExportToGCSOperator(
        task_id="to_gcs",
        handle=wait.output,
        gcs_bucket="lake",
        gcs_prefix="genesys/recordings",
        output_format="parquet",
        lists=("bigquery",),
    )
    load = BigQueryInsertJobOperator(
        task_id="load", configuration=configuration(to_gcs.output), project_id=PROJECT, location=LOCATION
    )
    check(load.output, to_gcs.output)
