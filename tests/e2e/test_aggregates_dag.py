"""The DAG of aggregates from create to certificate, run by Airflow against PostgreSQL, Genesys and S3."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.airflow_home import run_dag, xcoms
from tests.support.shipped_dag import shipped_dag

if TYPE_CHECKING:
    from conftest import Warehouse

CONVERSATIONS = 40
WINDOW = {"window_start": "2026-11-22T00:00:00+00:00", "window_end": "2026-11-23T00:00:00+00:00"}
TABLE = "genesys_aggregates_conversations"
QUERY = (Path(__file__).parents[2] / "docs" / "aggregates.md").read_text().partition("```sql\n")[2].partition("```")[0]


def test_a_day_and_the_one_before_arrive_in_both_sinks_and_may_be_corrected(warehouse: Warehouse) -> None:
    genesys = warehouse.genesys
    genesys.conversations, genesys.job_polls = CONVERSATIONS, 2
    dag = shipped_dag("genesys_aggregates_daily")
    conf = {**WINDOW, "look_back_days": 1, "s3_bucket": warehouse.bucket}
    run = run_dag(dag, datetime(2026, 11, 24, tzinfo=timezone.utc), **conf)
    assert run.state == "success"
    began = warehouse.query(
        f"SELECT interval_start::date, sum(count), count(DISTINCT id) = count(*) FROM {TABLE} "
        "WHERE metric = 'nConversations' GROUP BY 1 ORDER BY 1"
    )
    assert [row[1:] for row in began] == [(CONVERSATIONS, True)] * 2
    assert {row[0] for row in warehouse.query(f"SELECT DISTINCT media_type FROM {TABLE}")} > {"voice", "email"}
    rows = warehouse.query(f"SELECT count(*) FROM {TABLE}")[0][0]
    certificates = xcoms(run, "certificate")
    assert certificates
    assert all(key.startswith("aggregates/conversations/") for key in warehouse.objects())
    assert warehouse.query(QUERY.rstrip(" ;\n"))

    genesys.conversations = CONVERSATIONS // 2  # what Genesys no longer counts goes from the table, too
    assert run_dag(dag, datetime(2026, 11, 25, tzinfo=timezone.utc), **conf).state == "success"
    assert warehouse.query(f"SELECT count(*) FROM {TABLE}")[0][0] < rows
    assert warehouse.query(f"SELECT sum(count) FROM {TABLE} WHERE metric = 'nConversations'")[0][0] == CONVERSATIONS


def test_a_metric_of_another_domain_fails_before_the_request_and_says_where_it_is(warehouse: Warehouse) -> None:
    dag = shipped_dag("genesys_aggregates_daily")
    options = dag.get_task("create_export").partial_kwargs["options"]
    options["metrics"] = ["tSystemPresence"]
    run = run_dag(dag, datetime(2026, 11, 26, tzinfo=timezone.utc), **WINDOW, look_back_days=0)
    assert run.state == "failed"
    assert not warehouse.genesys.jobs
