"""What the S3 sink goes on from, and what it replaces."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from airflow_provider_genesys.exceptions import (
    AccountError,
    CheckpointError,
    SinkRefusedError,
    SinkUnavailableError,
    UnrankedExportError,
)
from airflow_provider_genesys.testing.sink_conformance.source import written
from airflow_provider_genesys.times import now
from tests.sinks.batches import make_batch, make_certificate, make_checkpoint, make_load
from tests.sinks.lake import CUT, LEDGER, Bucket, batches_of, ids, run


def test_it_resumes_behind_the_last_whole_part(new_sink: Any, lake: Bucket) -> None:
    load = make_load()
    lost = new_sink()
    lost.open(load, restart=False)
    for batch in batches_of(load, 150, dead={3}):
        written(lost, batch)  # and then the process is gone: no abort

    sink = new_sink()
    checkpoint = sink.open(load, restart=False)

    assert checkpoint.position.record_offset == CUT
    assert (checkpoint.counts.read, checkpoint.fence) == (100, 2)
    assert sink.processed_at == checkpoint.processed_at
    certificate = run(new_sink(), load, batches_of(load, 230, dead={3}))
    assert certificate.attempts == 3
    assert certificate.counts.read == 230
    assert [row["recordingId"] for row in lake.rows()] == ids(number for number in range(230) if number != 3)


@pytest.mark.outcome("object stores", "parts that no manifest lists", "recovers")
def test_a_crashed_load_ends_with_the_parts_of_a_perfect_one(new_sink: Any, lake: Bucket, client: Any) -> None:
    load = make_load()
    for crash_after in (1, 2, 3, 5):
        sink = new_sink()
        checkpoint = sink.open(load, restart=False)
        begin = checkpoint.position.record_offset if checkpoint else 0
        for batch in [batch for batch in batches_of(load, 370) if batch.start >= begin][:crash_after]:
            written(sink, batch)
    run(new_sink(), load, batches_of(load, 370))

    perfect = Bucket(client, client.create_bucket(Bucket="perfect") and "perfect")
    run(new_sink(bucket="perfect"), load, batches_of(load, 370))

    assert lake.parts() == perfect.parts()


def test_restart_begins_anew_and_keeps_processed_at(new_sink: Any, lake: Bucket) -> None:
    load = make_load()
    sink = new_sink()
    sink.open(load, restart=False)
    assert sink.processed_at is None
    for batch in batches_of(load, 100):
        written(sink, batch)
    before = sink.processed_at

    again = new_sink()
    assert again.open(load, restart=True) is None

    assert again.processed_at == before
    assert before
    certificate = run(new_sink(), load, batches_of(load, 120), restart=True)
    assert certificate.counts.read == 120
    assert certificate.attempts == 1
    assert len(lake.rows()) == 120


def test_a_complete_load_and_another_export_begin_anew(new_sink: Any) -> None:
    load = make_load()
    run(new_sink(), load, batches_of(load, 100))

    assert new_sink().open(load, restart=False) is None
    other = new_sink()
    assert other.open(make_load("export-2", submitted_at=now()), restart=False) is None
    assert other.processed_at is None


@pytest.mark.outcome("jobs", "data arrive after their window was loaded", "recovers with the next load of that window")
def test_a_new_export_replaces_the_parts_of_the_old_one(new_sink: Any, lake: Bucket) -> None:
    old, new = make_load("export-1"), make_load("export-2", submitted_at=now())
    run(new_sink(), old, batches_of(old, 230, dead={3}))
    before = lake.parts()

    sink = new_sink()
    sink.open(new, restart=False)
    for batch in batches_of(new, 100, dead={4}):
        written(sink, batch)
    # Until the new load is complete, the old manifest and all that it lists stay as they were.
    assert len(lake.rows()) == 229
    assert before.items() <= lake.parts().items()
    sink.finish(make_certificate(new, make_checkpoint(new, 100)))

    assert len(lake.rows()) == 99
    assert len(lake.parts()) == 1
    assert len(lake.listed("raw/_dead_letters/")) == 1
    assert lake.manifest()["export_id"] == "export-2"


@pytest.mark.outcome("object stores", "an older export comes after a newer one", "SinkRefusedError")
def test_an_older_export_does_not_replace_a_newer_one(new_sink: Any, lake: Bucket) -> None:
    newer, asked = make_load("export-2"), make_load().submitted_at
    assert asked
    older = replace(make_load("export-1"), submitted_at=asked - timedelta(microseconds=1))
    run(new_sink(), newer, batches_of(newer, 60))
    before = lake.listed()

    for restart in (False, True):
        with pytest.raises(SinkRefusedError, match=r"of export export-2, requested at .*create it again"):
            new_sink().open(older, restart=restart)

    assert lake.listed() == before


@pytest.mark.outcome("object stores", "two exports of a window, and nobody knows which is newer", "UnrankedExportError")
@pytest.mark.parametrize("begun", [0, 60], ids=["claimed", "complete"])
def test_exports_that_cannot_be_ranked_do_not_replace_each_other(new_sink: Any, lake: Bucket, begun: int) -> None:
    first = make_load()
    if begun:
        run(new_sink(), first, batches_of(first, begun))
    else:
        new_sink().open(first, restart=False)
    before = lake.listed()
    for other in (make_load("export-2"), make_load("export-2", submitted_at=None)):
        for restart in (False, True):
            with pytest.raises(UnrankedExportError, match=r"export-1, requested at .*Give the operator submitted"):
                new_sink().open(other, restart=restart)
    assert lake.listed() == before
    later(new_sink, lake)


def test_an_export_requested_after_a_load_began_is_newer_than_that_of_the_load(new_sink: Any, lake: Bucket) -> None:
    unknown = make_load(submitted_at=None)
    run(new_sink(), unknown, batches_of(unknown, 60))
    with pytest.raises(UnrankedExportError, match="export export-1, requested at an unknown time"):
        new_sink().open(make_load("export-2"), restart=False)  # requested before that load began
    later(new_sink, lake)


def later(new_sink: Any, lake: Bucket) -> None:
    """Load what is requested now: it replaces what is there."""
    load = make_load("export-3", submitted_at=now())
    run(new_sink(), load, batches_of(load, 40))
    assert len(lake.rows()) == 40


@pytest.mark.outcome("object stores", "an older export comes while a newer one is loaded", "SinkRefusedError")
def test_an_older_export_does_not_take_over_the_load_of_a_newer_one(new_sink: Any, lake: Bucket) -> None:
    newer = make_load("export-2", run_id="dag/newer/load", submitted_at=now())
    batches = list(batches_of(newer, 250))
    sink = new_sink()
    sink.open(newer, restart=False)
    for batch in batches[:3]:
        written(sink, batch)
    before = lake.listed()

    with pytest.raises(
        SinkRefusedError, match=r"not complete; its last step was at .* dag/newer/load .*If it cannot end, clear"
    ):
        new_sink().open(make_load(), restart=True)

    assert lake.listed() == before
    for batch in batches[3:]:
        written(sink, batch)
    sink.finish(make_certificate(newer, batches[-1].checkpoint))
    assert lake.manifest()["export_id"] == "export-2"
    later(new_sink, lake)


def test_shards_and_a_load_in_one_piece_are_ranked_too(new_sink: Any, lake: Bucket) -> None:
    newer = make_load("export-2", submitted_at=now())
    run(new_sink(), newer, batches_of(newer, 60))
    before = lake.listed()
    with pytest.raises(SinkRefusedError, match="an older export does not replace it"):
        new_sink().open(make_load(shard=2), restart=False)
    assert lake.listed() == before

    again = make_load("export-3", submitted_at=now())
    sink = new_sink()
    sink.open(again, restart=False)
    new_sink().open(make_load("export-4", shard=1, submitted_at=now()), restart=False)
    with pytest.raises(SinkRefusedError, match=r"export export-4, .*does not take over that load"):
        sink.finish(make_certificate(again, make_checkpoint(again, 0)))
    with pytest.raises(SinkRefusedError, match=r"export export-4, .*does not take over that load"):
        new_sink().open(again, restart=False)
    assert len(lake.rows()) == 60


def test_other_loads_and_shards_are_left_alone(new_sink: Any, lake: Bucket) -> None:
    for other in (make_load(load_id="load-10"), make_load(load_id="load-1", shard=1)):
        run(new_sink(), other, batches_of(other, 60))
    before = set(lake.listed())

    load = make_load(shard=2)
    run(new_sink(), load, batches_of(load, 60))

    assert before < set(lake.listed())


def test_a_resumed_load_has_to_go_on_where_the_checkpoint_stands(new_sink: Any) -> None:
    load, sink = make_load(), new_sink()
    sink.open(load, restart=False)
    for batch in batches_of(load, 100):
        written(sink, batch)
    again = new_sink()
    again.open(load, restart=False)

    with pytest.raises(AccountError):
        written(again, make_batch(load, range(50)))


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"{", "cannot be read"),
        (b"[]", "cannot be read"),
        (b"{}", "cannot be read"),
        (b'{"version": 2, "checkpoint": null}', "version 2"),
    ],
)
def test_a_ledger_that_cannot_be_read_is_an_error_and_no_new_load(
    new_sink: Any, client: Any, bucket: str, body: bytes, error: str
) -> None:
    client.put_object(Bucket=bucket, Key=LEDGER + "00000001.json", Body=body)

    with pytest.raises(CheckpointError, match=error):
        new_sink().open(make_load(), restart=False)


def test_a_ledger_whose_sums_do_not_agree_closes_no_load(new_sink: Any, lake: Bucket, client: Any, bucket: str) -> None:
    load, sink = make_load(), new_sink()
    sink.open(load, restart=False)
    for batch in batches_of(load, 100):
        written(sink, batch)
    key = LEDGER + "00000002.json"
    client.put_object(Bucket=bucket, Key=key, Body=lake.read(key).replace(b'"rows":100', b'"rows":99'))

    with pytest.raises(
        AccountError, match="the parts hold 149 rows and 0 dead letters, but the account says 150 and 0"
    ):
        run(new_sink(), load, batches_of(load, 150))


def test_foreign_objects_in_the_ledger_folder_are_ignored(new_sink: Any, client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key=LEDGER + "notes.txt", Body=b"hello")
    client.put_object(Bucket=bucket, Key=LEDGER, Body=b"")

    assert new_sink().open(make_load(), restart=False) is None


def test_the_next_part_is_filled_while_the_one_before_is_committed(new_sink: Any, client: Any) -> None:
    load, go_on, asked = make_load(), threading.Event(), list[str]()

    def hold(params: dict[str, Any], **_: Any) -> None:
        if "/_ledger/" in params["url_path"] and threading.current_thread().name.startswith("genesys-commit"):
            asked.append(params["url_path"])
            go_on.wait(20)

    sink = new_sink()
    sink.open(load, restart=False)
    client.meta.events.register("before-call.s3.PutObject", hold)
    first, second, third, fourth, fifth = batches_of(load, 250)
    assert [sink.write(batch) for batch in (first, second, third)] == [None, None, None]
    assert len(asked) <= 1
    threading.Timer(0.2, go_on.set).start()
    newest = sink.write(fourth)  # it ends a part too, and so waits for the commit before
    assert newest.position.record_offset == second.end
    assert len(set(asked)) <= 2
    later = sink.write(fifth) or sink.flush()
    assert later.position.record_offset == fourth.end
    assert sink.flush() is None
    assert sink.finish(make_certificate(load, make_checkpoint(load, 250))).counts.read == 250


def test_a_commit_that_fails_in_the_background_ends_the_attempt(new_sink: Any, client: Any, lake: Bucket) -> None:
    load, sink, failed = make_load(), new_sink(retries=0), threading.Event()

    def fail(params: dict[str, Any], **_: Any) -> None:
        if "/_ledger/" in params["url_path"] and not failed.is_set():
            failed.set()
            raise EndpointConnectionError(endpoint_url="http://gone")

    sink.open(load, restart=False)
    client.meta.events.register("before-call.s3.PutObject", fail)
    first, second, third, fourth = batches_of(load, 200)
    written(sink, first)
    assert sink.write(second) is None
    assert failed.wait(20)
    with pytest.raises(SinkUnavailableError, match=f"export-1, bytes 0 to {second.end}"):
        _ = [sink.write(batch) for batch in (third, fourth)]  # at the latest where the next part ends
    assert sink.flush() is None
    run(new_sink(), load, [first, second, third, fourth])
    assert len(lake.rows()) == 200
