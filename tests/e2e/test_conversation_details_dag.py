"""The daily DAG of conversation details, run by Airflow against PostgreSQL, an HTTP Genesys and an S3 server."""

from __future__ import annotations

import gzip
import json
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from airflow_provider_genesys.tasks import recreate
from airflow_provider_genesys.transfers.base import GenesysExportTransferOperator
from tests.support.airflow_home import run_dag, xcoms
from tests.support.shipped_dag import shipped_dag

if TYPE_CHECKING:
    from conftest import Warehouse

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)


def run(warehouse: Warehouse, *, conversations: int = 40, page_size: int = 500, **conf: Any) -> Any:
    warehouse.genesys.conversations = conversations
    dag = shipped_dag("genesys_conversation_details_daily")
    for task in ("load_into_postgres", "load_into_s3"):
        dag.get_task(task).partial_kwargs["page_size"] = page_size
    return run_dag(dag, DAY + timedelta(days=1, hours=2), s3_bucket=warehouse.bucket, **conf)


NONE_AGAIN: dict[str, Any] = {"reconcile_days": []}
"""No day is compared again: four tasks less."""


def listed(warehouse: Warehouse) -> list[dict[str, Any]]:
    objects = warehouse.objects()
    manifests = [json.loads(body) for key, body in objects.items() if key.endswith("_manifest.json")]
    keys = [part["key"] for manifest in manifests for part in manifest["parts"]]
    return [json.loads(line) for key in keys for line in gzip.decompress(objects[key]).splitlines()]


def segments(record: dict[str, Any]) -> int:
    """Return how many segments a conversation has."""
    sessions = [session for participant in record["participants"] for session in participant["sessions"]]
    return sum(len(session["segments"]) for session in sessions)


def test_days_arrive_whole_and_only_an_older_one_that_differs_is_exported_again(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    assert run(warehouse, look_back_days=2).state == "success"
    rows = warehouse.query("SELECT conversation_id, jsonb_array_length(participants) FROM conversation_details")
    assert len(rows) == 3 * 40
    assert {record["conversationId"]: len(record["participants"]) for record in listed(warehouse)} == dict(rows)
    days = warehouse.query(
        "SELECT conversation_start AT TIME ZONE 'UTC', count(*) FROM conversation_details "
        "GROUP BY date_trunc('day', conversation_start AT TIME ZONE 'UTC'), 1 ORDER BY 1"
    )
    assert days[0][0].date() == (DAY - timedelta(days=2)).date()
    assert days[-1][0].date() == DAY.date()
    require_every_segment_in_queries_of_the_docs(warehouse, tmp_path)

    missing = warehouse.query(
        "SELECT conversation_id FROM conversation_details WHERE conversation_start >= '2026-11-21T00:00Z' "
        "AND conversation_start < '2026-11-22T00:00Z' LIMIT 1"
    )[0][0]
    warehouse.query(f"DELETE FROM conversation_details WHERE conversation_id = '{missing}' RETURNING 1")
    jobs = len(warehouse.genesys.jobs)
    again = run(warehouse, reconcile_days=[2, 3, 30])
    assert again.state == "success"
    exported = {one["window_start"][:10] for one in xcoms(again, "days")["return_value"]}
    differing = (DAY - timedelta(days=1)).date().isoformat()
    assert exported == {DAY.date().isoformat(), differing}
    assert len(warehouse.genesys.jobs) == jobs + 2
    assert warehouse.query(f"SELECT count(*) FROM conversation_details WHERE conversation_id = '{missing}'") == [(1,)]


def require_every_segment_in_queries_of_the_docs(warehouse: Warehouse, folder: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "conversation-details.md").read_text()
    of_json, of_tables, of_files = (block.partition("```")[0].rstrip(" ;\n") for block in page.split("```sql\n")[1:])
    found = warehouse.query(of_json)
    assert {row[1] for row in warehouse.query(of_tables)} == {row[2] for row in found}
    assert len(found) == sum(map(segments, listed(warehouse))) > 40
    for key, body in warehouse.objects().items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    counted = duckdb.sql(of_files.replace("s3://genesys", str(folder))).fetchall()
    assert sum(count for _, count in counted) == len(found)
    assert {kind for kind, _ in counted} == {row[2] for row in found}


def test_what_genesys_corrects_takes_the_place_of_what_was_loaded(warehouse: Warehouse) -> None:
    run(warehouse, **NONE_AGAIN)
    count = "SELECT sum(length(participants::text)), count(*) FROM conversation_details"
    before = warehouse.query(count)[0]
    warehouse.genesys.revision = 1
    assert run(warehouse, **NONE_AGAIN).state == "success"
    held = warehouse.query("SELECT conversation_id, count(*) FROM conversation_details_segments GROUP BY 1")
    assert dict(held) == {record["conversationId"]: segments(record) for record in listed(warehouse)}
    after = warehouse.query(count)[0]
    assert after[1] == before[1] == 40
    assert after[0] < before[0]
    assert len(listed(warehouse)) == 40


def test_a_day_behind_the_pagination_cap_arrives_whole_in_both_sinks(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loads ask for it again in pieces, and wait for those in the triggerer."""
    resumed: list[str] = []
    resume = GenesysExportTransferOperator.resume

    def noting(task: GenesysExportTransferOperator, context: Any, event: Any = None, **kwargs: Any) -> dict[str, Any]:
        resumed.append(task.task_id)
        return resume(task, context, event, **kwargs)

    monkeypatch.setattr(GenesysExportTransferOperator, "resume", noting)
    monkeypatch.setattr(recreate, "Wait", partial(recreate.Wait, poll_interval=0.1))
    warehouse.genesys.pagination_cap = 160  # refuses the third page of 100
    warehouse.genesys.job_polls = 1  # the first look finds a job that runs
    finished = run(warehouse, conversations=240, page_size=100, **NONE_AGAIN)
    assert finished.state == "success"
    assert warehouse.query("SELECT count(*) FROM conversation_details") == [(240,)]
    assert len({record["conversationId"] for record in listed(warehouse)}) == len(listed(warehouse)) == 240
    certificate = xcoms(finished, "load_into_s3")["return_value"]
    assert "," in certificate["export_id"]
    assert certificate["original_export_id"] == xcoms(finished, "create_export")["return_value"]
    assert {"load_into_postgres", "load_into_s3"} == set(resumed)
