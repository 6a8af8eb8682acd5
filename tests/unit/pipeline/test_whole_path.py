"""From the archive to the batch: every shape and packing, resumed at every batch, and what may end a load."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from airflow_provider_genesys.exceptions import DeadLetterBudgetError, NotAnArchiveError, SourceChangedError
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, Counts, Identity
from airflow_provider_genesys.pipeline.contract import RECORDINGS
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.sinks.base import Batch, Load

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)
LOAD = Load("load", "export", "recordings", DAY, DAY + timedelta(days=1), DAY, RECORDINGS, "dag/run/task")


class Stop(Exception):  # noqa: N818 - a crash, not an error
    """The process ends here."""


@dataclass
class Bytes:
    """An archive in memory, in the place of a download. ``pause`` seconds pass before each chunk."""

    data: bytes
    known: Identity = field(default_factory=Identity)
    chunk: int = 1000
    pause: float = 0.0
    opened_at: int | None = None

    def stop(self) -> None:
        """Nothing waits."""

    def read(self, start: int) -> Iterator[bytes]:
        self.opened_at = start
        self.known = Identity(len(self.data), '"etag"')
        for offset in range(start, len(self.data), self.chunk):
            time.sleep(self.pause)
            yield self.data[offset : offset + self.chunk]


class Memory:
    """A sink in memory. ``stop`` ends the process before that batch; ``cut_every`` as an object store has it."""

    processed_at: str | None = None

    def __init__(self, *, cut_every: int | None = None, stop: int | None = None) -> None:
        self.cut_every, self.stop = cut_every, stop
        self.batches: list[Batch] = []
        self.counts = Counts()
        self.last: Checkpoint | None = None
        self.aborted = False

    def open(self, load: Load, *, restart: bool) -> Checkpoint | None:
        return None if restart else self.last

    def write(self, batch: Batch) -> Checkpoint:
        if self.stop is not None and len(self.batches) >= self.stop:
            raise Stop
        self.batches.append(batch)
        self.counts += Counts(batch.records, len(batch.rows), len(batch.dead_letters))
        self.last = replace(batch.checkpoint, counts=self.counts, committed_at=DAY.isoformat())
        return self.last

    def finish(self, certificate: Certificate) -> Certificate:
        return certificate.accounted(self.counts)

    def abort(self) -> None:
        self.aborted = True

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        return [row for batch in self.batches for row in batch.rows]

    @property
    def letters(self) -> list[tuple[int, str]]:
        return [(letter.offset, letter.rule) for batch in self.batches for letter in batch.dead_letters]


def record(number: int, **changes: Any) -> bytes:
    fields = {
        "recordingId": f"r{number:05}",
        "timestamp": (DAY + timedelta(seconds=number)).isoformat().replace("+00:00", "Z"),
        "durationMs": number,
        "queue": {"id": f"q{number % 3}", "name": "Büro 🎧"} if number % 4 else None,
        "participants": [{"name": f"ß{number}", "sessions": [{"recordingId": "nested"}]}],
        "metadata": {"note": 'a "quoted" \\ back\nslash'},
        **changes,
    }
    return msgspec.json.encode({name: value for name, value in fields.items() if value is not ...})


BAD = {10: b'{"recordingId": oops}', 20: record(20, durationMs="soon"), 30: record(30, recordingId=...)}
RECORDS = [BAD.get(number, record(number)) for number in range(100)]
LINES = b"\n".join(RECORDS) + b"\n"
ARRAY = b"[" + b",".join(RECORDS) + b"]\n"
ARCHIVES = {
    "lines": LINES,
    "lines without a last newline": LINES[:-1],
    "lines with CRLF": LINES.replace(b"}\n", b"}\r\n"),
    "lines with blank ones": LINES.replace(b"}\n", b"}\n\n \n"),
    "lines with BOM": b"\xef\xbb\xbf" + LINES,
    "array": ARRAY,
    "array with gaps": b" [\n" + b" ,\r\n  ".join(RECORDS) + b"\n]",
    "lines, gzip": gzip.compress(LINES, mtime=0),
    "lines, gzip members": b"".join(gzip.compress(LINES[i : i + 3000], mtime=0) for i in range(0, len(LINES), 3000)),
    "array, gzip": gzip.compress(ARRAY, mtime=0),
}


def load(source: Bytes, sink: Memory, **options: Any) -> Certificate:
    given = {"batch_size": 7, "flush_interval": 60, **options}

    def download(start: Checkpoint) -> Any:
        source.known = start.source
        return source

    return run(LOAD, download, sink, Options(**given))


@pytest.mark.parametrize("name", ARCHIVES)
@pytest.mark.parametrize("chunk", [1, 50, 100_000])
def test_every_archive_gives_the_same_rows(name: str, chunk: int) -> None:
    sink = Memory()
    certificate = load(Bytes(ARCHIVES[name], chunk=chunk), sink)
    assert certificate.counts == Counts(100, 97, 3)
    assert certificate.rules == {"not-json": 1, "wrong-type": 1, "missing-required": 1}
    assert [row[0] for row in sink.rows] == [f"r{number:05}" for number in range(100) if number not in BAD]
    ids = [row[RECORDINGS.index("queueId")] for row in sink.rows]
    assert ids == [f"q{number % 3}" if number % 4 else None for number in range(100) if number not in BAD]
    assert max(len(batch.rows) + len(batch.dead_letters) for batch in sink.batches) <= 7
    assert sink.aborted is False


@pytest.mark.parametrize("name", ARCHIVES)
def test_offsets_are_where_the_records_are(name: str) -> None:
    document = gzip.decompress(ARCHIVES[name]) if "gzip" in name else ARCHIVES[name]
    sink = Memory()
    load(Bytes(ARCHIVES[name]), sink)
    offsets = [offset for batch in sink.batches for offset in batch.offsets]
    assert [document[offset : offset + 24] for offset in offsets] == [
        RECORDS[i][:24] for i in range(100) if i not in BAD
    ]
    assert [document.startswith(RECORDS[10], offset) for offset, rule in sink.letters if rule == "not-json"] == [True]


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_load_resumed_at_any_batch_ends_as_one_that_never_stopped(name: str) -> None:
    perfect = Memory()
    expected = load(Bytes(ARCHIVES[name]), perfect)
    for stop in range(1, len(perfect.batches)):
        sink = Memory(stop=stop)
        with pytest.raises(Stop):
            load(Bytes(ARCHIVES[name]), sink)
        assert sink.aborted
        sink.stop = None
        certificate = load(Bytes(ARCHIVES[name]), sink)
        assert sink.rows == perfect.rows or [row[:-1] for row in sink.rows] == [row[:-1] for row in perfect.rows]
        assert (certificate.counts, certificate.digest, certificate.rules, certificate.bytes_read) == (
            expected.counts,
            expected.digest,
            expected.rules,
            expected.bytes_read,
        )
        assert [batch.start for batch in sink.batches][1:] == [batch.end for batch in sink.batches][:-1]


def test_a_plain_archive_is_entered_just_before_the_checkpoint() -> None:
    sink = Memory(stop=10)
    with pytest.raises(Stop):
        load(Bytes(LINES), sink)
    sink.stop, source = None, Bytes(LINES)
    load(source, sink)
    assert sink.batches[9].end - 64 * 1024 <= (source.opened_at or 0) <= sink.batches[9].end


@pytest.mark.parametrize("name", ["lines", "array", "lines, gzip"])
def test_an_archive_whose_bytes_before_the_checkpoint_differ_is_refused(name: str) -> None:
    sink = Memory(stop=10)
    with pytest.raises(Stop):
        load(Bytes(ARCHIVES[name]), sink)
    sink.stop, before = None, len(sink.rows)
    other = gzip.decompress(ARCHIVES[name]) if "gzip" in name else ARCHIVES[name]
    other = other.replace(b"r00005", b"x00005")
    with pytest.raises(SourceChangedError, match="on_clear='restart'"):
        load(Bytes(gzip.compress(other, mtime=0) if "gzip" in name else other), sink)
    assert len(sink.rows) == before


@pytest.mark.parametrize("shape", ["lines", "array"])
def test_parts_end_at_the_first_record_past_each_multiple(shape: str) -> None:
    ends = {}
    for chunk, size in ((100, 3), (100_000, 50)):
        sink = Memory(cut_every=5_000)
        load(Bytes(ARCHIVES[shape], chunk=chunk), sink, batch_size=size)
        cuts = [b.end for b in sink.batches if b.end // 5_000 > b.start // 5_000]
        assert all(b.end // 5_000 - b.start // 5_000 <= 1 for b in sink.batches)
        ends[chunk] = cuts
    assert ends[100] == ends[100_000]


def test_a_slow_source_is_flushed_in_time() -> None:
    sink, times = Memory(), []
    sink.write = lambda batch, write=sink.write: times.append(time.monotonic()) or write(batch)  # type: ignore[method-assign]
    began = time.monotonic()
    document = b"\n".join(record(number) for number in range(10))
    load(Bytes(document, chunk=300, pause=0.06), sink, batch_size=500, flush_interval=0.02)
    assert len(times) >= 3
    assert times[0] - began < 0.5


def test_the_source_is_read_no_faster_than_the_sink_takes() -> None:
    class Counting(Bytes):
        given = 0

        def read(self, start: int) -> Iterator[bytes]:
            for chunk in super().read(start):
                self.given += len(chunk)
                yield chunk

    source = Counting(LINES * 2000, chunk=64 * 1024)
    sink = Memory(stop=1)
    with pytest.raises(Stop):
        load(source, sink, batch_size=500)
    assert source.given < 6 * 1024 * 1024 < len(source.data)


def test_nothing_is_left_behind_when_the_sink_fails() -> None:
    before = threading.active_count()
    with pytest.raises(Stop):
        load(Bytes(LINES * 1000, chunk=64 * 1024), Memory(stop=1))
    assert threading.active_count() == before


@pytest.mark.parametrize("shape", ["lines", "array"])
def test_an_oversize_record_is_set_aside_between_others(shape: str) -> None:
    records = [record(1), record(2), record(3, metadata={"note": "x" * 50_000}), record(4), record(5)]
    document = b"\n".join(records) if shape == "lines" else b"[" + b",".join(records) + b"]"
    for chunk in (100, 100_000):
        sink = Memory()
        load(Bytes(document, chunk=chunk), sink, max_record_bytes=10_000, max_dead_letter_ratio=None)
        assert [row[0] for row in sink.rows] == ["r00001", "r00002", "r00004", "r00005"]
        assert [rule for _, rule in sink.letters] == ["record-too-large"]


def test_unknown_fields_are_counted_on_every_record() -> None:
    records = [record(i, new=1, queue={"id": "q", "colour": "red"}) if i % 2 else record(i) for i in range(40)]
    certificate = load(Bytes(b"\n".join(records)), Memory())
    assert certificate.drift == {"new": 20, "queue.colour": 20}


@pytest.mark.parametrize(
    ("document", "error", "says"),
    [
        (b"", NotAnArchiveError, "allow_empty=True"),
        (b" \n", NotAnArchiveError, "allow_empty=True"),
        (b"[]", NotAnArchiveError, "allow_empty=True"),
        (b"<html><body>Sign in</body></html>", NotAnArchiveError, "HTML or XML"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", NotAnArchiveError, "HTML or XML"),
        (b"PK\x03\x04 and more", NotAnArchiveError, "a zip file"),
        (LINES.decode().encode("utf-16"), NotAnArchiveError, "UTF-16"),
        (ARRAY[:-200], NotAnArchiveError, "cut off"),
        (gzip.compress(LINES)[:-20], NotAnArchiveError, "damaged"),
        (gzip.compress(LINES) + b"more", NotAnArchiveError, "damaged"),
        (gzip.compress(gzip.compress(LINES)), NotAnArchiveError, "twice"),
        (gzip.compress(b"0" * 100_000_000, 9), NotAnArchiveError, "swells"),
        (b"\x28\xb5\x2f\xfd and more", NotAnArchiveError, "a zstd file"),
        (b'{"error": "expired"}', DeadLetterBudgetError, "missing-required"),
        (b"[[1, 2], [3]]", DeadLetterBudgetError, "not-an-object"),
    ],
)
def test_what_is_no_archive_ends_with_what_to_do(document: bytes, error: type[Exception], says: str) -> None:
    sink = Memory()
    with pytest.raises(error, match=says):
        load(Bytes(document), sink)
    assert sink.aborted


def test_an_empty_window_may_be_a_success() -> None:
    assert load(Bytes(b"[]"), Memory(), allow_empty=True).counts == Counts()


def test_too_many_dead_letters_end_the_load_with_the_reasons() -> None:
    with pytest.raises(DeadLetterBudgetError, match=r"max_dead_letters=2 .*not-json \(1\)"):
        load(Bytes(LINES), Memory(), max_dead_letters=2)
    with pytest.raises(DeadLetterBudgetError, match=r"max_dead_letter_ratio=0.02"):
        load(Bytes(LINES), Memory(), max_dead_letter_ratio=0.02)
    load(Bytes(LINES), Memory(), max_dead_letters=3, max_dead_letter_ratio=0.03)


STATED: dict[bytes, str | Callable[[tuple[Any, ...]], bool]] = {
    # what stands in a record, and what becomes of it: the rule of its dead letter, or what holds for its row
    b'"durationMs": "15"': lambda row: row[3] == 15,
    b'"durationMs": 15.0': lambda row: row[3] == 15,
    b'"durationMs": 1e3': lambda row: row[3] == 1000,
    b'"durationMs": 15.5': "wrong-type",
    b'"durationMs": true': "wrong-type",
    b'"durationMs": null': "missing-required",
    b'"durationMs": NaN': "not-json",
    b'"durationMs": 01': "not-json",
    b'"durationMs": 9007199254740993': lambda row: row[3] == 9007199254740993,
    b'"durationMs": 9223372036854775807': lambda row: row[3] == 2**63 - 1,
    b'"durationMs": 9223372036854775808': "wrong-type",
    b'"durationMs": ' + b"1" * 5000: "wrong-type",
    b'"durationMs": 1e99999999999999999999': "wrong-type",
    b'"durationMs": 1, "durationMs": 2': lambda row: row[3] == 2,
    b'"durationMs": 1, "conversationId": "a\\u0000b"': "nul-character",
    b'"durationMs": 1, "metadata": {"a\\u0000": 1}': "nul-character",
    b'"durationMs": 1, "metadata": {"a": "\\\\u0000"}': lambda row: True,
    b'"durationMs": 1, "conversationId": "\\ud800"': "not-json",
    b'"durationMs": 1, "metadata": {"a": "\\udc00"}': "not-json",
    b'"durationMs": 1, "conversationId": "\\ud83d\\ude00"': lambda row: row[1] == "😀",
    b'"durationMs": 1, "conversationId": "\xff"': "not-utf8",
    b'"durationMs": 1, "metadata": {"a": "\xc0\xaf"}': "not-utf8",
    b'"durationMs": 1, "conversationId": 12345678901234567890123': lambda row: row[1] == "12345678901234567890123",
    b'"durationMs": 1, "conversationId": {"a": 1}': "wrong-type",
    b'"durationMs": 1, "queue": "none"': "not-an-object",
    b'"durationMs": 1, "metadata": {"n": 1.10}': lambda row: b"1.10" in row[9],
    b'"durationMs": 1,': "not-json",
    b'"durationMs": 1, /* note */ "a": 1': "not-json",
    b'"durationMs": 1, "participants": ' + b"[" * 20_000 + b"]" * 20_000: "too-deep",
    b'"durationMs": 1, "timestamp": "2026-11-22T10:00:60Z"': "wrong-type",
    b'"durationMs": 1, "timestamp": "2026-11-22T12:00:00+02:00"': lambda row: row[2].hour == 10,
    b'"durationMs": 1, "timestamp": "2026-11-22T10:00:00"': lambda row: row[2].utcoffset() == timedelta(0),
    b'"durationMs": 1, "timestamp": "0000-01-01T00:00:00Z"': "wrong-type",
    b'"durationMs": 1, "timestamp": "9999-12-31T23:59:59Z"': lambda row: row[2].year == 9999,
}


@pytest.mark.parametrize("shape", ["lines", "array"])
@pytest.mark.parametrize("inside", STATED, ids=lambda inside: inside[:60].decode("latin-1"))
def test_each_odd_record_has_its_stated_outcome_and_no_other_record_suffers(inside: bytes, shape: str) -> None:
    odd = b'{"recordingId": "odd", "timestamp": "2026-11-22T00:00:00Z", ' + inside + b"}"
    records = [record(1), record(2), odd, record(4), record(5)]
    document = b"\n".join(records) if shape == "lines" else b"[" + b",".join(records) + b"]"
    sink, stated = Memory(), STATED[inside]
    load(Bytes(document), sink, max_dead_letter_ratio=None)
    assert [row[0] for row in sink.rows if row[0] != "odd"] == ["r00001", "r00002", "r00004", "r00005"]
    if isinstance(stated, str):
        assert [rule for _, rule in sink.letters] == [stated]
    else:
        assert [stated(row) for row in sink.rows if row[0] == "odd"] == [True]
        assert sink.letters == []


def test_two_objects_in_the_place_of_one() -> None:
    both = record(3) + b' {"a": 1}'
    lines, array = Memory(), Memory()
    load(Bytes(b"\n".join([record(1), both])), lines, max_dead_letter_ratio=None)
    assert ([row[0] for row in lines.rows], [rule for _, rule in lines.letters]) == (["r00001"], ["not-json"])
    # in an array a comma that is missing loses no record
    load(Bytes(b"[" + record(1) + b"," + both + b"]"), array, max_dead_letter_ratio=None)
    assert [row[0] for row in array.rows] == ["r00001", "r00003"]
    assert [rule for _, rule in array.letters] == ["missing-required"]
