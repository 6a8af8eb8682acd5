"""What is no archive is refused by name as soon as its beginning is seen."""

from __future__ import annotations

import gzip
import io
import zipfile
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import NotAnArchiveError
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.source.document import Document
from airflow_provider_genesys.source.position import Identity
from airflow_provider_genesys.source.records import MAX_RECORD_BYTES
from airflow_provider_genesys.source.split.array import ArraySplitter
from tests.unit.pipeline.sources import InMemory

LINES = b'{"id": 1}\n' * 500


def read(body: bytes) -> int:
    """Return the number of records in a document."""
    begin = Checkpoint("load-1", "export-1", "2026-11-23T03:00:00+00:00")
    document = Document(InMemory(body, 4096, Identity()), begin, max_record_bytes=MAX_RECORD_BYTES)
    return sum(len(part.starts) for part in document.slices(100, cut_every=None, flush_interval=60, pack_every=None))


def zipped(*, entry: bytes = LINES, **changes: Any) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.ndjson", entry)
    body = bytearray(packed.getvalue())
    for place, value in changes.get("at", {}).items():
        body[place] = value
    return bytes(body)


REFUSED = {
    "packed twice": gzip.compress(gzip.compress(LINES)),
    "more than [0-9]+ bytes of white space": b" \n" * 600_000,
    "is UTF-16 or UTF-32": LINES.decode().encode("utf-16"),
    "is HTML or XML": b"<html><body>Sign in</body></html>",
    "is encrypted": zipped(at={6: 1}),
    "checksum or the length of its entry": zipped(at={14: 0, 15: 0, 16: 0}),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_no_archive_is_refused(message: str) -> None:
    with pytest.raises(NotAnArchiveError, match=message):
        read(REFUSED[message])


def test_the_same_without_the_fault_is_read() -> None:
    for body in (LINES, gzip.compress(LINES), zipped(), b" \n" * 1000 + LINES, b"\xef\xbb\xbf" + LINES):
        assert read(body) == 500


def test_white_space_between_elements_has_a_limit() -> None:
    splitter = ArraySplitter(where="The archive", max_record_bytes=1000)
    splitter.feed(b'[{"id": 1},' + b" " * 2000)
    assert splitter.pending == 1, "what came before is taken first"
    with pytest.raises(NotAnArchiveError, match="The archive has more than 1000 bytes of white space from 10 on"):
        splitter.take(1)
    within = ArraySplitter(where="The archive", max_record_bytes=1000)
    within.feed(b'[{"id": 1},' + b" " * 900)
    assert within.take(1)
