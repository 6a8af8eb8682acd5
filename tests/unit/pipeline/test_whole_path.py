"""From the archive to the batch: every shape and packing, resumed at every batch."""

from __future__ import annotations

import gzip
import io
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from backports import zstd

from airflow_provider_genesys.contracts.contract import RECORDINGS
from airflow_provider_genesys.exceptions import SourceChangedError
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, Counts
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.source.position import PROVEN, Identity
from airflow_provider_genesys.source.unpack.unpacked import Unpacked

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
        self.identity = Identity(len(self.data), '"etag"')
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


def zipped(*entries: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for number, entry in enumerate(entries):
            archive.writestr(f"{number}.ndjson", entry)
    return file.getvalue()


def array(records: list[bytes]) -> bytes:
    return b"[" + b",\n".join(records) + b"]\n"


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
    "lines, zstd frames": b"".join(zstd.compress(LINES[i : i + 3000]) for i in range(0, len(LINES), 3000)),
    "array, zstd": zstd.compress(ARRAY),
    "lines, zip": zipped(LINES),
    "lines in the entries of a zip, without a last newline": zipped(
        *(b"\n".join(RECORDS[i : i + 9]) for i in range(0, 100, 9))
    ),
    "an array in each entry of a zip": zipped(*(array(RECORDS[i : i + 9]) for i in range(0, 100, 9)), method=0),
    "lines and arrays in the entries of a zip": zipped(
        b"\n".join(RECORDS[:41]),
        b"",
        array(RECORDS[41:60]),
        b" \n",
        b"[]",
        array(RECORDS[60:61]),
        LINES[LINES.index(RECORDS[61]) :],
    ),
}
SLOWLY_READ = {"lines", "lines without a last newline", "lines with blank ones", "array"}
"""By two bytes they take a second; "lines with CRLF" and "array with gaps" do for them without --long."""


def load(source: Bytes, sink: Memory, **options: Any) -> Certificate:
    given = {"batch_size": 7, "flush_interval": 60, **options}

    def download(start: Checkpoint) -> Any:
        source.identity = start.source
        return source

    return run(LOAD, download, sink, Options(**given))


@pytest.mark.parametrize(
    ("name", "chunk"),
    [
        pytest.param(
            name, chunk, marks=[pytest.mark.long] if chunk == 1 or (chunk == 2 and name in SLOWLY_READ) else []
        )
        for name in ARCHIVES
        for chunk in (1, 2, 50, 100_000)
    ],
)
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
    sink, document = Memory(), b"".join(Unpacked(iter([ARCHIVES[name]]), where="It"))
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
    assert sink.batches[9].end - PROVEN <= (source.opened_at or 0) <= sink.batches[9].end


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


def test_unknown_fields_are_counted_on_every_record() -> None:
    records = [record(i, new=1, queue={"id": "q", "colour": "red"}) if i % 2 else record(i) for i in range(40)]
    certificate = load(Bytes(b"\n".join(records)), Memory())
    counts = [(drift.field, drift.kind, drift.count) for drift in certificate.drift]
    assert counts == [("new", "unknown", 20), ("queue.colour", "unknown", 20)]
