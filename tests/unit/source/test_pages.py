"""Pages as a source: whole, resumed anywhere, and refused where they contradict themselves."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_genesys.cloud.exports.base import Page
from airflow_provider_genesys.exceptions import CursorLostError, SinkUnavailableError, SourceChangedError
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Counts
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.source.pages import Pages
from airflow_provider_genesys.source.records import ENOUGH
from tests.unit.pipeline.memory_sink import MemorySink, Shelf
from tests.unit.pipeline.sources import a_load

OPTIONS: dict[str, Any] = {"batch_size": 4, "max_dead_letter_ratio": None}


def record(number: int, **more: Any) -> bytes:
    fields = {"recordingId": f"r{number:03}", "timestamp": "2026-11-22T00:00:00Z", "durationMs": number, **more}
    return json.dumps(fields).encode()


class Results:
    """Two jobs, of which the first has an empty page amid others; ``lost`` are cursors that have expired."""

    def __init__(self) -> None:
        numbers = iter(range(100))
        self.jobs = [[[record(next(numbers)) for _ in range(size)] for size in sizes] for sizes in ([7, 0, 9, 4], [5])]
        self.jobs[0][2][1] = b'{"recordingId": oops}'
        self.lost: set[str] = set()
        self.asked: list[tuple[int, str | None]] = []

    def read(self, job: int, cursor: str | None) -> Page:
        self.asked.append((job, cursor))
        if cursor in self.lost:
            raise CursorLostError(f"{cursor} has expired")
        number = int(cursor.rpartition("-")[2]) if cursor else 0
        records = self.jobs[job][number]
        following = f"{job}-{number + 1}" if number + 1 < len(self.jobs[job]) else None
        ids = [raw[17:21].decode() for raw in records]
        return Page(ids, [memoryview(raw) for raw in records], following)

    def pages(self, _: Any = None) -> Pages:
        return Pages(self.read, "export-1", jobs=len(self.jobs))


def load(results: Results, sink: MemorySink, **options: Any) -> Certificate:
    return run(a_load(), results.pages, sink, Options(**OPTIONS | options))


def perfect() -> Shelf:
    shelf = Shelf()
    load(Results(), MemorySink(shelf))
    return shelf


def account(shelf: Shelf) -> Any:
    """What has to be equal however often the load broke down."""
    checkpoint = shelf.checkpoint
    assert checkpoint
    rows = [row[:-1] for row in shelf.rows]  # without processedAt
    return rows, shelf.offsets, shelf.letters, checkpoint.counts, checkpoint.digest, checkpoint.position


def test_every_record_of_every_page_arrives() -> None:
    shelf = Shelf()
    certificate = load(Results(), MemorySink(shelf))
    assert certificate.counts == Counts(25, 24, 1)
    assert [row[0] for row in shelf.rows] == [f"r{number:03}" for number in range(25) if number != 8]
    assert [letter.raw for letter in shelf.letters] == [b'{"recordingId": oops}']
    assert certificate.bytes_read == sum(len(raw) + 1 for job in Results().jobs for page in job for raw in page)


def test_a_slice_of_a_page_ends_where_it_has_enough_bytes_unless_parts_are_cut() -> None:
    results = Results()
    results.jobs = [[[record(number, text="x" * (ENOUGH // 3)) for number in range(8)]]]
    for cut_every, sizes in ((None, [3, 3, 2]), (1, [8])):
        pages = results.pages()
        assert [len(part.starts) for part in pages.slices(4, cut_every=cut_every, flush_interval=1)] == sizes


@pytest.mark.parametrize("fail_at", range(8))
def test_a_load_goes_on_in_the_middle_of_a_page(fail_at: int) -> None:
    shelf = Shelf()
    with pytest.raises(SinkUnavailableError):
        load(Results(), MemorySink(shelf, fail_at=fail_at))
    again = Results()
    load(again, MemorySink(shelf))
    assert account(shelf) == account(perfect())
    assert fail_at < 2 or (0, None) not in again.asked


def test_a_page_that_is_another_one_now_is_not_joined() -> None:
    shelf, changed = Shelf(), Results()
    with pytest.raises(SinkUnavailableError):
        load(Results(), MemorySink(shelf, fail_at=1))
    changed.jobs[0][0].reverse()
    with pytest.raises(SourceChangedError, match="first 4 records of page 1"):
        load(changed, MemorySink(shelf))
    assert len(shelf.rows) == 4


def test_a_cursor_that_has_expired_is_found_again_from_the_first_page() -> None:
    shelf, later = Shelf(), Results()
    with pytest.raises(SinkUnavailableError):
        load(Results(), MemorySink(shelf, fail_at=3))
    later.lost = {"0-2"}
    real = later.read

    def read(job: int, cursor: str | None) -> Page:
        page = real(job, cursor)
        return Page(page.ids, page.records, "new-2" if page.cursor == "0-2" else page.cursor)

    run(a_load(), lambda _: Pages(read, "export-1", jobs=2), MemorySink(shelf), Options(**OPTIONS))
    assert account(shelf) == account(perfect())


def test_a_way_back_that_leads_elsewhere_is_not_followed() -> None:
    shelf, later = Shelf(), Results()
    with pytest.raises(SinkUnavailableError):
        load(Results(), MemorySink(shelf, fail_at=3))
    later.jobs[0][0].pop()
    later.lost = {"0-2"}
    real, first = later.read, iter([True])

    def read(job: int, cursor: str | None) -> Page:
        if cursor == "0-2" and not next(first, False):
            later.lost.clear()
        return real(job, cursor)

    with pytest.raises(SourceChangedError, match="pages before page 3"):
        run(a_load(), lambda _: Pages(read, "export-1", jobs=2), MemorySink(shelf), Options(**OPTIONS))


@pytest.mark.parametrize(("hour", "incomplete"), [(23, True), (24, False)])
def test_a_window_that_genesys_had_not_all_of_is_certified_as_incomplete(hour: int, *, incomplete: bool) -> None:
    loaded, real = a_load(), Results().read
    said = {None: loaded.window_start + timedelta(hours=hour), "0-2": loaded.window_start + timedelta(hours=25)}

    def read(job: int, cursor: str | None) -> Page:
        return replace(real(job, cursor), available_until=said.get(cursor))

    def attempt(sink: MemorySink) -> Certificate:
        return run(loaded, lambda _: Pages(read, "export-1", jobs=2), sink, Options(**OPTIONS))

    shelf = Shelf()
    with pytest.raises(SinkUnavailableError):
        attempt(MemorySink(shelf, fail_at=4))
    said.pop(None)
    certificate = attempt(MemorySink(shelf))
    assert certificate.incomplete is incomplete
    assert certificate.source.available_until == (loaded.window_start + timedelta(hours=hour)).isoformat()


def test_an_oversize_record_is_rejected_among_others() -> None:
    results, shelf = Results(), Shelf()
    results.jobs[0][0][3] = record(3, metadata={"note": "x" * 5_000})
    certificate = load(results, MemorySink(shelf), max_record_bytes=1_000)
    assert certificate.rules == {"record-too-large": 1, "not-json": 1}
    assert certificate.counts == Counts(25, 23, 2)


def test_a_sink_that_cuts_parts_is_given_whole_pages() -> None:
    shelf = Shelf()
    load(Results(), MemorySink(shelf, cut_every=100))
    assert [end for _, end in shelf.spans] == page_ends()
    assert shelf.commits[-1] == page_ends()[-1]


def page_ends() -> list[int]:
    ends, at = [], 0
    for page in (page for job in Results().jobs for page in job if page):
        at += sum(len(raw) + 1 for raw in page)
        ends.append(at)
    return ends


def test_a_cursor_of_a_later_job_is_found_again_from_that_job_s_first_page() -> None:
    def two_jobs() -> Results:
        results = Results()
        results.jobs = [[[record(0), record(1)]], [[record(number)] for number in range(2, 6)]]
        return results

    shelf, later, whole = Shelf(), two_jobs(), Shelf()
    load(two_jobs(), MemorySink(whole))
    with pytest.raises(SinkUnavailableError):
        load(two_jobs(), MemorySink(shelf, fail_at=3))
    assert shelf.checkpoint
    place = shelf.checkpoint.position.page
    assert place
    assert (place.job, place.ordinal, place.first, place.cursor) == (1, 3, 1, "1-2")
    later.lost = {"1-2"}
    real = later.read

    def read(job: int, cursor: str | None) -> Page:
        page = real(job, cursor)
        return Page(page.ids, page.records, "new-2" if page.cursor == "1-2" else page.cursor)

    run(a_load(), lambda _: Pages(read, "export-1", jobs=2), MemorySink(shelf), Options(**OPTIONS))
    assert account(shelf) == account(whole)
