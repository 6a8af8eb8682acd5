"""Whole loads, over HTTP, into a sink in memory."""

from __future__ import annotations

import gc
import json
import socket
import threading
import time
import tracemalloc
from collections import Counter
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from airflow_provider_genesys.contracts.contract import RECORDINGS
from airflow_provider_genesys.exceptions import (
    AccountError,
    DeadLetterBudgetError,
    MemoryLimitError,
    NotAnArchiveError,
    SinkUnavailableError,
    SourceChangedError,
)
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, Counts
from airflow_provider_genesys.pipeline.load import Batch
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from tests.support.watching import reading_ahead, until
from tests.unit.pipeline.memory_sink import MemorySink, Shelf
from tests.unit.pipeline.sources import InMemory, Writer, a_load, download_of, ordered, served

RULES = {
    "not-json": "not-json",
    "truncated": "not-json",
    "missing-id": "missing-required",
    "duration-text": "wrong-type",
    "invalid-utf8": "not-utf8",
    "nul-escape": "nul-character",
}
"""What the contract calls the faults of the fake's broken records."""

ARCHIVES: dict[str, dict[str, Any]] = {
    "lines": {},
    "array": {"file_format": "json"},
    "indented array": {"file_format": "json-pretty"},
    "lines in gzip": {"compression": "gzip"},
    "array in gzip": {"file_format": "json", "compression": "gzip"},
    "lines in gzip members": {"compression": "gzip-members"},
}
SMALL = {"batch_size": 7, "flush_interval": 60.0, "max_dead_letter_ratio": None}


@pytest.fixture
def genesys() -> Any:
    """A fake with few records, a third of them broken; tests change it before they order an export."""
    with FakeGenesys(records=66, broken=22, duplicates=4, requests_per_minute=100_000) as fake:
        yield fake


def export_of(genesys: FakeGenesys, **settings: Any) -> tuple[str, str]:
    for name, value in settings.items():
        setattr(genesys, name, value)
    return ordered(genesys)


def load(
    export: tuple[str, str], shelf: Shelf, sink: dict[str, Any] | None = None, **options: Any
) -> tuple[Certificate, MemorySink]:
    made = MemorySink(shelf, **(sink or {}))
    return run(a_load(export[0]), download_of(*export), made, Options(**{**SMALL, **options})), made


def as_row(record: dict[str, Any], processed_at: datetime) -> tuple[Any, ...]:
    """The row of one good record, made by the standard library alone; JSON columns stay values."""
    queue = record.get("queue") or {}
    read: dict[str, Any] = {
        "timestamp": datetime.fromisoformat(record["timestamp"].replace("Z", "+00:00")),
        "queueId": queue.get("id"),
        "queueName": queue.get("name"),
        "processedAt": processed_at,
    }
    return tuple(read.get(column.name, record.get(column.name)) for column in RECORDINGS.columns)


def shown(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(json.loads(value) if isinstance(value, bytes) else value for value in row)


def account(shelf: Shelf) -> tuple[Any, ...]:
    """Everything that has to be the same however often a load was interrupted."""
    made = shelf.certificate
    assert made is not None
    letters = [(letter.offset, letter.raw, letter.stage, letter.rule, letter.message) for letter in shelf.letters]
    sums = (made.counts, made.digest, made.rules, made.drift, made.min_timestamp, made.max_timestamp, made.bytes_read)
    return ([row[:-1] for row in shelf.rows], shelf.offsets, sorted(letters), *sums)


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_load_finds_what_the_archive_holds(genesys: FakeGenesys, name: str) -> None:
    export, shelf = export_of(genesys, **ARCHIVES[name]), Shelf()
    certificate, _ = load(export, shelf)
    archive, tally = genesys.exports[export[0]].archive, genesys.expected()
    processed_at = datetime.fromisoformat(shelf.checkpoint.processed_at)  # type: ignore[union-attr]
    document = archive.read()

    assert [shown(row) for row in shelf.rows] == [as_row(record, processed_at) for record in archive.good_records()]
    assert certificate.counts == Counts(tally.records, tally.good, sum(tally.broken.values()))
    expected: Counter[str] = Counter()
    for rule, count in tally.broken.items():
        expected[RULES[rule]] += count
    assert certificate.rules == expected
    assert certificate.bytes_read == len(document)
    assert [document[at : at + 1] for at in shelf.offsets] == [b"{"] * tally.good
    assert all(row[0].encode() in document[at : at + 100] for row, at in zip(shelf.rows, shelf.offsets, strict=True))
    assert all(document.startswith(letter.raw, letter.offset) for letter in shelf.letters)
    digest = sum(crc32(row[0].encode(), at) for row, at in zip(shelf.rows, shelf.offsets, strict=True))
    digest += sum(crc32(letter.raw, letter.offset) for letter in shelf.letters)
    assert certificate.digest == f"{digest:016x}"
    times = [row[RECORDINGS.index("timestamp")].isoformat() for row in shelf.rows]
    assert (certificate.min_timestamp, certificate.max_timestamp) == (min(times), max(times))


# Without --long, each archive is loaded in one of the two ways that have least in common.
WAYS = [(True, 9_000), (False, None), (True, None), (False, 9_000)]
RESUMED = [
    pytest.param(name, *way, marks=() if way == WAYS[number % 2] else pytest.mark.long)
    for number, name in enumerate(ARCHIVES)
    for way in WAYS
]


@pytest.mark.parametrize(("name", "answered", "cut_every"), RESUMED)
def test_a_load_that_is_resumed_at_any_batch_equals_one_run(
    genesys: FakeGenesys, name: str, answered: bool, cut_every: int | None
) -> None:
    export, whole = export_of(genesys, **ARCHIVES[name]), Shelf()
    _, sink = load(export, whole, {"cut_every": cut_every})
    for fail_at in range(sink.batches):
        shelf = Shelf()
        with pytest.raises(SinkUnavailableError):
            load(export, shelf, {"cut_every": cut_every, "fail_at": fail_at, "answered": answered})
        assert shelf.certificate is None
        load(export, shelf, {"cut_every": cut_every})
        assert account(shelf) == account(whole)
        assert shelf.commits[-1] == whole.commits[-1]
        if cut_every:
            assert set(shelf.commits) == set(whole.commits)


def test_a_load_that_breaks_down_at_every_batch_ends_all_the_same(genesys: FakeGenesys) -> None:
    export, whole, shelf = export_of(genesys, file_format="json", compression="gzip"), Shelf(), Shelf()
    load(export, whole)
    attempts = 0
    while shelf.certificate is None:
        attempts += 1
        try:
            load(export, shelf, {"fail_at": 1}, batch_size=10)
        except SinkUnavailableError:
            continue
    assert attempts >= 7
    assert account(shelf) == account(whole)
    assert shelf.spans == [(0, shelf.spans[0][1]), *zip(shelf.commits[:-2], shelf.commits[1:-1], strict=True)]


def test_processed_at_is_fixed_by_the_first_attempt(genesys: FakeGenesys) -> None:
    export, shelf = export_of(genesys), Shelf()
    with pytest.raises(SinkUnavailableError):
        load(export, shelf, {"fail_at": 3})
    shelf.checkpoint = Checkpoint(**{**vars(shelf.checkpoint), "processed_at": "2001-02-03T04:05:06+00:00"})
    shelf.processed_at[export[0]] = "2001-02-03T04:05:06+00:00"
    load(export, shelf)
    assert shelf.rows[-1][-1].isoformat() == "2001-02-03T04:05:06+00:00"
    load(export, shelf, restart=True)
    assert {row[-1].isoformat() for row in shelf.rows} == {"2001-02-03T04:05:06+00:00"}


def test_restart_loads_from_the_beginning(genesys: FakeGenesys) -> None:
    export, shelf = export_of(genesys), Shelf()
    with pytest.raises(SinkUnavailableError):
        load(export, shelf, {"fail_at": 3})
    certificate, _ = load(export, shelf, restart=True)
    assert shelf.spans[0][0] == 0
    assert certificate.counts.read == len(shelf.rows) + len(shelf.letters) == 66


@pytest.mark.outcome("processes", "the archive is another one at the next try", "SourceChangedError")
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_a_load_never_goes_on_with_another_archive(genesys: FakeGenesys, compression: str | None) -> None:
    export, shelf = export_of(genesys, compression=compression), Shelf()
    with pytest.raises(SinkUnavailableError):
        load(export, shelf, {"fail_at": 3})
    before = list(shelf.rows)
    genesys.replace_archive(export[0])
    with pytest.raises(SourceChangedError):
        load(export, shelf)
    assert shelf.rows == before
    assert shelf.certificate is None


def test_every_commit_is_told_and_the_end_too(genesys: FakeGenesys) -> None:
    export, told, shelf = export_of(genesys), list[Checkpoint](), Shelf()
    run(a_load(export[0]), download_of(*export), MemorySink(shelf), Options(**SMALL), told.append)
    assert [checkpoint.position.record_offset for checkpoint in told] == [*shelf.commits[:-1], shelf.commits[-1]]
    assert [checkpoint.counts.read for checkpoint in told] == [*range(7, 66, 7), 66, 66]
    assert all(checkpoint.committed_at for checkpoint in told)


def test_a_load_that_goes_on_tells_first_where(genesys: FakeGenesys) -> None:
    export, told, shelf = export_of(genesys), list[Checkpoint](), Shelf()
    with pytest.raises(SinkUnavailableError):
        load(export, shelf, {"fail_at": 3})
    run(a_load(export[0]), download_of(*export), MemorySink(shelf), Options(**SMALL), told.append)
    assert told[0].counts.read == 21


@pytest.mark.outcome("processes", "the sink holds other counts than were read", "AccountError")
def test_a_sink_whose_account_is_another_is_not_believed(genesys: FakeGenesys) -> None:
    class Forgetful(MemorySink):
        def write(self, batch: Batch) -> Checkpoint | None:
            return super().write(replace(batch, rows=batch.rows[:-1], offsets=batch.offsets[:-1]))

    export, shelf = export_of(genesys, broken=0), Shelf()
    with pytest.raises(AccountError):
        run(a_load(export[0]), download_of(*export), Forgetful(shelf), Options(**SMALL))
    assert shelf.certificate is None


def sockets() -> set[str]:
    """This process's open sockets."""
    found = set()
    for number in Path("/proc/self/fd").iterdir():
        try:
            target = str(number.readlink())
        except FileNotFoundError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


@pytest.mark.parametrize("error", [SinkUnavailableError("gone"), KeyboardInterrupt(), SystemExit(1)])
def test_a_sink_that_fails_ends_the_download_at_once(error: BaseException) -> None:
    class Failing(MemorySink):
        def write(self, batch: Batch) -> Checkpoint | None:
            raise error

    going, ended = threading.Event(), threading.Event()

    def endless(send: Writer, connection: socket.socket) -> None:
        record = b'{"recordingId": "x", "timestamp": "2026-11-22T00:00:00Z", "durationMs": 1}\n' * 1_000
        try:
            while True:
                send(record)
                going.set()
        except OSError:
            ended.set()

    with served(endless) as url:
        before, sink = sockets(), Failing(Shelf())
        with pytest.raises(type(error)) as caught:
            run(a_load(), download_of("export-1", url), sink, Options())
        assert ended.wait(10)  # the server saw the connection end, while the error is still held
        gc.collect()
        until(lambda: not sockets() - before, seconds=10, what="the connection's end")  # the server's side, too
        assert caught  # whose frames keep alive what was not closed
    assert going.is_set()
    assert sink.aborted


def test_a_source_that_stalls_does_not_hold_up_the_end() -> None:
    class Failing(MemorySink):
        def write(self, batch: Batch) -> Checkpoint | None:
            raise SinkUnavailableError("gone")

    ended = threading.Event()

    def stalling(send: Writer, connection: socket.socket) -> None:
        send(b'{"recordingId": "x", "timestamp": "2026-11-22T00:00:00Z", "durationMs": 1}\n' * 10)
        connection.settimeout(300)
        if connection.recv(1) == b"":
            ended.set()

    with served(stalling, length=1_000_000) as url:
        download = download_of("export-1", url, timeout=300)  # it is not what ends the download
        with pytest.raises(SinkUnavailableError):
            run(a_load(), download, Failing(Shelf()), Options())
        assert ended.wait(60)
        until(lambda: not reading_ahead(), what="the end of the reading thread")


@pytest.mark.parametrize("shape", ["lines", "array"])
def test_records_that_come_slowly_are_flushed_before_anything_follows(shape: str) -> None:
    """The batch is not full, and the server sends nothing more until the sink has the record. How soon, ``./run bench``
    measures."""
    arrived = threading.Semaphore(0)
    waited: list[bool] = []

    class Telling(MemorySink):
        def write(self, batch: Batch) -> Checkpoint | None:
            written = super().write(batch)
            for _ in range(batch.records):
                arrived.release()
            return written

    def slowly(send: Writer, _: socket.socket) -> None:
        send(b"[" if shape == "array" else b"")
        for number in range(5):
            comma = b"," if number and shape == "array" else b""
            record = b'{"recordingId": "%d", "timestamp": "2026-11-22T00:00:00Z", "durationMs": 1}' % number
            send(comma + record + (b"\n" if shape == "lines" else b""))
            waited.append(arrived.acquire(timeout=8))
        send(b"]" if shape == "array" else b"")

    with served(slowly) as url:
        run(a_load(), download_of("export-1", url), Telling(Shelf()), Options(flush_interval=0.05))
    assert waited == [True] * 5


def test_dead_letters_end_a_load_when_there_are_too_many(genesys: FakeGenesys) -> None:
    export, shelf = export_of(genesys), Shelf()
    with pytest.raises(DeadLetterBudgetError, match=r"max_dead_letters=5 allows\. Most frequent: not-json \(\d\)"):
        load(export, shelf, max_dead_letters=5)
    assert shelf.certificate is None
    assert 5 < len(shelf.letters) < 10
    with pytest.raises(DeadLetterBudgetError, match=r"22 of 66 .* max_dead_letter_ratio=0\.3 "):
        load(export, Shelf(), max_dead_letter_ratio=0.3)
    load(export, Shelf(), max_dead_letters=22, max_dead_letter_ratio=0.34)


@pytest.mark.outcome("jobs", "the export holds no record", "NotAnArchiveError unless `allow_empty=True`")
@pytest.mark.parametrize("settings", [{}, {"file_format": "json"}, {"compression": "gzip"}], ids=str)
def test_an_archive_without_records_is_an_error_unless_allowed(genesys: FakeGenesys, settings: Any) -> None:
    export = export_of(genesys, records=0, broken=0, duplicates=0, **settings)
    with pytest.raises(NotAnArchiveError, match="allow_empty=True"):
        load(export, Shelf())
    certificate, sink = load(export, Shelf(), allow_empty=True)
    assert certificate.counts == Counts()
    assert not sink.aborted


def test_a_process_that_holds_too_much_ends_the_load_and_keeps_what_is_committed(genesys: FakeGenesys) -> None:
    export, shelf = export_of(genesys), Shelf()
    load(export, Shelf(), max_memory_mb=1_000_000)
    with pytest.raises(MemoryLimitError, match=rf"Export {export[0]}, byte \d+: .* max_memory_mb=1, "):
        load(export, shelf, max_memory_mb=1)
    assert shelf.commits == []
    certificate, _ = load(export, shelf)
    assert certificate.counts.read == 66


@pytest.mark.parametrize(("looks", "commits"), [(1, 0), (2, 0), (3, 1), (5, 1), (6, 2)])
def test_memory_is_looked_at_within_a_batch(
    genesys: FakeGenesys, monkeypatch: pytest.MonkeyPatch, looks: int, commits: int
) -> None:
    """When its records are there, when its rows are, and when the sink has them."""
    held = iter([1.0] * (looks - 1))
    monkeypatch.setattr("airflow_provider_genesys.pipeline.memory.held_memory_mb", lambda: next(held, 900.0))
    shelf = Shelf()
    with pytest.raises(MemoryLimitError, match="holds 900 MB"):
        load(export_of(genesys), shelf, max_memory_mb=500)
    assert len(shelf.commits) == commits


@pytest.mark.parametrize("shape", ["lines", "array"])
def test_records_of_ten_megabytes_need_bounded_memory(shape: str) -> None:
    count, size = 12, 10_000_000
    head = b'{"recordingId": "%d", "timestamp": "2026-11-22T00:00:00Z", "durationMs": 1, "metadata": {"note": "'

    class Forgetting(MemorySink):
        def write(self, batch: Batch) -> Checkpoint | None:
            committed = super().write(batch)
            self.shelf.rows.clear()
            return committed

    def large(send: Writer, _: socket.socket) -> None:
        filling = b"x" * 100_000
        for number in range(count):
            send((b"[" if not number else b",") if shape == "array" else b"")
            send(head % number)
            for _ in range(size // len(filling)):
                send(filling)
            send(b'"}}\n')
        send(b"]" if shape == "array" else b"")

    tracemalloc.start()
    try:
        with served(large) as url:
            certificate = run(a_load(), download_of("export-1", url), Forgetting(Shelf()), Options())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert certificate.counts == Counts(count, count)
    assert certificate.bytes_read > count * size
    assert peak < 100_000_000


def with_oversize(shape: str) -> bytes:
    def record(number: int) -> bytes:
        note = "x" * (300_000 if number in (3, 4, 11) else 50)
        fields = {"recordingId": f"r{number}", "timestamp": "2026-11-22T00:00:00Z", "durationMs": 1, "metadata": note}
        return json.dumps(fields).encode()

    records = [record(number) for number in range(12)]
    return b"\n".join(records) if shape == "lines" else b"[" + b" ,\n ".join(records) + b"\n]\n"


@pytest.mark.parametrize("chunk", [999, 64 * 1024, 10_000_000])
@pytest.mark.parametrize("shape", ["lines", "array"])
def test_oversize_records_are_rejected_among_others_and_loads_resume_around_them(shape: str, chunk: int) -> None:
    document, whole = with_oversize(shape), Shelf()
    options = Options(batch_size=5, flush_interval=60, max_dead_letter_ratio=None, max_record_bytes=100_000)
    sink = MemorySink(whole)
    certificate = run(a_load(), InMemory(document, chunk), sink, options)
    assert [row[0] for row in whole.rows] == [f"r{number}" for number in range(12) if number not in (3, 4, 11)]
    assert certificate.rules == {"record-too-large": 3}
    assert [letter.offset for letter in whole.letters] == [
        document.index(b'{"recordingId": "r%d"' % n) for n in (3, 4, 11)
    ]
    assert [letter.raw for letter in whole.letters] == [
        document[at : at + 65536] for at in (x.offset for x in whole.letters)
    ]
    assert certificate.counts == Counts(12, 9, 3)
    for fail_at in range(sink.batches):
        shelf = Shelf()
        with pytest.raises(SinkUnavailableError):
            run(a_load(), InMemory(document, chunk), MemorySink(shelf, fail_at=fail_at), options)
        run(a_load(), InMemory(document, 70_000), MemorySink(shelf), options)
        assert account(shelf) == account(whole)


def test_the_source_is_not_read_faster_than_the_sink_takes() -> None:
    sent = 0
    stop = threading.Event()

    def endless(send: Writer, connection: socket.socket) -> None:
        nonlocal sent
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        record = b'{"recordingId": "x", "timestamp": "2026-11-22T00:00:00Z", "durationMs": 1}\n' * 1_000
        while not stop.is_set():
            send(record)
            sent += len(record)

    class Slow(MemorySink):
        def write(self, batch: Batch) -> Checkpoint | None:
            if self.batches == 3:
                time.sleep(0.5)
                self.seen = sent
                raise SinkUnavailableError("enough")
            return super().write(batch)

    with served(endless) as url:
        sink = Slow(Shelf())
        with pytest.raises(SinkUnavailableError):
            run(a_load(), download_of("export-1", url), sink, Options())
        stop.set()
    assert sink.seen < 16_000_000  # what the pipeline and the sockets between hold
