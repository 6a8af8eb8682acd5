"""What Genesys has corrected since the last load takes its place, whatever schedule or clear asked for it again."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from airflow_provider_genesys.operators.export import GenesysCreateExportOperator
from airflow_provider_genesys.sensors.export import GenesysExportSensor
from airflow_provider_genesys.transfers.genesys_to_postgres import GenesysExportToPostgresOperator
from airflow_provider_genesys.transfers.genesys_to_s3 import GenesysExportToS3Operator
from tests.support.airflow_home import run_dag, states, xcoms

if TYPE_CHECKING:
    from conftest import Warehouse

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)
DAILY = timedelta(days=1)
ELSE = "load_into_s3|certificate"
"""Tasks that tests of rows have no use for."""
Rows = dict[str, int]


def archive(durations: Rows) -> bytes:
    """Return an archive of recordings, by id and duration in milliseconds, from the beginning of :data:`DAY` on."""
    moments = [DAY + timedelta(seconds=number) for number in range(len(durations))]
    records = [
        {"recordingId": key, "conversationId": f"c-{key}", "durationMs": duration, "timestamp": moment.isoformat()}
        for (key, duration), moment in zip(durations.items(), moments, strict=True)
    ]
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


FIRST = {f"recording-{number:03}": number for number in range(1_000)}
CORRECTED = {
    **{key: duration for key, duration in FIRST.items() if key != "recording-500"},
    "recording-007": 70_000,
    "recording-999": 99_000,
    "recording-new": 1,
}


@pytest.fixture
def load(warehouse: Warehouse) -> Callable[..., Any]:
    """Export and load what is given, by a Genesys that does not say when an export was asked for."""
    warehouse.genesys.tells_submission = False

    def load(durations: Rows, day: datetime = DAY, **settings: Any) -> dict[str, str]:
        warehouse.genesys.content = archive(durations)
        return states(warehouse.run(day, skipped=ELSE, **settings))

    return load


def held(warehouse: Warehouse) -> Rows:
    return dict(warehouse.rows("recording_id, duration_ms"))


@pytest.mark.outcome(
    "jobs",
    "a run is cleared, and its window exported again with corrections, by an API that does not tell when",
    "recovers",
)
@pytest.mark.parametrize("write_mode", ["upsert", "replace_window"])
def test_a_run_that_is_cleared_and_made_again_brings_the_corrections(
    warehouse: Warehouse, load: Callable[..., Any], write_mode: str
) -> None:
    load(FIRST)
    assert set(load(CORRECTED, loads={"write_mode": write_mode}).values()) == {"success"}
    vanished = {"recording-500": 500} if write_mode == "upsert" else {}
    assert held(warehouse) == {**CORRECTED, **vanished}


def test_a_backfill_for_an_old_date_brings_what_is_exported_now(warehouse: Warehouse, load: Callable[..., Any]) -> None:
    window = {"window_start": DAY.isoformat(), "window_end": (DAY + DAILY).isoformat()}
    load(FIRST, DAY + timedelta(days=30), **window)
    load(CORRECTED, DAY, loads={"write_mode": "replace_window"})
    assert held(warehouse) == CORRECTED


def test_what_a_killed_run_has_left_half_loaded_is_replaced(warehouse: Warehouse, load: Callable[..., Any]) -> None:
    stop = {"batch_size": 100, "max_dead_letters": 0}
    broken = archive(FIRST).replace(b'"recording-650"', b"null")
    warehouse.genesys.content = broken
    assert states(warehouse.run(DAY, skipped=ELSE, loads=stop))["load_into_postgres"] == "failed"
    assert len(held(warehouse)) >= 600
    load(CORRECTED, loads={"write_mode": "replace_window"})
    assert held(warehouse) == CORRECTED


def submissions(warehouse: Warehouse, table: str) -> set[str]:
    found = warehouse.query(f"SELECT DISTINCT _genesys_submitted_at FROM {table}")
    return {moment.astimezone(timezone.utc).isoformat() for (moment,) in found}


@pytest.mark.parametrize("kind", ["recordings", "conversation_details", "user_details"])
def test_our_clock_at_the_request_is_known_to_the_load_of_every_kind(warehouse: Warehouse, kind: str) -> None:
    genesys = warehouse.genesys
    genesys.tells_submission, genesys.users, genesys.conversations = False, 5, 5
    with DAG(f"kind_{kind}", schedule=None, start_date=DAY) as dag:
        create = GenesysCreateExportOperator(task_id="create", kind=kind)
        wait = GenesysExportSensor(task_id="wait", kind=kind, export_id=create.output, poll_interval=0.05)
        GenesysExportToPostgresOperator(task_id="load", handle=wait.output, table=kind, max_dead_letter_ratio=1)
    run = run_dag(dag, DAY, run_after=DAY, window_start=DAY.isoformat(), window_end=(DAY + DAILY).isoformat())
    assert run.state == "success"
    assert submissions(warehouse, kind) == {xcoms(run, "create")["export"]["submitted_at"]}


def test_our_clock_at_the_request_reaches_the_load_of_a_bare_id_and_of_a_landed_archive(warehouse: Warehouse) -> None:
    warehouse.genesys.tells_submission = False
    with DAG("roundabout", schedule=None, start_date=DAY) as dag:
        create = GenesysCreateExportOperator(task_id="create", wait_for_completion=True, poll_interval=0.05)
        bare = GenesysExportToPostgresOperator(task_id="bare", handle=create.output, table="bare")
        land = GenesysExportToS3Operator(
            task_id="land", handle=create.output, s3_bucket=warehouse.bucket, s3_prefix="raw", output_format="raw"
        )
        create >> EmptyOperator(task_id="check") >> [bare, land]
        location = "{{ ti.xcom_pull('land')['location'] }}"
        land >> GenesysExportToPostgresOperator(task_id="landed", handle=location, table="landed")
    run = run_dag(dag, DAY, run_after=DAY, window_start=DAY.isoformat(), window_end=(DAY + DAILY).isoformat())
    assert run.state == "success"
    noted = {xcoms(run, "create")["export"]["submitted_at"]}
    assert submissions(warehouse, "bare") == submissions(warehouse, "landed") == noted
    [manifest] = warehouse.objects("_manifest.json").values()
    assert {json.loads(manifest)["handle"]["submitted_at"]} == noted


def test_a_typo_in_the_form_makes_no_table(warehouse: Warehouse) -> None:
    warehouse.genesys.content = archive(FIRST)
    typo = warehouse.run(DAY, skipped=ELSE, table="genesys_recodrings")
    assert states(typo)["load_into_postgres"] == "failed"
    assert warehouse.query("SELECT to_regclass('genesys_recodrings')") == [(None,)]
    others = warehouse.run(DAY, skipped=ELSE, table="others", create_table=True)
    assert states(others)["load_into_postgres"] == "success"
