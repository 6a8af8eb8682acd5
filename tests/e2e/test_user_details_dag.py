"""User details from create to certificate, run by Airflow against PostgreSQL, an HTTP Genesys and an S3 server."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.sdk import DAG

from airflow_provider_genesys.operators.export import GenesysCreateExportOperator
from airflow_provider_genesys.operators.verify import GenesysVerifyExportOperator
from airflow_provider_genesys.sensors.export import GenesysExportSensor
from airflow_provider_genesys.transfers.genesys_to_postgres import GenesysExportToPostgresOperator
from airflow_provider_genesys.transfers.genesys_to_s3 import GenesysExportToS3Operator
from tests.support.airflow_home import run_dag, xcoms

if TYPE_CHECKING:
    from conftest import Warehouse

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)
USERS = 40
PAGE = (Path(__file__).parents[2] / "docs" / "user-details.md").read_text()


def make_dag(bucket: str) -> DAG:
    """Return the DAG of docs/user-details.md, into both sinks, in pages of twelve users."""
    with DAG("user_details", schedule=None, start_date=DAY) as dag:
        create = GenesysCreateExportOperator(task_id="create_export", kind="user_details")
        wait = GenesysExportSensor(
            task_id="wait", kind="user_details", export_id=create.output, deferrable=True, poll_interval=0.05
        )
        to_postgres = GenesysExportToPostgresOperator(
            task_id="load_into_postgres", handle=wait.output, table="user_details", page_size=12
        )
        to_s3 = GenesysExportToS3Operator(
            task_id="load_into_s3", handle=wait.output, s3_bucket=bucket, s3_prefix="users", page_size=12
        )
        GenesysVerifyExportOperator(task_id="certificate", certificates=[to_postgres.output, to_s3.output])
    return dag


def test_two_days_of_users_arrive_in_both_sinks(warehouse: Warehouse) -> None:
    warehouse.genesys.users, warehouse.genesys.job_polls = USERS, 2
    for start in (DAY, DAY + timedelta(days=1)):
        window = {"window_start": start.isoformat(), "window_end": (start + timedelta(days=1)).isoformat()}
        run = run_dag(make_dag(warehouse.bucket), None, **window)
        assert run.state == "success"
        assert xcoms(run, "certificate")["return_value"]["read"] == USERS
    days = warehouse.query(
        "SELECT window_start, count(*), count(DISTINCT user_id) FROM user_details GROUP BY 1 ORDER BY 1"
    )
    assert [row[1:] for row in days] == [(USERS, USERS)] * 2
    query = PAGE.partition("```sql\n")[2].partition("```")[0].rstrip(" ;\n")
    presences = warehouse.query("SELECT count(*) FROM user_details_presence")[0][0]
    assert len(warehouse.query(query)) == presences > 2 * USERS
    held = warehouse.query(
        "SELECT sum(jsonb_array_length(routing_status)), (SELECT count(*) FROM user_details_routing_status) "
        "FROM user_details"
    )
    assert held[0][0] == held[0][1] > 0
    prefixes = {key.split("/")[0] for key in warehouse.objects()}
    assert prefixes == {"users", "users_presence", "users_routingStatus"}
