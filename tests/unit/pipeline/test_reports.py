"""What a load says of itself: lines while it runs, and how long and how large it was."""

from __future__ import annotations

import gzip
import io
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from backports import zstd

from airflow_provider_genesys.cloud.exports.base import Page, Walk
from airflow_provider_genesys.pipeline import progress
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, Counts
from airflow_provider_genesys.pipeline.progress import Progress
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.pipeline.sink import Sink
from airflow_provider_genesys.sinks.local import LocalSink
from airflow_provider_genesys.source.pages import Pages
from airflow_provider_genesys.source.position import Identity, PagePlace, Position
from tests.unit.pipeline.memory_sink import MemorySink, Shelf
from tests.unit.pipeline.sources import InMemory, a_load

ARCHIVE = b"\n".join(
    json.dumps({"recordingId": f"r{n}", "timestamp": "2026-11-22T10:00:00Z", "durationMs": n}).encode()
    for n in range(1000)
)


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("day.ndjson", data)
    return file.getvalue()


def loaded(sink: Sink, archive: bytes = ARCHIVE) -> Certificate:
    return run(a_load(), InMemory(archive), sink, Options(batch_size=100, flush_interval=60.0))


def test_the_certificate_says_how_long_each_phase_took_and_how_large_the_process_was(tmp_path: Path) -> None:
    certificate = loaded(LocalSink(tmp_path, output_format="ndjson", dead_letter_raw="keep"))

    assert set(certificate.phases) == {"source", "contract", "sink"}
    assert all(seconds >= 0 for seconds in certificate.phases.values())
    assert 0 < sum(certificate.phases.values()) < certificate.seconds + 0.1
    assert certificate.peak_memory_mb > 10
    [manifest] = tmp_path.rglob("_manifest.json")
    assert json.loads(manifest.read_text())["phases"] == certificate.phases


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zipped, zstd.compress])
def test_lines_tell_how_a_load_goes_on_and_where_it_ended(
    pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress, "FIRST", 0.0)
    monkeypatch.setattr(progress, "EVERY", 0.0)
    caplog.set_level("INFO")

    loaded(MemorySink(Shelf()), pack(ARCHIVE))

    lines = [line for line in caplog.messages if "records/s" in line]
    percents = [int(one) for one in re.findall(r"(\d+) % of", " ".join(lines))]
    assert percents[:10] == pytest.approx(range(10, 101, 10), abs=3)  # of what is packed, about
    assert percents[-1] >= 99  # a zip ends with its list of files
    pattern = r"Export export-1: \d+ % of .* MB, ([\d,]+) records, 0 rejected, .* s left$"
    told = [int(match[1].replace(",", "")) for match in map(re.compile(pattern).match, lines) if match]
    assert len(told) == len(lines)
    assert told[:3] == [100, 200, 300]
    assert told[-2:] == [1000, 1000]


def test_lines_come_after_a_second_and_then_every_five(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert (progress.FIRST, progress.EVERY) == (1.0, 5.0)
    monkeypatch.setattr(progress, "FIRST", 0.0)
    monkeypatch.setattr(progress, "EVERY", 600.0)
    caplog.set_level("INFO")

    loaded(MemorySink(Shelf()))

    assert len([line for line in caplog.messages if "records/s" in line]) == 1 + 1


def test_pages_of_several_jobs_tell_which_part_of_the_jobs_is_read() -> None:
    pages = Pages(lambda job, _: Page([f"r{job}"], [memoryview(b"{}")], media_bytes=1_000_000), "e", jobs=4)
    slices = pages.open_at(Checkpoint("l", "e", "now"), max_record_bytes=100).slices(
        10, cut_every=None, flush_interval=1
    )
    places = [part.places.at(part.end) for part in slices if part.places]
    assert [(place.share, place.media_bytes) for place in places] == [(n / 4, 1_000_000) for n in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("source", "expected", "begins"),
    [
        (Identity(listing=Walk(total=40)), None, "25 %, 10 records"),
        (Identity(), 20, "50 %, 10 records"),
        (Identity(), None, "10 records"),
    ],
)
def test_of_pages_the_reported_number_of_records_counts(source: Identity, expected: int | None, begins: str) -> None:
    start = Checkpoint("l", "e", "now", position=Position(page=PagePlace()), source=source)
    line = Progress(start, expected).line(replace(start, counts=Counts(10, 10)))
    assert line.startswith(f"Export e: {begins}")
    assert ("s left" in line) == ("%" in begins)


def test_the_bytes_of_media_count(monkeypatch: pytest.MonkeyPatch) -> None:
    start = Checkpoint("l", "e", "now", position=Position(page=PagePlace()))
    shown = Progress(start)
    monkeypatch.setattr(Progress, "seconds", 2.0)
    assert "4.0 MB/s" in shown.line(replace(start, media_bytes=8_000_000))
