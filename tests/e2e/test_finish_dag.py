"""The DAG that finishes what the daily one has given up, run by Airflow: nobody clears anything."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from airflow_provider_genesys.sinks.postgres.sink import PostgresSink
from tests.support.airflow_home import run_dag, states, xcoms
from tests.support.shipped_dag import shipped_dag
from tests.unit.pipeline.sources import a_load

if TYPE_CHECKING:
    from conftest import Warehouse

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)
COLUMNS = "recording_id, conversation_id, timestamp, duration_ms, queue_id, participants, media, metadata"
PART = 200_000
LOADS = ("load_into_postgres", "load_into_s3")
LIMIT = 1_900_000
BROKEN = f"""
TRUNCATE genesys_ledger;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM FROM a_table_that_is_gone; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON genesys_recordings
    FOR EACH ROW WHEN (NEW._source_offset >= {LIMIT}) EXECUTE FUNCTION refuse();
"""
"""A table that takes rows of an archive's first bytes alone."""
FINISHERS = ("finish_postgres_loads", "finish_s3_loads")


@pytest.fixture(autouse=True)
def several_commits(warehouse: Warehouse) -> None:
    warehouse.genesys.records = 3_000


def fail(warehouse: Warehouse) -> None:
    """Run the daily DAG into a budget that ends both loads half-way, for good."""
    run = warehouse.run(DAY, loads={"max_dead_letters": 5, "batch_size": 50, "part_size": PART})
    assert {states(run)[load] for load in LOADS} == {"failed"}


def finish(warehouse: Warehouse, days: int = 1, **settings: Any) -> Any:
    """Run the DAG that finishes loads, ``days`` later: dag.test() removes an earlier run of the same date."""
    dag = shipped_dag("genesys_finish_failed_loads")
    for task in dag.tasks:
        vars(task).update({"part_size": PART, "poll_interval": 0.05, **settings})
    return run_dag(dag, DAY + timedelta(days=days), s3_bucket=warehouse.bucket)


def s3_digest(warehouse: Warehouse) -> set[tuple[str, bytes]]:
    return {(key, body) for key, body in warehouse.objects("/00000/").items() if "_ledger" not in key}


@pytest.mark.outcome("processes", "a load has failed for good, its export is alive", "recovers with the next run")
def test_failed_loads_go_on_from_their_checkpoints(warehouse: Warehouse) -> None:
    fail(warehouse)
    before = len(warehouse.rows())
    assert 0 < before < 2_900
    asked = len(warehouse.genesys.requests)

    run = finish(warehouse)

    assert states(run) == dict.fromkeys(FINISHERS, "success")
    [[in_postgres], [in_s3]] = [xcoms(run, task)["return_value"] for task in FINISHERS]
    assert (
        in_postgres["counts"]
        == in_s3["counts"]
        == {"read": 3_000, "written": 2_988, "dead_letters": 12, "duplicates": 0}
    )
    ranges = [seen.range for seen in list(warehouse.genesys.requests)[asked:] if seen.path.startswith("/archive/")]
    assert len(ranges) == 2
    assert all(ranges)
    assert len(warehouse.genesys.exports) == 1
    finished = warehouse.rows(COLUMNS), s3_digest(warehouse)
    uninterrupted = warehouse.run(DAY, loads={"part_size": PART})
    assert states(uninterrupted)["certificate"] == "success"
    assert warehouse.rows(COLUMNS) == finished[0]
    assert len(s3_digest(warehouse)) == len(finished[1])

    again = finish(warehouse, days=2)
    assert [xcoms(again, task)["return_value"] for task in FINISHERS] == [[], []]


def test_a_batch_that_the_sink_does_not_take_is_shown_and_then_brought_in(warehouse: Warehouse) -> None:
    sink = PostgresSink(lambda: psycopg.connect(warehouse.dsn), "genesys_recordings", dead_letter_raw="drop")
    sink.open(a_load(), restart=False)  # makes the table
    sink.abort()
    with psycopg.connect(warehouse.dsn) as connection:
        connection.execute(BROKEN)

    run = warehouse.run(DAY, loads={"batch_size": 100})
    assert states(run)["load_into_postgres"] == "failed"
    shown = xcoms(run, "load_into_postgres")["checkpoint"]
    (export_id,) = warehouse.genesys.exports
    failed = shown["failed"]
    assert (failed["export_id"], failed["error"], failed["code"]) == (export_id, "SinkRefusedError", "42P01")
    assert failed["start"] == shown["byte_offset"] <= LIMIT < failed["end"]
    before = len(warehouse.rows())
    assert 0 < before < 2_988

    with psycopg.connect(warehouse.dsn) as connection:
        connection.execute("DROP TRIGGER refuse ON genesys_recordings")
    assert states(finish(warehouse)) == dict.fromkeys(FINISHERS, "success")
    assert len(warehouse.rows()) == 2_988


@pytest.mark.outcome("processes", "a load has failed for good, its export has expired", "recovers with the next run")
def test_failed_loads_whose_export_is_gone_get_another_one(warehouse: Warehouse) -> None:
    warehouse.genesys.tells_submission = False
    fail(warehouse)
    submitted = "SELECT submitted_at, (SELECT max(_genesys_submitted_at) FROM genesys_recordings) FROM genesys_ledger"
    [(first, _)] = warehouse.query(submitted)
    [export] = warehouse.genesys.exports.values()
    warehouse.genesys.exports.clear()
    warehouse.genesys.job_polls = 2

    run = finish(warehouse)

    assert states(run) == dict.fromkeys(FINISHERS, "success")
    assert {(one.archive.window_start, one.archive.window_end) for one in warehouse.genesys.exports.values()} == {
        (export.archive.window_start, export.archive.window_end)
    }
    assert len(warehouse.genesys.exports) == 2
    assert len(warehouse.rows()) == 2_988
    assert warehouse.query("SELECT state FROM genesys_ledger") == [("complete",)]
    [(again, of_rows)] = warehouse.query(submitted)
    assert first < again == of_rows


def test_a_load_that_fails_again_fails_the_task_and_stays_for_the_next_run(warehouse: Warehouse) -> None:
    fail(warehouse)
    failed = finish(warehouse, max_dead_letters=6, batch_size=50)
    assert states(failed) == dict.fromkeys(FINISHERS, "failed")
    assert states(finish(warehouse, days=2)) == dict.fromkeys(FINISHERS, "success")
    assert len(warehouse.rows()) == 2_988
