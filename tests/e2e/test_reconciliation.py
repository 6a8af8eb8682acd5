"""Loads of conversations held against Genesys' aggregates, in PostgreSQL and S3."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG, Asset

from airflow_provider_genesys.operators.export import GenesysCreateExportOperator
from airflow_provider_genesys.operators.reconcile import GenesysReconcileOperator
from airflow_provider_genesys.sensors.export import GenesysExportSensor
from airflow_provider_genesys.testing.fake_genesys.conversations import DIVISIONS
from airflow_provider_genesys.transfers.genesys_to_postgres import GenesysExportToPostgresOperator
from airflow_provider_genesys.transfers.genesys_to_s3 import GenesysExportToS3Operator
from tests.support.airflow_home import run_dag, xcoms

if TYPE_CHECKING:
    from conftest import Warehouse

FIRST = datetime(2026, 11, 21, tzinfo=timezone.utc)
SECOND, THIRD = FIRST + timedelta(days=1), FIRST + timedelta(days=2)
PER_DAY = 60
DETAILS = Asset("reconciled_details")
AGGREGATES = "/api/v2/analytics/conversations/aggregates/query"


@pytest.fixture
def scene(warehouse: Warehouse) -> Scene:
    warehouse.genesys.conversations = PER_DAY
    return Scene(warehouse)


class Scene:
    """A table and a prefix that days are loaded into, and how they are compared."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse
        self.history = warehouse.genesys.history
        self._runs = 0

    def load(self, day: datetime, *, reconcile: str = "warn", skipped: str | None = None) -> Any:
        """Load one day into both sinks, or those that are not skipped; return the run."""
        with DAG("reconciled_load", schedule=None, start_date=FIRST, params={"reconcile": reconcile}) as dag:
            create = GenesysCreateExportOperator(
                task_id="create", kind="conversation_details", options={"startOfDayIntervalMatching": True}
            )
            wait = GenesysExportSensor(task_id="wait", kind="conversation_details", export_id=create.output)
            GenesysExportToPostgresOperator(
                task_id="postgres",
                handle=wait.output,
                table="details",
                reconcile="{{ params.reconcile }}",
                outlets=[DETAILS],
            )
            GenesysExportToS3Operator(
                task_id="s3",
                handle=wait.output,
                s3_bucket=self.warehouse.bucket,
                s3_prefix="details",
                output_format="parquet" if day == SECOND else "ndjson.gz",
                reconcile="{{ params.reconcile }}",
            )
        return run_dag(dag, None, skipped=skipped, **window_of(day))

    def verdicts(self, run: Any) -> dict[str, dict[str, Any]]:
        """Return what the loads found that were not skipped."""
        found = {task: xcoms(run, task).get("reconciliation") for task in ("postgres", "s3")}
        return {task: one for task, one in found.items() if one}

    def kept(self, day: datetime) -> dict[str, Any]:
        """What the certificates say that are kept with the data."""
        start = day.isoformat()
        statement = f"SELECT certificate -> 'reconciliation' FROM genesys_ledger WHERE window_start = '{start}'"
        (((ledger,),), objects) = self.warehouse.query(statement), self.warehouse.objects()
        (manifest,) = (
            body
            for key, body in objects.items()
            if key.startswith(f"details/dt={day:%Y-%m-%d}/") and key.endswith("/_manifest.json")
        )
        return {"postgres": ledger, "s3": json.loads(manifest)["reconciliation"]}

    def compare(self, day: datetime, *, reconcile: str = "warn") -> Any:
        """Compare one day that was loaded, in both sinks; return the run."""
        folder, mode = f"s3://{self.warehouse.bucket}/details", "{{ params.reconcile }}"
        with DAG("reconcile", schedule=None, start_date=FIRST, params={"reconcile": reconcile}) as dag:
            GenesysReconcileOperator(task_id="postgres", table="details", reconcile=mode)
            GenesysReconcileOperator(task_id="s3", folder=folder, reconcile=mode)
        return run_dag(dag, None, **window_of(day))

    def found(self, day: datetime) -> tuple[str, str]:
        """Verdict and reason of a day, the same in both sinks, at no more than six requests each."""
        before = self.asked()
        run = self.compare(day)
        one, other = (xcoms(run, task)["return_value"] for task in ("postgres", "s3"))
        assert self.asked() - before == one["requests"] + other["requests"] <= 12
        assert (one["verdict"], one["reason"], one["counts"]) == (other["verdict"], other["reason"], other["counts"])
        return one["verdict"], one["reason"]

    def asked(self) -> int:
        return sum(seen.path == AGGREGATES for seen in self.warehouse.genesys.requests)

    def conversation(self, day: datetime, place: int, *, having: str = "true") -> str:
        """The id of a conversation of a day."""
        query = (
            f"SELECT conversation_id FROM details WHERE conversation_start >= '{day.isoformat()}' AND {having} "
            f"AND conversation_start < '{(day + timedelta(days=1)).isoformat()}' "
            f"ORDER BY conversation_start OFFSET {place} LIMIT 1"
        )
        return str(self.warehouse.query(query)[0][0])


def window_of(day: datetime) -> dict[str, str]:
    return {"window_start": day.isoformat(), "window_end": (day + timedelta(days=1)).isoformat()}


def test_a_dropped_conversation_turns_the_certificate_red_until_it_arrives_and_a_day_later_it_is_final(
    scene: Scene,
) -> None:
    first = scene.verdicts(scene.load(FIRST))  # what conversations of the days before emitted is not in the sink
    assert {one["verdict"] for one in first.values()} == {"not comparable"}
    assert "no conversation of the 7 days before" in first["s3"]["reason"]
    whole = scene.load(SECOND, reconcile="fail")
    assert whole.state == "success"
    assert scene.kept(SECOND) == scene.verdicts(whole)
    for task, found in scene.verdicts(whole).items():
        assert (found["verdict"], found["state"], found["requests"]) == ("agrees", "provisional", 1)
        assert found["counts"]["nConversations"] == {"genesys": PER_DAY, "sink": PER_DAY}
        assert found["counts"]["nOffered"]["sink"] > PER_DAY
        assert xcoms(whole, task)["return_value"]["reconciliation"] == found

    late = scene.conversation(SECOND, 30)
    scene.warehouse.query(f"DELETE FROM details WHERE conversation_id = '{late}' RETURNING 1")
    assert scene.compare(SECOND, reconcile="fail").state == "failed"
    scene.history.left_out.add(late)
    red = scene.load(SECOND, reconcile="fail")
    assert red.state == "failed"
    assert scene.kept(SECOND) == scene.verdicts(red)
    found = scene.verdicts(red)["s3"]
    assert (found["verdict"], found["counts"]["nConversations"]) == ("differs", {"genesys": 60, "sink": 59})
    assert "that Genesys counts, 1 are not in the sink" in found["reason"]
    began = next(one for one in found["differences"] if one["metric"] == "nConversations")
    assert began["genesys"] == began["sink"] + 1
    scene.history.left_out.clear()  # two days later
    assert scene.load(SECOND, reconcile="fail").state == "success"
    assert scene.found(SECOND)[0] == "agrees"

    assert xcoms(scene.compare(SECOND), "postgres")["return_value"]["state"] == "provisional"
    scene.warehouse.query(
        "UPDATE genesys_reconciliations SET reconciled_at = reconciled_at - interval '21 hours' RETURNING 1"
    )
    assert xcoms(scene.compare(SECOND), "postgres")["return_value"]["state"] == "final"


def test_what_became_of_a_conversation_has_its_verdict(scene: Scene) -> None:
    for day in (FIRST, SECOND):
        assert scene.load(day).state == "success"
    assert scene.found(SECOND)[0] == "agrees"

    evening = scene.conversation(FIRST, PER_DAY - 1)  # wrapped up after midnight: it counts on the day after
    scene.history.wrapped_up[evening] = SECOND + timedelta(minutes=5)
    verdict, reason = scene.found(SECOND)
    assert verdict == "differs"
    assert "or of those before" in reason
    assert scene.load(FIRST).state == "success"
    assert scene.found(SECOND)[0] == "agrees"

    having = "participants::text LIKE '%nConnected%'"
    scene.history.corrected.add(scene.conversation(SECOND, 10, having=having))
    assert scene.found(SECOND)[0] == "differs"
    assert scene.load(SECOND).state == "success"
    assert scene.found(SECOND)[0] == "agrees"

    scene.history.erased.add(scene.conversation(SECOND, 20))
    verdict, reason = scene.found(SECOND)
    assert (verdict, "erased at Genesys" in reason) == ("not comparable", True)


def test_a_division_that_the_client_may_not_see_is_named(scene: Scene) -> None:
    assert scene.load(SECOND, skipped="s3").state == "success"
    scene.history.hidden_divisions.add(DIVISIONS[1])
    [found] = scene.verdicts(scene.load(THIRD, reconcile="fail", skipped="s3")).values()
    assert (found["verdict"], found["requests"]) == ("not comparable", 2)
    assert DIVISIONS[1] in found["reason"]


def test_a_load_that_is_not_compared_says_why(scene: Scene) -> None:
    scene.warehouse.genesys.fail_next(AGGREGATES, status=403, times=2)
    found = scene.verdicts(scene.load(FIRST))
    assert {one["verdict"] for one in found.values()} == {"not comparable"}
    assert "403" in found["postgres"]["reason"] or "ermission" in found["postgres"]["reason"]
    before = scene.asked()
    off = scene.load(FIRST, reconcile="off", skipped="s3")
    assert scene.asked() == before
    assert xcoms(off, "postgres")["return_value"]["reconciliation"] is None
