"""Two attempts at one load that are alive at once."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_genesys.exceptions import FencedError, SinkRefusedError
from airflow_provider_genesys.pipeline.load import Batch
from airflow_provider_genesys.testing.sink_conformance.source import written
from tests.sinks.batches import LENGTH, make_certificate, make_checkpoint, make_load
from tests.sinks.lake import Bucket, batches_of, bulky, run
from tests.support.watching import until


@pytest.mark.outcome("object stores", "a precondition fails: another attempt has written", "FencedError")
@pytest.mark.outcome(
    "processes", "two attempts at one load are alive at once", "FencedError in the older one; the newer one recovers"
)
def test_of_two_live_attempts_the_older_one_stops(new_sink: Any, lake: Bucket) -> None:
    load = make_load()
    batches = list(batches_of(load, 200))
    old, new = new_sink(), new_sink()
    old.open(load, restart=False)
    written(old, batches[0])

    new.open(load, restart=False)
    with pytest.raises(FencedError, match="fence 2"):
        written(old, batches[1])

    for batch in batches:
        written(new, batch)
    new.finish(make_certificate(load, make_checkpoint(load, 200)))
    assert len(lake.rows()) == 200


def test_a_fenced_attempt_writes_no_manifest_and_removes_nothing(new_sink: Any, lake: Bucket) -> None:
    load = make_load()
    old, new = new_sink(), new_sink()
    old.open(load, restart=False)
    for batch in batches_of(load, 100):
        written(old, batch)
    new.open(load, restart=True)
    for batch in batches_of(load, 200):
        written(new, batch)
    before = lake.listed()

    with pytest.raises(FencedError):
        old.finish(make_certificate(load, make_checkpoint(load, 100)))

    assert lake.listed() == before


def write_all(sink: Any, batches: list[Batch]) -> None:
    for batch in batches:
        written(sink, batch)


@pytest.mark.outcome("object stores", "an unfinished upload of an earlier attempt", "recovers")
@pytest.mark.usefixtures("_small_pieces")
def test_a_new_attempt_aborts_the_uploads_of_the_old_one_which_then_learns_that_it_is_fenced(
    new_sink: Any, lake: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    load = make_load()
    batches = list(bulky(load, 20, size=5))
    settings = {"output_format": "ndjson", "part_size": 30 * LENGTH}
    old = new_sink(**settings)
    old.open(load, restart=False)
    for batch in batches[:2]:
        written(old, batch)
    until(lambda: len(lake.uploads()) == 1, seconds=30, pause=0.01, what="a thread begins the upload")

    new = new_sink(**settings)
    new.open(load, restart=False)

    assert lake.uploads() == []
    with pytest.raises(FencedError):
        write_all(old, batches[2:])  # a piece is sent while the next is made: it shows with the one after it
    assert "left to the next attempt" not in caplog.text
    for batch in batches:
        written(new, batch)
    new.finish(make_certificate(load, make_checkpoint(load, 20)))
    assert len(lake.rows()) == 20


@pytest.mark.outcome("object stores", "the store ignores `If-None-Match`", 'SinkRefusedError unless `fencing="none"`')
def test_a_store_that_ignores_if_none_match_is_refused_unless_fencing_is_off(new_sink: Any, client: Any) -> None:
    def forget(params: dict[str, Any], **_: Any) -> None:
        params["headers"].pop("If-None-Match", None)

    client.meta.events.register("before-call.s3.PutObject", forget)

    with pytest.raises(SinkRefusedError, match="fencing='none'"):
        new_sink().open(make_load(), restart=False)
    load = make_load()
    assert run(new_sink(fencing="none"), load, batches_of(load, 120)).counts.read == 120


def test_without_fencing_an_older_attempt_still_stops_when_it_looks(new_sink: Any) -> None:
    load = make_load()
    batches = list(batches_of(load, 100))
    old = new_sink(fencing="none")
    old.open(load, restart=False)
    written(old, batches[0])
    new_sink(fencing="none").open(load, restart=False)

    with pytest.raises(FencedError):
        written(old, batches[1])
