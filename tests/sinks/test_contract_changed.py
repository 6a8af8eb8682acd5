"""The contract becomes another one while a load is paused: the next attempt is another load, and the two never mix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_genesys.contracts.child import Child, ChildColumn
from airflow_provider_genesys.contracts.contract import RECORDINGS
from airflow_provider_genesys.exceptions import FencedError
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.sinks.local import LocalSink
from airflow_provider_genesys.sinks.s3 import S3Sink
from airflow_provider_genesys.testing.services import S3Server
from airflow_provider_genesys.testing.sink_conformance.source import written
from tests.sinks.batches import LENGTH, make_batch, make_batches, make_certificate, make_checkpoint, make_load
from tests.sinks.lake import Bucket, batches_of, ids
from tests.sinks.lake import run as load_into_bucket
from tests.sinks.queues import Queues, dynamodb_store
from tests.sinks.warehouse import Warehouse, counts, write_all

BEFORE = make_load()
AFTER = make_load(load_id="load-2", contract=replace(RECORDINGS, version=2))
REJECTED = [1, 2, 13]
"""Records that only the contract before takes: two that it has loaded before the pause, one behind it."""
COMPLETE_ROWS = """
SELECT r.recording_id, r._contract_version FROM recordings AS r JOIN genesys_ledger AS l
  ON l.export_id = r._genesys_export_id AND l.shard = r._source_shard AND l.contract = r._contract_version
WHERE l.target = 'public.recordings' AND l.state = 'complete' ORDER BY 1
"""


def paused(warehouse: Warehouse, load: Load = BEFORE, **options: Any) -> None:
    """Load ten records of twenty."""
    sink = warehouse.sink(**options)
    sink.open(load, restart=False)
    write_all(sink, make_batches(load, 10, size=5))
    sink.abort()


def versions(warehouse: Warehouse) -> dict[str, str]:
    return {row["recording_id"]: row["_contract_version"] for row in warehouse.rows()}


@pytest.mark.outcome(
    "processes",
    "the contract is another one when a paused load goes on",
    "recovers as a separate load, from the beginning",
)
def test_postgres_begins_anew_and_complete_rows_are_those_of_the_new_contract(warehouse: Warehouse) -> None:
    paused(warehouse)
    sink = warehouse.sink()
    assert sink.open(AFTER, restart=False) is None
    last = write_all(sink, make_batches(AFTER, 20, size=5, dead=REJECTED))
    assert sink.finish(make_certificate(AFTER, last)).counts == counts(20, dead_letters=3)
    taken = [number for number in range(20) if number not in REJECTED]
    found = warehouse.execute(COMPLETE_ROWS)
    assert [tuple(row.values()) for row in found] == [(key, str(AFTER.contract)) for key in ids(taken)]
    assert {key: held for key, held in versions(warehouse).items() if held == str(BEFORE.contract)} == dict.fromkeys(
        ids([1, 2]), str(BEFORE.contract)
    )


def test_what_the_docs_say_removes_the_former_load_from_the_ledger_and_no_other(warehouse: Warehouse) -> None:
    text = (Path(__file__).parents[2] / "docs" / "operators.md").read_text()
    section = text.partition("## What changes while a load is paused")[2]
    statements = section.partition("```sql\n")[2].partition("```")[0].replace("…", BEFORE.load_id)
    for load in (BEFORE, AFTER):
        paused(warehouse, load)
        sink = warehouse.sink()
        sink.open(load, restart=False)
        written(sink, make_batch(load, range(10, 12), dead=[10]))
        sink.abort()
    warehouse.execute(statements)
    assert [row["load_id"] for row in warehouse.dead_letters()] == [AFTER.load_id]
    assert warehouse.ledger()["load_id"] == AFTER.load_id


@pytest.mark.parametrize("publish", ["batches", "atomic"])
def test_postgres_has_rows_of_the_new_contract_alone_where_it_replaces_the_window(
    warehouse: Warehouse, publish: str
) -> None:
    options = {"write_mode": "replace_window", "publish": publish}
    paused(warehouse, **options)
    warehouse.load(AFTER, make_batches(AFTER, 20, size=5, dead=REJECTED), **options)
    taken = [number for number in range(20) if number not in REJECTED]
    assert versions(warehouse) == dict.fromkeys(ids(taken), str(AFTER.contract))


@pytest.mark.outcome(
    "processes", "two attempts at one load are alive at once", "FencedError in the older one; the newer one recovers"
)
def test_postgres_stops_the_attempt_that_still_reads_by_the_contract_before(warehouse: Warehouse) -> None:
    older, newer = warehouse.sink(), warehouse.sink()
    older.open(BEFORE, restart=False)
    write_all(older, make_batches(BEFORE, 10, size=5))
    newer.open(AFTER, restart=False)
    write_all(newer, make_batches(AFTER, 20, size=5))
    with pytest.raises(FencedError):
        written(older, make_batch(BEFORE, range(10, 15)))
    older.abort()
    assert newer.finish(make_certificate(AFTER, make_checkpoint(AFTER, 20))).counts == counts(20)
    assert versions(warehouse) == dict.fromkeys(ids(range(20)), str(AFTER.contract))


def test_postgres_begins_anew_as_well_where_the_contract_before_comes_back(warehouse: Warehouse) -> None:
    paused(warehouse)
    paused(warehouse, AFTER)
    sink = warehouse.sink()
    assert sink.open(BEFORE, restart=False) is None
    write_all(sink, make_batches(BEFORE, 20, size=5))
    sink.finish(make_certificate(BEFORE, make_checkpoint(BEFORE, 20)))
    assert versions(warehouse) == dict.fromkeys(ids(range(20)), str(BEFORE.contract))


def test_postgres_leaves_the_checkpoints_of_other_exports_alone(warehouse: Warehouse) -> None:
    paused(warehouse)
    later = AFTER.submitted_at + timedelta(hours=1)
    paused(warehouse, replace(AFTER, export_id="export-2", submitted_at=later))
    checkpoint = warehouse.sink().open(BEFORE, restart=False)
    assert checkpoint
    assert checkpoint.position.record_offset == 10 * LENGTH


def pause_in_bucket(sink: S3Sink, load: Load) -> None:
    """Load 150 records of 230: one part, and half of another, which is thrown away."""
    sink.open(load, restart=False)
    for batch in batches_of(load, 150):
        written(sink, batch)
    sink.abort()


def folder(client: Any, bucket: str, load: Load) -> dict[str, bytes]:
    held = Bucket(client, bucket)
    return {key: held.read(key) for key in held.listed(f"raw/dt=2026-11-01/{load.load_id}/")}


def test_s3_begins_anew_in_a_folder_of_its_own(
    new_sink: Callable[..., S3Sink], client: Any, bucket: str, lake: Bucket
) -> None:
    pause_in_bucket(new_sink(), BEFORE)
    left = folder(client, bucket, BEFORE)
    certificate = load_into_bucket(new_sink(), AFTER, batches_of(AFTER, 230, dead=REJECTED))
    assert certificate.counts.read == 230
    assert certificate.attempts == 1
    listed = {part["key"] for part in certificate.parts}
    assert folder(client, bucket, AFTER).keys() == listed | {"raw/dt=2026-11-01/load-2/_manifest.json"}
    # No manifest stands for what the contract before has left; its next attempt, should it come, goes on from there.
    assert folder(client, bucket, BEFORE) == left
    assert len(left) == 1
    assert load_into_bucket(new_sink(), BEFORE, batches_of(BEFORE, 230)).attempts == 2
    assert [row["recordingId"] for row in lake.rows()] == ids(range(230))


@pytest.mark.outcome(
    "processes", "the output format is another one when a paused load goes on", "recovers, from the beginning"
)
@pytest.mark.parametrize("form", ["ndjson", "parquet"])
def test_s3_mixes_no_formats(new_sink: Callable[..., S3Sink], lake: Bucket, form: str) -> None:
    pause_in_bucket(new_sink(), BEFORE)
    processed_at = lake.ledger()[-1]["processed_at"]
    load_into_bucket(new_sink(output_format=form), BEFORE, batches_of(BEFORE, 230))
    assert {key.rpartition("-")[2].partition(".")[2] for key in lake.parts()} == {form}
    assert sum(part["rows"] for part in lake.manifest()["parts"]) == 230
    assert lake.ledger()[-1]["processed_at"] == processed_at


def test_s3_goes_on_where_nobody_has_said_what_the_parts_are(
    new_sink: Callable[..., S3Sink], lake: Bucket, client: Any, bucket: str
) -> None:
    pause_in_bucket(new_sink(), BEFORE)
    for key in lake.listed("raw/_ledger/"):  # as a release before has written it
        client.put_object(
            Bucket=bucket, Key=key, Body=lake.read(key).replace(b'"writes":"ndjson.gz"', b'"writes":null')
        )
    checkpoint = new_sink().open(BEFORE, restart=False)
    assert checkpoint
    assert checkpoint.position.record_offset == 100 * LENGTH


def test_s3_cuts_what_is_left_by_the_new_part_size(new_sink: Callable[..., S3Sink], lake: Bucket) -> None:
    pause_in_bucket(new_sink(), BEFORE)
    load_into_bucket(new_sink(part_size=50 * LENGTH), BEFORE, batches_of(BEFORE, 230))
    parts = [(part["start"] // LENGTH, part["end"] // LENGTH) for part in lake.manifest()["parts"]]
    assert parts == [(0, 100), (100, 150), (150, 200), (200, 230)]


def test_child_files_are_written_of_all_parts_or_of_none(tmp_path: Path) -> None:
    people = Child("people", "participants", (ChildColumn("participantId", "id", "string"),))
    load = make_load(contract=replace(RECORDINGS, children=(people,)))
    for child_files in (True, False, True):
        sink = LocalSink(tmp_path, part_size=100 * LENGTH, dead_letter_raw="drop", child_files=child_files)
        assert sink.open(load, restart=False) is None
        for batch in batches_of(load, 150):
            written(sink, batch)
        sink.abort()


def test_sqs_sends_all_records_again_as_other_messages(s3: S3Server, bucket: str) -> None:
    queues = Queues(s3.endpoint_url)
    sink = queues.sink(lambda: dynamodb_store(s3, bucket))
    sink.open(BEFORE, restart=False)
    written(sink, make_batch(BEFORE, range(10)))
    sink.abort()
    sink = queues.sink(lambda: dynamodb_store(s3, bucket))
    assert sink.open(AFTER, restart=False) is None
    written(sink, make_batch(AFTER, range(20)))
    sink.finish(make_certificate(AFTER, make_checkpoint(AFTER, 20)))
    sent = queues.records.drain().attributes.values()
    assert Counter(one["load_id"] for one in sent) == {"load-1": 10, "load-2": 20}
