"""The DAG of reference data, run by Airflow against PostgreSQL, Genesys and S3."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from tests.support.airflow_home import run_dag, xcoms
from tests.support.shipped_dag import shipped_dag

if TYPE_CHECKING:
    from conftest import Warehouse

ENTITIES = ["users", "teams", "queue_members"]


def test_a_listing_without_permission_fails_alone_and_the_summary_says_so(warehouse: Warehouse) -> None:
    genesys = warehouse.genesys
    dag = shipped_dag("genesys_reference_daily")
    conf = {"entities": ENTITIES, "s3_bucket": warehouse.bucket, "schema": "public"}
    genesys.listings.denied.add("teams")
    run = run_dag(dag, datetime(2026, 11, 24, tzinfo=timezone.utc), **conf)
    assert run.state == "failed"
    found = {ti.task_id: [] for ti in run.get_task_instances()}
    for ti in run.get_task_instances():
        found[ti.task_id].append(str(ti.state))
    assert sorted(found["load_into_postgres"]) == sorted(found["load_into_s3"]) == ["failed", *["success"] * 2]
    assert found["summary"] == ["failed"]
    assert warehouse.query("SELECT count(*) FROM users") == [(genesys.users,)]

    genesys.listings.denied.clear()
    users = genesys.listings.organisation.table("users")
    users.delete(next(iter(users)).id)
    run = run_dag(dag, datetime(2026, 11, 25, tzinfo=timezone.utc), **conf)
    assert run.state == "success"
    rows = xcoms(run, "summary")["return_value"]
    assert [row["entity"] for row in rows] == ENTITIES
    assert rows[0] | {"present": 0} == {
        "entity": "users",
        "present": 0,
        "new": 0,
        "changed": 0,
        "returned": 0,
        "deleted": 1,
    }
    assert warehouse.query("SELECT count(*) FROM users WHERE _deleted_at IS NOT NULL") == [(1,)]
    assert warehouse.query("SELECT count(*) FROM users_history WHERE _valid_to IS NOT NULL") == [(1,)]
    pointer = json.loads(warehouse.objects()["entities/teams/_latest.json"])
    assert pointer["rows"] == 6
