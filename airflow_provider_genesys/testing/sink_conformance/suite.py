"""The suite: one test for each promise, named after it."""
# ruff: noqa: D102, S101 - these are tests that are shipped: they assert, and their names say what they show

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import AccountError, FencedError
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, Counts
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.pipeline.sink import Sink
from airflow_provider_genesys.testing.sink_conformance.place import Contents, Place, compared
from airflow_provider_genesys.testing.sink_conformance.source import (
    DAY,
    DEAD,
    LENGTH,
    PROCESSED_AT,
    RECORDS,
    assert_goes_on,
    cut_batches,
    expected,
    finish,
    load_all,
    make_batch,
    make_certificate,
    make_checkpoint,
    make_load,
    recording_row,
    write_all,
    write_last_and_finish,
    write_until_committed,
    written,
)

LOAD = make_load()
ACCOUNT = Counts(RECORDS, RECORDS - len(DEAD), len(DEAD))
# An attempt ends early with abort, or without a word, as when its process dies.
_WAYS_TO_STOP: dict[str, Callable[[Sink], None]] = {"aborted": lambda sink: sink.abort(), "abandoned": lambda _: None}


class SinkConformance:
    """Subclass it, as ``class TestMySink(SinkConformance)``, and give it the fixture ``place``.

    A sink that cuts parts has to be made with a part size of about :data:`~.source.PART_SIZE`.
    """

    @pytest.fixture
    def place(self) -> Place:
        """Return an empty place; each test gets a separate one."""
        raise NotImplementedError("Give your class a fixture 'place': see docs/custom-sink.md.")

    @pytest.fixture(params=_WAYS_TO_STOP)
    def stop(self, request: pytest.FixtureRequest) -> Callable[[Sink], None]:
        """Return what ends an attempt early."""
        return _WAYS_TO_STOP[request.param]

    # ── a load without trouble ──

    def test_there_is_nothing_to_continue_where_nothing_was_loaded(self, place: Place) -> None:
        sink = place.make_sink()
        assert sink.open(LOAD, restart=False) is None
        assert sink.processed_at is None
        sink.abort()
        assert place.read_back(LOAD) is None

    def test_a_load_lands_exactly_its_rows_and_dead_letters(self, place: Place) -> None:
        load_all(place.make_sink(), LOAD)
        assert_whole(place)

    def test_finish_completes_the_certificate_and_keeps_what_it_says(self, place: Place) -> None:
        certificate = load_all(place.make_sink(), LOAD)
        described = make_certificate(LOAD, make_checkpoint(LOAD, RECORDS))
        assert certificate.location
        assert certificate.counts == ACCOUNT
        own = dict.fromkeys(("location", "parts", "counts", "rules", "attempts", "delivery", "duplicates"))
        assert {**asdict(certificate), **own} == {**asdict(described), **own}

    def test_finish_alone_makes_a_load_complete(self, place: Place) -> None:
        sink = place.make_sink()
        write_all(sink, LOAD, sink.open(LOAD, restart=False))
        assert place.read_back(LOAD) is None
        sink.abort()
        assert place.read_back(LOAD) is None

    def test_the_account_closes_in_every_checkpoint(self, place: Place) -> None:
        sink = place.make_sink()
        committed = write_all(sink, LOAD, sink.open(LOAD, restart=False))
        assert committed, "no write has committed: the parts are too large for the suite, see PART_SIZE"
        for checkpoint in committed:
            records = checkpoint.position.record_offset // LENGTH
            dead_letters = len([number for number in DEAD if number < records])
            assert checkpoint.counts == Counts(records, records - dead_letters, dead_letters)
        sink.abort()

    def test_a_checkpoint_keeps_what_the_batch_said(self, place: Place) -> None:
        sink = place.make_sink()
        for checkpoint in write_all(sink, LOAD, sink.open(LOAD, restart=False)):
            said = make_checkpoint(LOAD, checkpoint.position.record_offset // LENGTH)
            assert checkpoint.committed_at
            own: dict[str, Any] = {"counts": Counts(), "committed_at": None, "fence": 0}
            assert replace(checkpoint, **own) == replace(said, **own)
        sink.abort()

    def test_an_account_of_other_records_than_were_read_is_refused(self, place: Place) -> None:
        sink = place.make_sink()
        write_all(sink, LOAD, sink.open(LOAD, restart=False))
        with pytest.raises(AccountError):
            sink.finish(make_certificate(LOAD, make_checkpoint(LOAD, RECORDS + 1)))
        assert place.read_back(LOAD) is None
        sink.abort()

    def test_equal_records_are_kept_or_counted_as_duplicates(self, place: Place) -> None:
        sink = place.make_sink()
        sink.open(LOAD, restart=False)
        for first in range(0, RECORDS, 10):
            numbers = range(first, min(first + 10, RECORDS))
            sink.write(make_batch(LOAD, numbers, row=lambda number: recording_row(number // 4)))
        certificate = finish(sink, LOAD)
        certificate.counts.check("the end")
        assert certificate.counts.read == RECORDS
        contents = _contents(place)
        assert len(contents.rows) == certificate.counts.written
        assert {row["recordingId"] for row in contents.rows} == {recording_row(n)[0] for n in range(RECORDS // 4)}

    # ── batches of all kinds ──

    def test_an_empty_load_is_complete(self, place: Place) -> None:
        sink = place.make_sink()
        sink.open(LOAD, restart=False)
        assert sink.finish(make_certificate(LOAD, make_checkpoint(LOAD, 0))).counts == Counts()
        assert _contents(place) == Contents([], [])

    def test_a_batch_may_hold_nothing_but_dead_letters(self, place: Place) -> None:
        sink = place.make_sink()
        sink.open(LOAD, restart=False)
        sink.write(make_batch(LOAD, range(RECORDS), dead=range(RECORDS)))
        assert finish(sink, LOAD).counts == Counts(RECORDS, 0, RECORDS)
        assert _contents(place).rows == []
        offsets = sorted(letter["offset"] for letter in _contents(place).dead_letters)
        assert offsets == [number * LENGTH for number in range(RECORDS)]

    def test_a_batch_may_be_empty(self, place: Place) -> None:
        sink = place.make_sink()
        sink.open(LOAD, restart=False)
        for batch in cut_batches(LOAD, 0, cut_every=sink.cut_every):
            nothing = replace(batch, rows=[], offsets=[], dead_letters=[], end=batch.start)
            sink.write(replace(nothing, checkpoint=make_checkpoint(LOAD, batch.start // LENGTH)))
            sink.write(batch)
        assert finish(sink, LOAD).counts == ACCOUNT
        assert_whole(place)

    # ── going on ──

    def test_each_checkpoint_that_write_returns_is_there_for_the_next_attempt(
        self, place: Place, stop: Callable[[Sink], None]
    ) -> None:
        sink = place.make_sink()
        start = sink.open(LOAD, restart=False)
        seen: list[Checkpoint | None] = []
        while (committed := write_until_committed(sink, LOAD, start)) is not None:
            stop(sink)
            seen.append(committed)
            sink = place.make_sink()
            start = sink.open(LOAD, restart=False)
            assert_goes_on(start, committed)
        assert len(seen) > 1
        finish(sink, LOAD)
        assert_whole(place)

    def test_what_was_not_committed_does_not_count(self, place: Place, stop: Callable[[Sink], None]) -> None:
        sink = place.make_sink()
        committed = write_until_committed(sink, LOAD, sink.open(LOAD, restart=False), size=3)
        stop(sink)
        again = place.make_sink()
        start = again.open(LOAD, restart=False)
        assert_goes_on(start, committed)
        # Cut differently than before: with equal batches, wrong rows after the checkpoint would not show.
        write_all(again, LOAD, start, size=5)
        assert finish(again, LOAD).counts == ACCOUNT
        assert_whole(place)

    def test_dead_letters_come_with_their_batch_and_never_twice(
        self, place: Place, stop: Callable[[Sink], None]
    ) -> None:
        for until in sorted(number + 1 for number in DEAD):
            sink = place.make_sink()
            write_all(sink, LOAD, sink.open(LOAD, restart=False), until=until, size=1)
            stop(sink)
        assert load_all(place.make_sink(), LOAD, size=1).counts == ACCOUNT
        assert_whole(place)

    def test_a_load_that_stops_before_finish_goes_on_from_its_last_checkpoint(
        self, place: Place, stop: Callable[[Sink], None]
    ) -> None:
        sink = place.make_sink()
        committed = write_all(sink, LOAD, sink.open(LOAD, restart=False))
        stop(sink)
        again = place.make_sink()
        assert_goes_on(again.open(LOAD, restart=False), committed[-1])
        again.abort()
        load_all(place.make_sink(), LOAD)
        assert_whole(place)

    # ── starting again ──

    def test_restart_begins_anew(self, place: Place, stop: Callable[[Sink], None]) -> None:
        sink = place.make_sink()
        write_all(sink, LOAD, sink.open(LOAD, restart=False), until=50)
        stop(sink)
        again = place.make_sink()
        assert again.open(LOAD, restart=True) is None
        write_all(again, LOAD, None)
        assert finish(again, LOAD).counts == ACCOUNT
        assert_whole(place)

    def test_another_export_is_not_continued(self, place: Place, stop: Callable[[Sink], None]) -> None:
        sink = place.make_sink()
        write_all(sink, LOAD, sink.open(LOAD, restart=False), until=50)
        stop(sink)
        another = make_load("export-2", submitted_at=DAY + timedelta(days=2))
        again = place.make_sink()
        assert again.open(another, restart=False) is None
        assert again.processed_at is None
        write_all(again, another, None)
        certificate = finish(again, another)
        assert (certificate.export_id, certificate.counts) == ("export-2", ACCOUNT)
        assert_whole(place, another)

    def test_a_complete_load_is_loaded_anew(self, place: Place) -> None:
        load_all(place.make_sink(), LOAD)
        sink = place.make_sink()
        assert sink.open(LOAD, restart=False) is None
        sink.abort()
        assert load_all(place.make_sink(), LOAD).counts == ACCOUNT
        assert_whole(place)

    def test_processed_at_stays(self, place: Place, stop: Callable[[Sink], None]) -> None:
        sink = place.make_sink()
        write_until_committed(sink, LOAD, sink.open(LOAD, restart=False))
        stop(sink)
        for restart in (False, True, False):
            sink = place.make_sink()
            sink.open(LOAD, restart=restart)
            assert sink.processed_at == PROCESSED_AT.isoformat()
            stop(sink)
        load_all(place.make_sink(), LOAD)
        sink = place.make_sink()
        assert sink.open(LOAD, restart=False) is None
        assert sink.processed_at == PROCESSED_AT.isoformat()
        sink.abort()

    # ── two attempts alive at once ──

    def test_the_older_of_two_attempts_cannot_commit(self, place: Place) -> None:
        older, newer = place.make_sink(), place.make_sink()
        older.open(LOAD, restart=False)
        start = newer.open(LOAD, restart=False)
        with pytest.raises(FencedError):
            write_all(older, LOAD, None)
        older.abort()
        write_all(newer, LOAD, start)
        assert finish(newer, LOAD).counts == ACCOUNT
        assert_whole(place)

    def test_the_older_of_two_attempts_cannot_commit_what_it_has_gathered(self, place: Place) -> None:
        older = place.make_sink()
        write_all(older, LOAD, older.open(LOAD, restart=False), until=RECORDS - 1)
        newer = place.make_sink()
        write_all(newer, LOAD, newer.open(LOAD, restart=False))
        with pytest.raises(FencedError):
            write_last_and_finish(older, LOAD)
        older.abort()
        assert finish(newer, LOAD).counts == ACCOUNT
        assert_whole(place)

    def test_the_older_of_two_attempts_cannot_finish(self, place: Place) -> None:
        older = place.make_sink()
        write_all(older, LOAD, older.open(LOAD, restart=False))
        newer = place.make_sink()
        newer.open(LOAD, restart=False)
        with pytest.raises(FencedError):
            finish(older, LOAD)
        assert place.read_back(LOAD) is None
        newer.abort()

    def test_the_older_of_two_attempts_leaves_a_complete_load_alone(self, place: Place) -> None:
        older = place.make_sink()
        write_until_committed(older, LOAD, older.open(LOAD, restart=False), size=3)
        load_all(place.make_sink(), LOAD)
        with pytest.raises(FencedError):
            finish(older, LOAD)
        older.abort()
        assert_whole(place)

    # ── letting go ──

    def test_abort_never_raises(self, place: Place) -> None:
        sink = place.make_sink()
        sink.abort()
        write_until_committed(sink, LOAD, sink.open(LOAD, restart=False), size=3)
        sink.abort()
        sink.abort()
        complete = place.make_sink()
        load_all(complete, LOAD)
        complete.abort()
        assert_whole(place)

    # ── parts ──

    def test_parts_are_cut_where_the_position_passes_the_mark(self, place: Place) -> None:
        sink = place.make_sink()
        every = _cut_every(sink)
        sink.open(LOAD, restart=False)
        for batch in cut_batches(LOAD, 0, size=3, cut_every=every):
            assert (written(sink, batch) is not None) == (batch.end // every > batch.start // every)
        finish(sink, LOAD)
        assert len(_contents(place).parts) == -(-RECORDS * LENGTH // every)

    def test_parts_have_the_same_bytes_each_time(self, place: Place, stop: Callable[[Sink], None]) -> None:
        _cut_every(place.make_sink())
        load_all(place.make_sink(), LOAD, size=RECORDS)
        perfect = _contents(place).parts
        sink = place.make_sink()
        write_until_committed(sink, LOAD, sink.open(LOAD, restart=True), size=2)
        stop(sink)
        load_all(place.make_sink(), LOAD, size=3)
        assert _contents(place).parts == perfect


def _cut_every(sink: Sink) -> int:
    if sink.cut_every is None:
        pytest.skip("the sink cuts no parts")
    return sink.cut_every


def _contents(place: Place, load: Load = LOAD) -> Contents:
    contents = place.read_back(load)
    assert contents is not None, "the load is not complete"
    return contents


def assert_whole(place: Place, load: Load = LOAD) -> None:
    """Compare what readers find with what the source holds."""
    assert compared(_contents(place, load), load.contract) == compared(expected(load), load.contract)
