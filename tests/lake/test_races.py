"""Two loads at once, lost answers, and maintenance between two tries. Catalog and parts are files."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.exceptions import CommitFailedException, CommitStateUnknownException
from pyiceberg.expressions import AlwaysTrue

from airflow_provider_genesys import failpoints
from airflow_provider_genesys.contracts.column import Column
from airflow_provider_genesys.contracts.contract import RECORDINGS
from airflow_provider_genesys.exceptions import (
    FencedError,
    SinkRefusedError,
    SinkUnavailableError,
    UnrankedExportError,
)
from airflow_provider_genesys.lake import publish
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.sinks.dead_letters import opened
from airflow_provider_genesys.sinks.objects.replay import ObjectReplay
from airflow_provider_genesys.sinks.objects.settings import ObjectSettings
from airflow_provider_genesys.sinks.objects.sink import ObjectSink
from airflow_provider_genesys.stores.folder import FolderStore
from airflow_provider_genesys.times import now
from tests.lake.tables import NAME, Lake
from tests.sinks.batches import make_batches, make_load, recording_row
from tests.sinks.lake import CUT, batches_of, ids, run
from tests.sinks.replaying import as_it_is


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    (tmp_path / "parts").mkdir()
    monkeypatch.setattr(publish, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(publish, "LONGEST_PAUSE", 0.01)
    return Lake(str(tmp_path / "catalog.db"), f"file://{tmp_path}/parts", {})


@pytest.fixture
def new_sink(lake: Lake, tmp_path: Path) -> Callable[..., ObjectSink]:
    def make(prefix: str = "raw", **connect: Any) -> ObjectSink:
        settings = ObjectSettings(prefix, "parquet", CUT, dead_letter_raw="keep", publisher=lake.publisher(**connect))
        return ObjectSink(lambda: FolderStore(tmp_path / "parts"), settings)

    return make


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], object]], None]:
    """Does something, once, when a step is reached."""

    def do(step: str, what: Callable[[], object]) -> None:
        def hear(reached: str) -> None:
            if reached == step:
                monkeypatch.setattr(failpoints, "hook", lambda _: None)
                what()

        monkeypatch.setattr(failpoints, "hook", hear)

    return do


def rows_from(first: int, load: Load, records: int) -> Iterator[Batch]:
    """Make batches of records whose ids count from ``first``."""
    return make_batches(load, records, size=50, row=lambda number: recording_row(first + number))


def other_day(load: Load) -> Load:
    return replace(load, load_id="load-2", window_start=load.window_end, window_end=load.window_end + timedelta(1))


def later(load: Load, **changes: Any) -> Load:
    assert load.submitted_at
    return replace(load, export_id="export-2", submitted_at=load.submitted_at + timedelta(hours=1), **changes)


@pytest.mark.outcome("Iceberg", "an attempt that was taken over commits last", "FencedError")
def test_an_older_attempt_never_commits_after_a_newer_one(
    new_sink: Callable[..., ObjectSink], lake: Lake, at_step: Callable[..., None]
) -> None:
    load = make_load()
    older = new_sink()
    # It is judged, and then sleeps: the newer one takes over, loads all and commits before the older one does.
    at_step(failpoints.PUBLISHING, lambda: run(new_sink(), later(load), batches_of(load, 250)))
    with pytest.raises(FencedError):
        run(older, load, batches_of(load, 150))
    assert lake.ids() == ids(range(250))
    assert [facts["genesys.fence"] for facts in lake.snapshots()] == ["2"]


def test_the_fence_in_the_table_stops_what_the_ledger_lets_pass(
    new_sink: Callable[..., ObjectSink], lake: Lake, at_step: Callable[..., None]
) -> None:
    """Another prefix has another ledger: there the older one is not known to be older."""
    load = make_load()
    newer = new_sink("other")
    newer.open(load, restart=False)

    at_step(failpoints.PUBLISHING, lambda: run(newer, load, batches_of(load, 250)))
    with pytest.raises(FencedError, match=r"fence 2.*this one \(fence 1\) stops"):
        run(new_sink(), load, batches_of(load, 150))
    assert lake.ids() == ids(range(250))


def test_a_later_export_commits_though_the_ledger_was_removed(new_sink: Callable[..., ObjectSink], lake: Lake) -> None:
    load = make_load()
    for again in (False, True):
        run(new_sink(), load, batches_of(load, 150 + again * 50), restart=again)
    with pytest.raises(FencedError, match="If the load's ledger was removed"):
        run(new_sink("another ledger"), load, batches_of(load, 250))
    newest = later(load)
    run(new_sink("a third"), newest, batches_of(newest, 250))
    assert lake.ids() == ids(range(250))


def test_a_replay_leaves_what_is_in_a_table(new_sink: Callable[..., ObjectSink], lake: Lake, tmp_path: Path) -> None:
    load = make_load()
    run(new_sink(), load, batches_of(load, 150, dead={7}))
    replay = ObjectReplay(FolderStore(tmp_path / "parts"), "raw", opened=lambda letter: opened(letter, as_it_is))
    assert replay.run(lambda _: RECORDINGS, "dag/replay/task").loads_skipped == 1
    assert len(lake.ids()) == 149


def test_an_older_attempt_does_not_fill_what_a_newer_one_has_emptied(
    new_sink: Callable[..., ObjectSink], lake: Lake, at_step: Callable[..., None]
) -> None:
    load = make_load()
    newer = new_sink("other")
    newer.open(load, restart=False)
    at_step(failpoints.PUBLISHING, lambda: run(newer, load, batches_of(load, 1, dead={0})))
    with pytest.raises(FencedError):
        run(new_sink(), load, batches_of(load, 150))
    assert lake.ids() == []


@pytest.mark.outcome("Iceberg", "two windows are committed at once", "recovers")
def test_two_windows_at_once_both_land(
    new_sink: Callable[..., ObjectSink], lake: Lake, at_step: Callable[..., None]
) -> None:
    load = make_load()
    run(new_sink(), load, batches_of(load, 50))
    at_step(failpoints.PUBLISHING, lambda: run(new_sink(), other_day(load), rows_from(50, load, 100)))
    run(new_sink(), later(load), rows_from(150, load, 100))
    assert lake.ids() == ids(range(50, 250))
    assert len(lake.snapshots()) == 3


def test_many_windows_at_once_all_land(new_sink: Callable[..., ObjectSink], lake: Lake) -> None:
    load = make_load()
    days = [
        replace(
            load,
            load_id=f"load-{day}",
            window_start=load.window_start + timedelta(day),
            window_end=load.window_end + timedelta(day),
        )
        for day in range(6)
    ]
    run(new_sink(), days[0], batches_of(load, 1))
    at_once = [
        threading.Thread(target=lambda day=day, of=of: run(new_sink(), of, rows_from(day * 50, load, 50)))
        for day, of in enumerate(days)
    ]
    for thread in at_once:
        thread.start()
    for thread in at_once:
        thread.join()
    assert lake.ids() == ids(range(300))


class Losing:
    """A catalog whose answers to commits are lost, or whose commits are.

    :param lost: of each try, whether its commit comes through and what is answered; the rest is answered rightly.
    """

    def __init__(self, lake: Lake, lost: Sequence[tuple[bool, type[Exception]]]) -> None:
        self._catalog = lake.catalog()
        self._commit = self._catalog.commit_table
        self._lost = iter(lost)
        self._catalog.commit_table = self._losing  # type: ignore[method-assign]

    def __call__(self) -> Any:
        return self._catalog

    def _losing(self, *given: Any) -> Any:
        through, answer = next(self._lost, (True, None))
        done = self._commit(*given) if through else None
        if answer:
            raise answer("lost")
        return done


@pytest.mark.outcome("Iceberg", "the answer to the commit is lost", "recovers")
@pytest.mark.parametrize("answer", [CommitStateUnknownException, ConnectionError, CommitFailedException])
@pytest.mark.parametrize("through", [True, False])
def test_a_lost_answer_is_read_back(
    new_sink: Callable[..., ObjectSink], lake: Lake, through: bool, answer: type[Exception]
) -> None:
    load = make_load()
    certificate = run(new_sink(connect=Losing(lake, [(through, answer)])), load, batches_of(load, 150))
    assert lake.ids() == ids(range(150))
    assert len(lake.snapshots()) == 1
    assert certificate.iceberg == {NAME: str(lake.table().metadata.current_snapshot_id)}


@pytest.mark.outcome("Iceberg", "the catalog cannot be reached", "SinkUnavailableError")
def test_a_catalog_that_stays_away_fails_the_try_and_the_next_one_finds_the_commit(
    new_sink: Callable[..., ObjectSink], lake: Lake
) -> None:
    load = make_load()
    sink = new_sink(connect=Losing(lake, [(True, ConnectionError)] + [(False, ConnectionError)] * 100))
    run(new_sink(), other_day(load), batches_of(load, 1))
    at_once = lake.table().metadata.current_snapshot_id
    with pytest.raises(SinkUnavailableError, match="20 tries"):
        run(new_sink(connect=Losing(lake, [(False, ConnectionError)] * 100)), load, batches_of(load, 150))
    assert lake.table().metadata.current_snapshot_id == at_once
    run(sink, load, batches_of(load, 150))
    assert len(lake.snapshots()) == 2


def _rewrite(lake: Lake) -> None:
    """Do what ``rewrite_data_files`` does: the same rows, in other files, by a snapshot that says nothing of us."""
    table = lake.table()
    table.overwrite(table.scan().to_arrow(), overwrite_filter=AlwaysTrue())


def _expire(lake: Lake) -> None:
    lake.table().maintenance.expire_snapshots().older_than(datetime.now() + timedelta(days=1)).commit()  # noqa: DTZ005 - PyIceberg's


@pytest.mark.outcome("Iceberg", "snapshots are expired and files rewritten between two tries", "recovers")
@pytest.mark.parametrize(
    ("maintenance", "commits"),
    [((), 0), ((_expire,), 0), ((_rewrite,), 0), ((_rewrite, _expire), 1)],
    ids=["none", "expired", "rewritten", "rewritten and expired"],
)
def test_maintenance_between_two_tries(
    new_sink: Callable[..., ObjectSink], lake: Lake, maintenance: Sequence[Callable[[Lake], None]], commits: int
) -> None:
    """Where neither the history nor the list of files knows the load, its parts replace equal rows."""
    load = make_load()
    run(new_sink(), load, batches_of(load, 150))
    for done in maintenance:
        done(lake)
    before = lake.table().metadata.current_snapshot_id
    run(new_sink(), load, batches_of(load, 150), restart=True)
    assert lake.ids() == ids(range(150))
    assert (lake.table().metadata.current_snapshot_id != before) == bool(commits)


def test_a_rollback_is_no_own_commit(new_sink: Callable[..., ObjectSink], lake: Lake) -> None:
    load = make_load()
    run(new_sink(), other_day(load), rows_from(200, load, 50))
    first = lake.table().metadata.current_snapshot_id
    run(new_sink(), load, batches_of(load, 150))
    lake.table().manage_snapshots().rollback_to_snapshot(first).commit()  # type: ignore[arg-type]
    assert lake.ids() == ids(range(200, 250))
    run(new_sink(), load, batches_of(load, 150), restart=True)
    assert lake.ids() == ids([*range(150), *range(200, 250)])


@pytest.mark.outcome("Iceberg", "an older export comes after a newer one", "SinkRefusedError")
def test_what_may_not_replace_a_window_is_refused(new_sink: Callable[..., ObjectSink], lake: Lake) -> None:
    load = make_load()
    run(new_sink(), later(load), batches_of(load, 150))
    other = replace(RECORDINGS, version=RECORDINGS.version + 1)
    older = replace(load, load_id="load-3", contract=other)
    with pytest.raises(SinkRefusedError, match=r"requested at .* later than export export-1"):
        run(new_sink(), older, batches_of(older, 50))
    unknown = replace(older, load_id="load-4", submitted_at=None)
    with pytest.raises(UnrankedExportError, match="Give the operator submitted_at"):
        run(new_sink(), unknown, batches_of(unknown, 50))
    filtered = replace(load, load_id="load-5")
    with pytest.raises(SinkRefusedError, match="another load made with the same contract"):
        run(new_sink(), filtered, batches_of(filtered, 50))
    hours = replace(
        load,
        load_id="load-6",
        window_start=load.window_start + timedelta(hours=12),
        window_end=load.window_end + timedelta(hours=12),
    )
    with pytest.raises(SinkRefusedError, match="overlaps"):
        run(new_sink(), hours, batches_of(hours, 50))
    assert lake.ids() == ids(range(150))
    newest = later(later(older))
    run(new_sink(), newest, batches_of(newest, 250))
    assert lake.ids() == ids(range(250))


@pytest.mark.outcome("Iceberg", "two exports of a window, and nobody knows which is newer", "UnrankedExportError")
def test_exports_that_cannot_be_ranked_do_not_replace_each_other(
    new_sink: Callable[..., ObjectSink], lake: Lake
) -> None:
    """Another prefix has another ledger; only the table knows both."""
    first = make_load()
    run(new_sink(), first, batches_of(first, 150))
    other = replace(RECORDINGS, version=RECORDINGS.version + 1)
    for asked in (first.submitted_at, None):
        for again in (
            make_load("export-2", submitted_at=asked),
            make_load("export-2", load_id="load-2", contract=other, submitted_at=asked),
        ):
            with pytest.raises(UnrankedExportError, match=r"of export export-1, requested at 2026.*Give the operator"):
                run(new_sink("other"), again, batches_of(again, 50))
    older = replace(make_load("export-2"), submitted_at=first.window_start)
    with pytest.raises(SinkRefusedError, match="an older export does not replace it"):
        run(new_sink("third"), older, batches_of(older, 50))
    assert lake.ids() == ids(range(150))
    newest = later(first)
    run(new_sink("fourth"), newest, batches_of(newest, 250))
    assert lake.ids() == ids(range(250))


def test_an_export_requested_after_a_commit_is_newer(new_sink: Callable[..., ObjectSink], lake: Lake) -> None:
    unknown = make_load(submitted_at=None)
    run(new_sink(), unknown, batches_of(unknown, 150))
    newest = make_load("export-2", submitted_at=now())
    run(new_sink("other"), newest, batches_of(newest, 250))
    assert lake.ids() == ids(range(250))


def test_an_older_day_does_not_replace_newer_hours(new_sink: Callable[..., ObjectSink], lake: Lake) -> None:
    day = make_load()
    hour = replace(later(day), load_id="hour", window_end=day.window_start + timedelta(hours=1))
    run(new_sink(), hour, batches_of(hour, 50))
    for asked, error in ((day.submitted_at, SinkRefusedError), (hour.submitted_at, UnrankedExportError)):
        one = replace(day, load_id=f"day {asked}", submitted_at=asked)
        with pytest.raises(error, match=r"has the window 2026-11-01T00:00:00.* to 2026-11-01T01"):
            run(new_sink(), one, batches_of(one, 150))
    assert lake.ids() == ids(range(50))


def test_a_day_replaces_its_hours(new_sink: Callable[..., ObjectSink], lake: Lake) -> None:
    load = make_load()
    for hour in (0, 12):
        at = load.window_start + timedelta(hours=hour)
        one = replace(load, load_id=f"hour-{hour}", window_start=at, window_end=at + timedelta(hours=12))
        run(new_sink(), one, rows_from(hour * 10, one, 50))
    run(new_sink(), load, batches_of(load, 150))
    assert lake.ids() == ids(range(150))


def test_a_listing_replaces_the_one_before_and_an_older_one_does_not(
    new_sink: Callable[..., ObjectSink], lake: Lake
) -> None:
    first = replace(make_load(), self_asked=True)
    second = replace(later(other_day(first)), load_id="load-2", self_asked=True)
    run(new_sink(), second, batches_of(second, 150))
    skipped = run(new_sink(), first, batches_of(first, 50))
    assert lake.ids() == ids(range(150))
    assert skipped.iceberg == {NAME: str(lake.table().metadata.current_snapshot_id)}
    third = replace(later(second), load_id="load-3")
    run(new_sink(), third, batches_of(third, 10))
    assert lake.ids() == ids(range(10))


def test_a_window_without_rows_empties_it(new_sink: Callable[..., ObjectSink], lake: Lake) -> None:
    load = make_load()
    run(new_sink(), load, batches_of(load, 150))
    empty = later(load)
    run(new_sink(), empty, batches_of(empty, 1, dead={0}))
    assert lake.ids() == []
    run(new_sink(), empty, batches_of(empty, 1, dead={0}), restart=True)
    assert len(lake.snapshots()) == 2


NEW = Column("score", "score", "integer", description="of the survey")


def test_a_column_is_added_in_the_commit_that_needs_it(new_sink: Callable[..., ObjectSink], lake: Lake) -> None:
    load = make_load()
    run(new_sink(), load, batches_of(load, 50))
    numbers = {field.name: field.field_id for field in lake.table().schema().fields}
    wider = later(load, contract=load.contract.evolved([NEW]))
    batches = (
        replace(batch, contract=wider.contract, rows=[(*row, 7) for row in batch.rows])
        for batch in batches_of(wider, 100)
    )
    run(new_sink(), wider, batches)
    table = lake.table()
    assert len(table.metadata.snapshots) == 2
    fields = {field.name: field.field_id for field in table.schema().fields}
    assert fields == {**numbers, "score": max(numbers.values()) + 1}
    assert set(table.scan().to_arrow()["score"].to_pylist()) == {7}
    assert table.schema().find_field("score").doc == "of the survey"


@pytest.mark.outcome("Iceberg", "a table lacks a column, or has one of another type", "SinkRefusedError")
def test_a_table_that_does_not_fit_is_refused_before_anything_is_read(
    new_sink: Callable[..., ObjectSink], lake: Lake
) -> None:
    load = make_load()
    run(new_sink(), load, batches_of(load, 50))
    with pytest.raises(
        SinkRefusedError, match=r"'durationMs' .* is of type long, and the load has string.*another name"
    ):
        new_sink().open(
            later(load, contract=load.contract.evolved([Column("durationMs", "durationMs", "string")])), restart=False
        )
    lake.target = replace(lake.target, create=False)
    with pytest.raises(SinkRefusedError, match=r"ALTER TABLE lake\.recordings ADD COLUMNS \(`score` bigint\)"):
        new_sink().open(later(load, contract=load.contract.evolved([NEW])), restart=False)
    lake.target = replace(lake.target, table="others")
    with pytest.raises(SinkRefusedError, match=r"There is no Iceberg table lake\.others\. Set create=True"):
        new_sink().open(load, restart=False)
