"""What an attempt at an object store holds against what it finds there before it calls a load complete."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import AccountError, FencedError, SinkRefusedError
from airflow_provider_genesys.sinks.objects import settings
from airflow_provider_genesys.sinks.objects.ledger import unfinished_loads
from airflow_provider_genesys.sinks.objects.settings import ObjectSettings
from airflow_provider_genesys.sinks.objects.sink import ObjectSink
from airflow_provider_genesys.stores.folder import FolderStore
from tests.sinks.batches import DAY, LENGTH, make_batches, make_certificate, make_load
from tests.sinks.lake import CUT, LOAD, batches_of, run

Sink = Callable[..., Any]


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


@pytest.fixture
def new_sink(store: FolderStore) -> Sink:
    def make(output_format: Any = "ndjson") -> ObjectSink:
        return ObjectSink(lambda: store, ObjectSettings("raw", output_format, CUT, dead_letter_raw="keep"))

    return make


def files(store: FolderStore, below: str = "raw/") -> list[str]:
    return [one.key for one in store.list_objects(below)]


def manifest(store: FolderStore) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(store.get(LOAD + "_manifest.json") or b"{}")
    return found


def test_a_batch_that_does_not_follow_is_refused(new_sink: Sink) -> None:
    load = make_load()
    for wrong in (range(40, 90), range(60, 110)):
        sink = new_sink()
        sink.open(load, restart=True)
        sink.write(next(make_batches(load, 50, size=50)))
        with pytest.raises(
            AccountError, match=f"starts at byte {wrong.start * 1200}, but the load has come to byte 60000"
        ):
            sink.write(next(make_batches(load, wrong, size=50)))


def test_another_kind_of_processor_never_writes_to_the_same_names_in_gzip(
    new_sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, names = make_load(), list[set[str]]()
    for machine in ("x86_64", "aarch64"):
        monkeypatch.setattr(settings, "machine", lambda name=machine: name)
        certificate = run(new_sink("ndjson.gz"), load, batches_of(load, 250), restart=True)
        names.append({part["key"] for part in certificate.parts})
    assert names[0].isdisjoint(names[1])


@pytest.mark.parametrize("which", [0, -1])
@pytest.mark.parametrize(
    ("damage", "state"),
    [
        (lambda store, key: store.delete(key), "is not there"),
        (lambda store, key: store.put(key, store.get(key)[:-1]), r"has \d+ bytes and other contents"),
        (lambda store, key: store.put(key, store.get(key)[:-1] + b"x"), r"has \d+ bytes and other contents"),
        (lambda store, key: store.put(key, store.get(key)), None),
    ],
    ids=["removed", "shortened", "changed", "the same bytes again"],
)
def test_a_part_that_has_changed_is_noticed_before_the_load_is_complete(
    new_sink: Sink, store: FolderStore, damage: Any, state: str | None, which: int
) -> None:
    load, sink = make_load(), new_sink()
    sink.open(load, restart=False)
    for batch in batches_of(load, 250, dead={7, 207}):
        sink.write(batch)
    sink.flush()
    parts = [key for key in files(store) if key.endswith(".ndjson") and "_dead_letters" not in key]
    damage(store, parts[which])
    closing = make_certificate(load, batch.checkpoint)
    if state is None:
        assert sink.finish(closing).counts.written == 248
        return
    with pytest.raises(AccountError, match=f"{parts[which]} should have .* but it {state}. Something else"):
        sink.finish(closing)
    assert not manifest(store)


def test_what_no_ledger_lists_is_removed_when_the_load_is_complete(new_sink: Sink, store: FolderStore) -> None:
    load = make_load()
    run(new_sink(), load, batches_of(load, 250, dead={7}))
    before = files(store)
    listed = {part["key"] for part in manifest(store)["parts"]}
    stale = [f"{LOAD}00000/stale.ndjson", "raw/_dead_letters/dt=2026-11-01/load-1/00000/stale.ndjson"]
    others = ["raw/dt=2026-11-01/load-2/00000/a.ndjson", "raw/dt=2026-11-02/load-1x/00000/a.ndjson"]
    for key in (*stale, *others):
        store.put(key, b"{}\n")
    later = replace(load, export_id="export-2", submitted_at=datetime(2026, 11, 3, tzinfo=timezone.utc))
    run(new_sink(), later, batches_of(later, 150))
    now = files(store)
    assert not set(stale) & set(now)
    assert set(others) <= set(now)
    assert not listed & set(now), "the parts of the export before"
    assert {part["key"] for part in manifest(store)["parts"]} <= set(now)
    assert len([key for key in before if "_dead_letters" in key]) == 1
    assert not [key for key in now if "_dead_letters" in key]


def test_a_certificate_is_added_to_unless_a_newer_attempt_has_begun(new_sink: Sink, store: FolderStore) -> None:
    load, sink = make_load(), new_sink()
    closed = run(sink, load, batches_of(load, 150, dead={7}))
    before = manifest(store)
    compared = {"verdict": "agrees"}
    sink.amend(replace(closed, reconciliation=compared))
    assert manifest(store) == {**before, "reconciliation": compared}

    newer = new_sink()
    newer.open(load, restart=True)
    sink.amend(replace(closed, reconciliation={"verdict": "differs"}))
    assert manifest(store)["reconciliation"] == compared


def test_an_attempt_that_was_taken_over_completes_nothing(new_sink: Sink, store: FolderStore) -> None:
    load, older = make_load(), new_sink()
    older.open(load, restart=False)
    for batch in batches_of(load, 100):
        older.write(batch)
    older.flush()
    new_sink().open(load, restart=False)
    with pytest.raises(FencedError):
        older.finish(make_certificate(load, batch.checkpoint))
    assert not manifest(store)


def test_checkpoints_and_certificate_carry_the_attempt(new_sink: Sink) -> None:
    load, sink = make_load(), new_sink()
    sink.open(load, restart=False)
    for batch in batches_of(load, 200):
        sink.write(batch)
    assert (checkpoint := sink.flush())
    assert (checkpoint.fence, checkpoint.counts.read) == (1, 200)
    sink.abort()
    again = new_sink()
    resumed = again.open(load, restart=False)
    assert (resumed.fence, resumed.position.record_offset) == (2, 200 * LENGTH)
    assert again.finish(make_certificate(load, resumed)).attempts == 2


def test_a_load_is_continued_in_the_same_form_alone(new_sink: Sink, store: FolderStore) -> None:
    load, sink = make_load(), new_sink()
    sink.open(load, restart=False)
    for batch in batches_of(load, 200):
        sink.write(batch)
    sink.flush()
    sink.abort()
    assert new_sink("ndjson").open(load, restart=False)
    other = new_sink("parquet")
    assert other.open(load, restart=False) is None
    certificate = run(other, load, batches_of(load, 150))
    assert {part["key"].rpartition(".")[2] for part in certificate.parts} == {"parquet"}
    assert not [key for key in files(store) if key.endswith(".ndjson")]


@pytest.mark.parametrize(("shard", "others"), [(0, 1), (1, 0), (1, 2)])
def test_a_load_whose_window_a_later_export_has_begun_otherwise_is_not_completed(
    new_sink: Sink, store: FolderStore, shard: int, others: int
) -> None:
    load = replace(make_load(), shard=shard)
    sink = new_sink()
    sink.open(load, restart=False)
    for batch in batches_of(load, 100):
        sink.write(batch)
    later = replace(load, export_id="export-2", shard=others, submitted_at=datetime(2026, 11, 3, tzinfo=timezone.utc))
    new_sink().open(later, restart=False)
    with pytest.raises(SinkRefusedError, match="export-2"):
        sink.finish(make_certificate(load, batch.checkpoint))
    assert not [key for key in files(store) if key.endswith("_manifest.json")]


def test_the_unfinished_loads_are_those_that_were_begun_and_not_completed(new_sink: Sink, store: FolderStore) -> None:
    days = [
        replace(load, window_start=begin, window_end=begin + timedelta(days=1))
        for load, begin in ((make_load(load_id=f"load-{5 - day}"), DAY + timedelta(days=day)) for day in range(5))
    ]
    run(new_sink(), days[1], batches_of(days[1], 50))
    for load in (days[4], days[0], days[2]):
        new_sink().open(load, restart=False)
    new_sink().open(replace(days[3], shard=1), restart=False)
    found = unfinished_loads(store, "raw", "conditional")
    assert [one.load_id for one in found] == ["load-5", "load-3", "load-1"], "the oldest window first"
    assert found == [load.facts for load in (days[0], days[2], days[4])]
    assert unfinished_loads(store, "other", "conditional") == []
