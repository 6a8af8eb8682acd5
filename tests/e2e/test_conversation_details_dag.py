"""The daily DAG of conversation details, run by Airflow against PostgreSQL, an HTTP Genesys and an S3 server."""

from __future__ import annotations

import gzip
import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_home import run_dag
from shipped_dag import shipped_dag

if TYPE_CHECKING:
    from conftest import Warehouse

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)


def run(warehouse: Warehouse, **conf: Any) -> Any:
    warehouse.genesys.conversations = 300
    dag = shipped_dag("genesys_conversation_details_daily")
    return run_dag(dag, DAY + timedelta(days=1, hours=2), s3_bucket=warehouse.bucket, **conf)


def listed(warehouse: Warehouse) -> list[dict[str, Any]]:
    objects = warehouse.objects()
    manifests = [json.loads(body) for key, body in objects.items() if key.endswith("_manifest.json")]
    keys = [part["key"] for manifest in manifests for part in manifest["parts"]]
    return [json.loads(line) for key in keys for line in gzip.decompress(objects[key]).splitlines()]


def test_a_day_and_three_before_it_arrive_whole_in_both_sinks(warehouse: Warehouse) -> None:
    assert run(warehouse).state == "success"
    rows = warehouse.query("SELECT conversation_id, jsonb_array_length(participants) FROM conversation_details")
    assert len(rows) == 4 * 300
    assert {record["conversationId"]: len(record["participants"]) for record in listed(warehouse)} == dict(rows)
    days = warehouse.query(
        "SELECT conversation_start AT TIME ZONE 'UTC', count(*) FROM conversation_details "
        "GROUP BY date_trunc('day', conversation_start AT TIME ZONE 'UTC'), 1 ORDER BY 1"
    )
    assert days[0][0].date() == (DAY - timedelta(days=3)).date()
    assert days[-1][0].date() == DAY.date()


def test_the_query_of_the_docs_gives_every_segment(warehouse: Warehouse) -> None:
    run(warehouse, look_back_days=0)
    page = (Path(__file__).parents[2] / "docs" / "conversation-details.md").read_text()
    segments = warehouse.query(page.partition("```sql\n")[2].partition("```")[0].rstrip().rstrip(";"))
    expected = sum(
        len(session["segments"])
        for record in listed(warehouse)
        for participant in record["participants"]
        for session in participant["sessions"]
    )
    assert len(segments) == expected > 300


def test_what_genesys_corrects_takes_the_place_of_what_was_loaded(warehouse: Warehouse) -> None:
    run(warehouse, look_back_days=0)
    count = "SELECT sum(length(participants::text)), count(*) FROM conversation_details"
    before = warehouse.query(count)[0]
    warehouse.genesys.revision = 1
    assert run(warehouse, look_back_days=1).state == "success"
    after = warehouse.query(f"{count} WHERE conversation_start >= '2026-11-22'")[0]
    assert after[1] == before[1] == 300
    assert after[0] < before[0]
    assert len(listed(warehouse)) == 600
