"""What a load says of itself: lines while it runs, and how long and how large it was."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from airflow_provider_genesys.pipeline import progress
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.pipeline.sink import Sink
from airflow_provider_genesys.sinks.local import LocalSink
from tests.unit.pipeline.memory_sink import MemorySink, Shelf
from tests.unit.pipeline.sources import InMemory, a_load

ARCHIVE = b"\n".join(
    json.dumps({"recordingId": f"r{n}", "timestamp": "2026-11-22T10:00:00Z", "durationMs": n}).encode()
    for n in range(1000)
)


def loaded(sink: Sink) -> Certificate:
    return run(a_load(), InMemory(ARCHIVE), sink, Options(batch_size=100, flush_interval=60.0))


def test_the_certificate_says_how_long_each_phase_took_and_how_large_the_process_was(tmp_path: Path) -> None:
    certificate = loaded(LocalSink(tmp_path, output_format="ndjson", dead_letter_raw="keep"))

    assert set(certificate.phases) == {"source", "contract", "sink"}
    assert all(seconds >= 0 for seconds in certificate.phases.values())
    assert 0 < sum(certificate.phases.values()) < certificate.seconds + 0.1
    assert certificate.peak_memory_mb > 10
    [manifest] = tmp_path.rglob("_manifest.json")
    assert json.loads(manifest.read_text())["phases"] == certificate.phases


def test_lines_tell_how_a_load_goes_on_and_where_it_ended(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress, "FIRST", 0.0)
    monkeypatch.setattr(progress, "EVERY", 0.0)
    caplog.set_level("INFO")

    loaded(MemorySink(Shelf()))

    lines = [line for line in caplog.messages if "records/s" in line]
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
