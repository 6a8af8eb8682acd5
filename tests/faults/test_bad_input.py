"""Everything that is wrong with an archive or a record, through the whole pipeline: the outcome is the one stated.

The files are in bad_input/, and what becomes of them in bad_input/expected.yaml.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import logging
import lzma
import sys
import tarfile
import tracemalloc
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from backports import zstd

from airflow_provider_genesys.contracts.contract import RECORDINGS
from airflow_provider_genesys.contracts.drift import MOST_NAMES
from airflow_provider_genesys.exceptions import GenesysError, IncompleteError, NotAnArchiveError
from airflow_provider_genesys.pipeline.budget import Completeness
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, Counts
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.source.position import Identity
from tests.faults.bad_input_table import EXPECTED, FILES, PAGE, TEXTS, with_tables
from tests.unit.pipeline.memory_sink import MemorySink, Shelf
from tests.unit.pipeline.sources import InMemory, a_load

CHUNKS = [1, pytest.param(7, marks=[pytest.mark.long]), 64 * 1024]
EDGE = 24
"""Bytes at each end of an archive of which none is left out."""
SHAPES = {"lines": "in lines", "array": "in an array"}
PERSONAL = "PERSONAL"
"""Stands in the files wherever personal data may be; no message and no log line may show it."""


def good(number: int) -> bytes:
    fields = {
        "recordingId": f"good-{number}",
        "timestamp": f"2026-11-22T0{number}:00:00Z",
        "durationMs": number,
        "metadata": {"note": PERSONAL},
    }
    return json.dumps(fields).encode()


def among_good(record: bytes, shape: str) -> bytes:
    """A document with ``record`` in the middle of four good ones."""
    records = [good(1), good(2), record, good(3), good(4)]
    return b"\n".join(records) if shape == "lines" else b"[" + b",\n".join(records) + b"]"


def whole(shape: str) -> bytes:
    """A document of four good records."""
    records = [good(number) for number in range(1, 5)]
    return b"\n".join(records) + b"\n" if shape == "lines" else b"[" + b",".join(records) + b"]"


def load(document: Any, **options: Any) -> tuple[Shelf, Certificate]:
    shelf = Shelf()
    given = {"batch_size": 3, "flush_interval": 60.0, **options}
    return shelf, run(a_load(), document, MemorySink(shelf), Options(**given))


def assert_outcome(expected: dict[str, Any], shape: str, shelf: Shelf, certificate: Certificate) -> None:
    """The record in the middle became what ``expected`` says, and the good ones around it are loaded."""
    rules = expected.get("rules", {})
    rules = rules.get(SHAPES[shape], rules)
    is_loaded = expected.get("loaded", {}).get(SHAPES[shape], expected["outcome"] == "recovers")
    ids = [row[0] for row in shelf.rows]
    assert certificate.rules == rules == Counter(letter.rule for letter in shelf.letters)
    assert ids[:2] + ids[-2:] == ["good-1", "good-2", "good-3", "good-4"]
    assert (set(ids[2:-2]) == {expected.get("id", "odd")}) if is_loaded else ids[2:-2] == []
    for column, value in expected.get("holds", {}).items():
        assert shown(shelf.rows[2][RECORDINGS.index(column)]) == value
    assert certificate.counts == Counts(len(ids) + len(shelf.letters), len(ids), len(shelf.letters))


def shown(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return value.decode() if isinstance(value, bytes) else value


def assert_discreet(shelf: Shelf, caplog: pytest.LogCaptureFixture, *more: str) -> None:
    checkpoint = shelf.checkpoint.to_json() if shelf.checkpoint else ""
    for text in (*(letter.message for letter in shelf.letters), caplog.text, checkpoint, *more):
        assert PERSONAL not in text


@pytest.mark.outcome("bad input", "a record that is not as it should be", "recovers")
@pytest.mark.outcome("bad input", "a record that is not as it should be", "dead letter")
@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", EXPECTED["records"])
def test_a_record_becomes_what_is_stated(name: str, shape: str, chunk: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    record = (FILES / "records" / f"{name}.json").read_bytes()
    document = among_good(record, shape)
    shelf, certificate = load(InMemory(document, chunk), max_dead_letter_ratio=None)
    assert_outcome(EXPECTED["records"][name], shape, shelf, certificate)
    assert all(document.startswith(letter.raw, letter.offset) for letter in shelf.letters)
    assert_discreet(shelf, caplog)


@pytest.mark.outcome("bad input", "an archive that is not as it should be", "recovers")
@pytest.mark.outcome("bad input", "an archive that is not as it should be", "NotAnArchiveError")
@pytest.mark.outcome("bad input", "an archive that is not as it should be", "DeadLetterBudgetError")
@pytest.mark.parametrize(
    ("name", "chunk"),
    [
        # Byte by byte a bomb of 100 kB takes longer than all other files.
        pytest.param(name, chunk, marks=[pytest.mark.long] if chunk == 7 or (name, chunk) == ("bomb.zip", 1) else [])
        for name in EXPECTED["archives"]
        for chunk in (1, 7, 64 * 1024)
    ],
)
def test_an_archive_becomes_what_is_stated(name: str, chunk: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    expected, source, shelf = (
        EXPECTED["archives"][name],
        InMemory((FILES / "archives" / name).read_bytes(), chunk),
        Shelf(),
    )
    sink = MemorySink(shelf)
    if expected["outcome"] == "recovers":
        certificate = run(a_load(), source, sink, Options(flush_interval=60))
        assert [row[0] for row in shelf.rows] == ["good-1", "good-2", "good-3", "good-4"]
        assert certificate.counts == Counts(4, 4)
        return
    with pytest.raises(GenesysError, match=expected["says"]) as caught:
        run(a_load(), source, sink, Options(flush_interval=60))
    assert type(caught.value).__name__ == expected["error"]
    assert shelf.certificate is None
    assert sink.aborted
    assert_discreet(shelf, caplog, str(caught.value))


@pytest.mark.parametrize("name", ["empty.ndjson", "white-space.ndjson", "bom-only.ndjson", "empty-array.json"])
def test_an_archive_without_records_may_be_allowed(name: str) -> None:
    _, certificate = load(InMemory((FILES / "archives" / name).read_bytes()), allow_empty=True)
    assert certificate.counts == Counts()


def test_every_file_has_its_outcome_and_every_outcome_its_file() -> None:
    assert {path.stem for path in (FILES / "records").iterdir()} == set(EXPECTED["records"])
    assert {path.name for path in (FILES / "archives").iterdir()} == set(EXPECTED["archives"])


def test_the_table_is_read_as_it_is_meant() -> None:
    known = {"what", "outcome", "rules", "holds", "loaded", "id", "error", "says", "note"}
    assert {key for section in EXPECTED.values() for entry in section.values() for key in entry} <= known


def fields(**more: Any) -> bytes:
    return json.dumps({"recordingId": "odd", "timestamp": "2026-11-22T10:00:00Z", "durationMs": 1, **more}).encode()


def tar(document: bytes, form: int) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as file:
        for name in ("a.ndjson", "b.ndjson"):
            member = tarfile.TarInfo(name)
            member.size = len(document)
            file.addfile(member, io.BytesIO(document))
    return made.getvalue()


def v7(block: bytes) -> bytes:
    """A member of a tar file as it was before "ustar" stood in it."""
    head = block[:257] + bytes(255)
    checksum = sum(head[:148]) + 8 * ord(" ") + sum(head[156:])
    return head[:148] + b"%06o\0 " % checksum + head[156:]


def parquet() -> bytes:
    made = io.BytesIO()
    pq.write_table(pa.table({"recordingId": ["good-1"]}), made)
    return made.getvalue()


def padded(line: bytes) -> bytes:
    return line * 40


KINDS: dict[str, Callable[[], bytes]] = {
    "tar": lambda: tar(whole("lines"), tarfile.GNU_FORMAT),
    "tar-pax": lambda: tar(whole("lines"), tarfile.PAX_FORMAT),
    "tar-v7": lambda: v7(tar(whole("lines"), tarfile.USTAR_FORMAT)) + whole("lines"),
    "parquet": parquet,
    "avro": lambda: b"Obj\x01\x04\x14avro.codec\x08null" + whole("lines"),
    "orc": lambda: b"ORC\x08" + whole("lines"),
    "arrow": lambda: b"ARROW1\0\0\xff\xff\xff\xff" + whole("lines"),
    "pdf": lambda: b"%PDF-1.7\n" + whole("lines"),
    "lz4": lambda: b"\x04\x22\x4d\x18\x64\x40\xa7" + whole("lines"),
    "bzip2": lambda: bz2.compress(whole("lines")),
    "xz": lambda: lzma.compress(whole("lines")),
    "7z": lambda: b"7z\xbc\xaf\x27\x1c\x00\x04" + whole("lines"),
    "rar": lambda: b"Rar!\x1a\x07\x01\x00" + whole("lines"),
    "zlib": lambda: zlib.compress(whole("lines")),
    "compress": lambda: b"\x1f\x9d\x90" + whole("lines"),
    "media": lambda: b"OggS\0\x02" + whole("lines"),
    "encrypted": lambda: b"Salted__" + whole("lines"),
    "ar": lambda: b"!<thin>\n" + whole("lines"),
    "xar": lambda: b"xar!\x00\x1c\x00\x01" + whole("lines"),
    "cpio": lambda: b"070702" + b"0" * 104 + b"export\0" + whole("lines"),
    "http": lambda: b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + whole("lines"),
    "json-sequence": lambda: whole("lines").replace(b'{"rec', b'\x1e{"rec'),
    "mime": lambda: b"--b7\r\nContent-Type: application/x-ndjson\r\n\r\n" + padded(b"x" * 79 + b"\r\n"),
    "csv": lambda: b"\xef\xbb\xbfrecordingId,timestamp,durationMs\n" + padded(b"good-1,2026-11-22T01:00:00Z,1\n"),
    "sql": lambda: b"-- a dump\nCREATE TABLE r (id text);\n" + padded(b"INSERT INTO r VALUES ('good-1');\n"),
    "yaml": lambda: b"---\n" + padded(b"- recordingId: good-1\n  durationMs: 1\n"),
    "ebcdic": lambda: whole("lines").decode().encode("cp500"),
    "binary": lambda: b"\x82\x01\x02\xa3\x05\x06\x07\x08" + whole("lines"),
}


class Pipe(io.BytesIO):
    """A file that cannot seek, so that the sizes of a zip entry come after its data."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise OSError


def zipped(document: bytes, method: int = zipfile.ZIP_DEFLATED, made: io.BytesIO | None = None) -> bytes:
    made = made or io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as file:
        file.writestr("export", document)
    return made.getvalue()


def zstd_frame(document: bytes, *, checksum: bool, sized: bool = True) -> bytes:
    packer = zstd.ZstdCompressor(options={zstd.CompressionParameter.checksum_flag: checksum})
    if sized:
        packer.set_pledged_input_size(len(document))
    return packer.compress(document) + packer.flush()


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "in gzip": lambda document: gzip.compress(document, mtime=0),
    "in zip": zipped,
    "in zstd": zstd.compress,
}


@pytest.mark.outcome("bad input", "a tar file, a Parquet file, a PDF ... in the place of NDJSON", "NotAnArchiveError")
@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("name", EXPECTED["kinds"])
def test_a_file_of_another_kind_is_refused_by_its_name(name: str, packed: str) -> None:
    for chunk in (1, 64 * 1024):
        archive, shelf = PACKED[packed](KINDS[name]()), Shelf()
        with pytest.raises(NotAnArchiveError, match=EXPECTED["kinds"][name]["says"]):
            run(a_load(), InMemory(archive, chunk), MemorySink(shelf), Options(max_dead_letter_ratio=None))
        assert (shelf.rows, shelf.letters) == ([], []), f"read {chunk} bytes at a time"


@pytest.mark.parametrize("first", [b"recordingId,timestamp", b"---", b"-- a dump", b"Content-Type: x", b"id: 1"])
def test_a_line_before_the_records_is_a_dead_letter(first: bytes) -> None:
    shelf, _ = load(InMemory(first + b"\n" + whole("lines")), max_dead_letter_ratio=None)
    assert [row[0] for row in shelf.rows] == ["good-1", "good-2", "good-3", "good-4"]
    assert [letter.raw for letter in shelf.letters] == [first]


def test_every_kind_of_file_has_its_line() -> None:
    assert set(KINDS) == set(EXPECTED["kinds"])


GENERATED = {
    "huge-record": lambda: fields(metadata="x" * 17_000_000),
    "huge-string-that-fits": lambda: fields(metadata="x" * 15_000_000),
    "huge-key": lambda: fields(**{"k" * 1_000_000: 1}),
    "ten-thousand-keys": lambda: fields(**{f"key-{number}": number for number in range(10_000)}),
    "depth-20000-in-40-kb": lambda: in_a_field(b"[" * 20_000 + b"]" * 20_000),
    "depth-20000": lambda: in_a_field(b'[{"a":' * 10_000 + b"1" + b"}]" * 10_000),
    "depth-20000-not-closed": lambda: fields()[:-1] + b', "metadata": ' + b'[{"a":' * 10_000,
}


@pytest.mark.outcome("bad input", "a record of 17 MB, 10,000 keys, depth 20,000", "dead letter")
@pytest.mark.outcome("bad input", "a record of 17 MB, 10,000 keys, depth 20,000", "recovers")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", EXPECTED["generated"])
def test_a_monster_becomes_what_is_stated(name: str, shape: str) -> None:
    document = among_good(GENERATED[name](), shape)
    for chunk in (64 * 1024, len(document)):
        shelf, certificate = load(InMemory(document, chunk), max_dead_letter_ratio=None)
        assert_outcome(EXPECTED["generated"][name], shape, shelf, certificate)
        assert len(shelf.checkpoint.to_json()) < 20_000  # type: ignore[union-attr]  # whatever keys there were
    if name == "ten-thousand-keys":
        assert sum(found.count for found in certificate.drift) == 10_000
        assert len(certificate.drift) == MOST_NAMES + 1


class Endless:
    """A source of bytes without end, as far as it is read."""

    def __init__(self, begin: bytes, more: bytes, length: int, *, packed: bool = False) -> None:
        self.begin, self.more, self.length, self.packed = begin, more, length, packed
        self.identity = Identity()

    def __call__(self, _: Checkpoint) -> Any:
        return self

    def stop(self) -> None:
        """Nothing is under way."""

    def read(self, _: int) -> Iterator[bytes]:
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        yield packer.compress(self.begin) if self.packed else self.begin
        for _ in range(self.length // len(self.more)):
            if chunk := packer.compress(self.more) if self.packed else self.more:
                yield chunk
        if self.packed:
            yield packer.flush()


FIRST = good(1)
BOMBS = {
    "gzip-of-one-endless-string": Endless(b'{"a": "', b"x" * 1_000_000, 200_000_000, packed=True),
    "gzip-of-blank-lines": Endless(FIRST, b"\n" + b" " * 1_000_000, 200_000_000, packed=True),
    "gzip-of-white-space": Endless(b" ", b" " * 1_000_000, 200_000_000, packed=True),
    "gzip-of-white-space-in-an-array": Endless(b"[" + FIRST, b" " * 1_000_000, 60_000_000, packed=True),
    "gzip-of-brackets": Endless(b"[" + FIRST + b",", b"[" * 1_000_000, 200_000_000, packed=True),
    "endless-line": Endless(FIRST + b"\n", b"x" * 1_000_000, 100_000_000),
    "endless-element": Endless(b"[" + FIRST + b', {"a": "', b"x" * 1_000_000, 100_000_000),
}


@pytest.mark.outcome("bad input", "a bomb", "NotAnArchiveError")
@pytest.mark.outcome("bad input", "a bomb", "DeadLetterBudgetError")
@pytest.mark.parametrize("name", EXPECTED["bombs"])
def test_a_bomb_does_not_go_off(name: str, pytestconfig: pytest.Config) -> None:
    expected = EXPECTED["bombs"][name]
    if name != "gzip-of-brackets" or pytestconfig.getoption("--long"):  # to trace each bracket takes 15 s
        tracemalloc.start()
    try:
        with pytest.raises(GenesysError, match=expected["says"]) as caught:
            load(BOMBS[name], batch_size=500)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert type(caught.value).__name__ == expected["error"]
    assert peak < 100_000_000


def in_a_field(text: bytes) -> bytes:
    return fields()[:-1] + b', "metadata": ' + text + b"}"


def as_bytes(text: str) -> bytes:
    return text.encode("latin-1")


def is_json(text: bytes) -> bool:
    """Whether the standard library takes ``text`` for JSON, without what it takes beyond the standard."""
    try:
        json.loads(text, parse_constant=lambda _: 1 / 0)
    except (ValueError, ZeroDivisionError):
        return False
    return True


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("text", TEXTS["accepted"])
def test_whatever_is_json_is_kept_as_it_is_written(text: str, shape: str) -> None:
    raw = as_bytes(text)
    assert is_json(raw)
    shelf, _ = load(InMemory(among_good(in_a_field(raw), shape), 50))
    assert shelf.rows[2][RECORDINGS.index("metadata")] == raw


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("text", TEXTS["refused"])
def test_whatever_is_not_json_makes_a_dead_letter_and_hurts_no_other_record(text: str, shape: str) -> None:
    assert not is_json(as_bytes(text))
    document = among_good(in_a_field(as_bytes(text)), shape)
    shelf, certificate = load(InMemory(document, 50), max_dead_letter_ratio=None)
    assert set(certificate.rules) == {"not-json"}
    assert [row[0] for row in shelf.rows if row[0] != "odd"] == ["good-1", "good-2", "good-3", "good-4"]


@pytest.mark.outcome("bad input", "a JSON text that decoders read differently", "recovers")
@pytest.mark.outcome("bad input", "a JSON text that decoders read differently", "dead letter")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("case", TEXTS["ours"], ids=lambda case: ascii(case["text"])[:40])
def test_where_a_decoder_may_choose_ours_does_what_is_stated(case: dict[str, str], shape: str) -> None:
    raw = as_bytes(case["text"])
    shelf, certificate = load(InMemory(among_good(in_a_field(raw), shape), 50), max_dead_letter_ratio=None)
    if case["answer"] == "kept":
        assert shelf.rows[2][RECORDINGS.index("metadata")] == raw
    else:
        assert certificate.rules == {case["answer"]: 1}
        assert len(shelf.rows) == 4


@pytest.mark.parametrize(("depth", "outcome"), [(500, {}), (1_500, {"too-deep": 1})])
@pytest.mark.parametrize("shape", SHAPES)
def test_how_deep_a_record_may_be(shape: str, depth: int, outcome: dict[str, int]) -> None:
    raw = in_a_field(b"[" * depth + b"]" * depth)
    _, certificate = load(InMemory(among_good(raw, shape), 5_000), max_dead_letter_ratio=None)
    assert certificate.rules == outcome
    assert sys.getrecursionlimit() == 1_000  # which is what decides


@pytest.mark.outcome("bad input", "an archive that is cut off at any byte", "NotAnArchiveError")
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_an_archive_that_is_cut_at_any_byte_is_never_taken_for_the_whole(
    shape: str, packed: bool, pytestconfig: pytest.Config
) -> None:
    document = whole(shape)
    archive = gzip.compress(document, mtime=0) if packed else document
    lengths = {*some_of(archive, pytestconfig, every=5), *([] if packed else between_records(document))}
    taken = [length for length in sorted(lengths) if is_loaded(archive[:length])]
    # Between two records nothing shows that NDJSON was cut, unless the store or Genesys reports how long it is.
    assert taken == (between_records(document) if shape == "lines" and not packed else [])


def between_records(document: bytes) -> list[int]:
    """Where a record has ended, and behind the byte that follows it, as far as that is not the end of all."""
    ends = [at + end for at in range(len(document)) if document.startswith(b"}}", at) for end in (2, 3)]
    return [end for end in ends if end < len(document)]


SUMMED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda document: gzip.compress(document, mtime=0),
    "zip": zipped,
    "zip, stored": lambda document: zipped(document, zipfile.ZIP_STORED),
    "zip, sizes after the data": lambda document: zipped(document, made=Pipe()),
    "zstd": lambda document: zstd_frame(document, checksum=True),
}
"""Packings with a checksum."""
UNSUMMED: dict[str, Callable[[bytes], bytes]] = {
    "zstd without checksum": lambda document: zstd_frame(document, checksum=False),
    "zstd without checksum and size": lambda document: zstd_frame(document, checksum=False, sized=False),
}


@pytest.mark.outcome("bad input", "an archive that is cut off at any byte", "NotAnArchiveError")
@pytest.mark.parametrize("packed", [*SUMMED, *UNSUMMED])
def test_a_packed_archive_that_is_cut_at_any_byte_is_never_taken_for_the_whole(
    packed: str, pytestconfig: pytest.Config
) -> None:
    archive = {**SUMMED, **UNSUMMED}[packed](whole("lines"))
    assert not [length for length in some_of(archive, pytestconfig, every=5) if is_loaded(archive[:length])]


def some_of(archive: bytes, config: pytest.Config, *, every: int) -> Iterable[int]:
    """Places in the archive: all with --long, else those at its ends and some between."""
    size = len(archive)
    if config.getoption("--long") or size < 2 * EDGE:
        return range(size)
    return [*range(EDGE), *range(EDGE, size - EDGE, every), *range(size - EDGE, size)]


def altered(archive: bytes, config: pytest.Config) -> Iterator[bytes]:
    """The archive, with one byte altered in each of some places."""
    for at in some_of(archive, config, every=3):
        yield archive[:at] + bytes([archive[at] ^ (1 << at % 8)]) + archive[at + 1 :]


def outcome_of(archive: bytes, **options: Any) -> tuple[list[Any], int] | None:
    """The loaded records without the time of the load, and the number of dead letters; None if it is refused."""
    shelf, now = Shelf(), RECORDINGS.index("processedAt")
    with suppress(GenesysError):
        run(a_load(), InMemory(archive), MemorySink(shelf), Options(max_dead_letter_ratio=None, **options))
        return [(*row[:now], *row[now + 1 :]) for row in shelf.rows], len(shelf.letters)
    return None


@pytest.mark.outcome("bad input", "a byte is altered anywhere in gzip, zip or Zstandard with a checksum", "recovers")
@pytest.mark.outcome(
    "bad input", "a byte is altered anywhere in gzip, zip or Zstandard with a checksum", "NotAnArchiveError"
)
@pytest.mark.parametrize("packed", SUMMED)
def test_a_checksum_shows_each_altered_byte(packed: str, pytestconfig: pytest.Config) -> None:
    archive = SUMMED[packed](good(1) + b"\n" + good(2))
    found = [outcome_of(changed) for changed in altered(archive, pytestconfig)]
    assert {str(rows) for rows in found if rows} == {str(outcome_of(archive))}  # e.g. of a date in the head
    assert found.count(None) > len(found) / 3


@pytest.mark.parametrize("shape", SHAPES)
def test_no_altered_byte_makes_a_plain_archive_lose_a_record(shape: str, pytestconfig: pytest.Config) -> None:
    records = [good(1), good(2)]
    document = b"\n".join(records) if shape == "lines" else b"[" + b",".join(records) + b"]"
    for changed in altered(document, pytestconfig):
        shelf = Shelf()
        with suppress(GenesysError):
            run(a_load(), InMemory(changed), MemorySink(shelf), Options(max_dead_letter_ratio=None))
            kept = str([row[0] for row in shelf.rows] + [letter.raw for letter in shelf.letters])
            assert all(text in kept for text in ("good-1", "good-2") if text in str(changed))


@pytest.mark.parametrize("packed", UNSUMMED)
def test_zstandard_without_a_checksum_is_loaded_with_a_warning(packed: str, caplog: pytest.LogCaptureFixture) -> None:
    archive = UNSUMMED[packed](whole("lines")) * 2
    assert outcome_of(archive)
    assert caplog.text.count("no checksum") == 1
    caplog.clear()
    assert outcome_of(SUMMED["zstd"](whole("lines")))
    assert "no checksum" not in caplog.text


@pytest.mark.parametrize("packed", UNSUMMED)
def test_the_number_of_records_shows_those_that_an_altered_byte_costs(packed: str, pytestconfig: pytest.Config) -> None:
    archive = UNSUMMED[packed](good(1) + b"\n" + good(2))
    for changed in altered(archive, pytestconfig):
        found = outcome_of(changed, completeness=Completeness(reported=2))
        assert found is None or len(found[0]) + found[1] >= 2


@pytest.mark.parametrize(
    "reported", [{"reported": 4}, {"reported_bytes": len(whole("lines"))}], ids=["records", "bytes"]
)
def test_what_genesys_reports_shows_a_cut_between_two_records(reported: dict[str, int]) -> None:
    document = whole("lines")
    taken = [at for at in between_records(document) if is_loaded(document[:at], completeness=Completeness(**reported))]
    assert taken == (
        [] if "reported_bytes" in reported else [len(document) - 1]
    )  # of which only the last line end is missing


def is_loaded(archive: bytes, **options: Any) -> bool:
    shelf = Shelf()
    try:
        run(a_load(), InMemory(archive), MemorySink(shelf), Options(max_dead_letter_ratio=None, **options))
    except (NotAnArchiveError, IncompleteError):
        assert not shelf.letters
        assert shelf.certificate is None
        return False
    return True


def test_the_tables_of_the_page_are_the_ones_that_are_tested() -> None:
    page = PAGE.read_text()
    assert page == with_tables(page), "run: python -m tests.faults.bad_input_table"
