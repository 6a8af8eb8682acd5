"""Worker processes: they change no byte of a load, they may be lost, and they never outlive it."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_genesys.contracts.contract import RECORDINGS, Contract
from airflow_provider_genesys.exceptions import ConfigurationError, SourceUnavailableError
from airflow_provider_genesys.pipeline import run as run_module
from airflow_provider_genesys.pipeline import workers as workers_module
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.load import Batch
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.pipeline.workers import cores, worker_count
from airflow_provider_genesys.sinks.local import LocalSink
from airflow_provider_genesys.sinks.objects import parquet
from airflow_provider_genesys.sinks.objects.ndjson import GzipLines
from airflow_provider_genesys.sinks.objects.row_groups import is_file
from airflow_provider_genesys.testing.fake_genesys.archive import Archive
from tests.support.watching import until
from tests.unit.pipeline.memory_sink import MemorySink, Shelf
from tests.unit.pipeline.sources import DAY, InMemory, a_load

RECORDS = 600
HASHED = replace(
    RECORDINGS,
    columns=tuple(replace(one, pii="hash") if one.name == "conversationId" else one for one in RECORDINGS.columns),
)
KEY = b"a random text of 32 characters.."


@pytest.fixture(autouse=True)
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers take the first slice on, and all loads have begun at the same time."""
    original = run_module.beginning_of
    monkeypatch.setattr(workers_module, "START_WAIT", 60)
    monkeypatch.setattr(
        run_module, "beginning_of", lambda *given: replace(original(*given), processed_at="2026-11-23T03:00:00+00:00")
    )


@pytest.fixture(scope="module")
def document() -> bytes:
    archive = Archive(DAY, DAY.replace(day=23), RECORDS, broken=3)
    return b"".join(map(bytes, archive.chunks()))


def load(sink: Any, source: Any, contract: Contract = RECORDINGS, **options: Any) -> Certificate:
    settings = {"batch_size": 50, "flush_interval": 60.0, "pii_key": KEY, **options}
    return run(a_load(contract=contract), source, sink, Options(**settings))


def workers_of(process: int) -> list[int]:
    """The worker processes that ``process`` has: one that it started, and those that this one made from itself."""
    found: list[int] = []
    for thread in Path(f"/proc/{process}/task").iterdir():
        with suppress(OSError):  # the thread has ended
            found += map(int, (thread / "children").read_text().split())
    own = [pid for pid in found if b"pipeline.worker" in command_of(pid)]
    return [*own, *chain.from_iterable(map(workers_of, own))]


def command_of(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


@pytest.mark.parametrize("output_format", ["ndjson", "ndjson.gz", "parquet"])
def test_the_same_objects_with_any_number_of_processes(tmp_path: Path, document: bytes, output_format: Any) -> None:
    made = {}
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        folder.mkdir()
        sink = LocalSink(folder, output_format, part_size=200_000, dead_letter_raw="keep")
        certificate = load(sink, InMemory(document), HASHED, processes=processes)
        parts = [(one["key"], one["rows"], one["sha256"]) for one in certificate.parts]
        made[processes] = (parts, certificate.counts, certificate.digest, certificate.rules, certificate.drift)
        assert workers_of(os.getpid()) == []
    assert made[2] == made[1]
    assert made[1][1].dead_letters == 3
    assert len(made[1][0]) > 1


def assert_workers_change_nothing(
    make_sink: Callable[[Path], LocalSink], folder: Path, *, recordings: int, broken_at: int
) -> None:
    """Load an archive with a broken line behind the byte ``broken_at``, with and without workers."""
    whole = b"".join(map(bytes, Archive(DAY, DAY.replace(day=23), recordings).chunks()))
    at = whole.index(b"\n", broken_at) + 1
    broken = whole[:at] + b"{broken\n" + whole[at:]
    made = {}
    for processes in (1, 2):
        place = folder / str(processes)
        place.mkdir()
        certificate = load(make_sink(place), InMemory(broken), batch_size=500, processes=processes)
        parts = [(one["rows"], one["sha256"]) for one in certificate.parts]
        made[processes] = (parts, certificate.counts, certificate.digest, certificate.rules)
    assert made[2] == made[1]


def test_workers_encode_row_groups_and_change_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of three row groups has a broken record, so the task's process encodes it."""
    encoded = 0

    def counting(data: bytes) -> bool:
        nonlocal encoded
        encoded += is_file(data)
        return is_file(data)

    monkeypatch.setattr(parquet, "is_file", counting)
    assert_workers_change_nothing(
        lambda place: LocalSink(place, "parquet", dead_letter_raw="keep"),
        tmp_path,
        recordings=20_000,
        broken_at=10_000_000,
    )
    assert encoded >= 1


def test_workers_make_gzip_members_and_change_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices have four members each; in the second one a record is broken, and parts end inside of others."""
    whole_members, pack = 0, GzipLines.pack

    def counting(lines: GzipLines, batch: Batch) -> bytes:
        nonlocal whole_members
        whole_members += bool(batch.packed and batch.packed.startswith(b"\x1f\x8b"))
        return pack(lines, batch)

    monkeypatch.setattr(GzipLines, "pack", counting)
    assert_workers_change_nothing(
        lambda place: LocalSink(place, "ndjson.gz", part_size=5_000_000, dead_letter_raw="keep"),
        tmp_path,
        recordings=8_000,
        broken_at=3_000_000,
    )
    assert whole_members >= 2


class Killing(InMemory):
    """Kills a worker of this process when half of the archive is read."""

    def __init__(self, data: bytes, chunk: int, which: int) -> None:
        super().__init__(data, chunk)
        self.which = which
        self.workers: list[int] = []

    def read(self, start: int) -> Iterator[bytes]:
        for number, chunk in enumerate(super().read(start)):
            if number == len(self.data) // self.chunk // 2:
                until(self.are_two, seconds=60, what="The second worker")
                os.kill(self.workers[self.which], signal.SIGKILL)
            yield chunk

    def are_two(self) -> bool:
        self.workers = workers_of(os.getpid())
        return len(self.workers) > 1


@pytest.mark.parametrize("which", [0, 1], ids=["the first", "one that the first made"])
def test_a_load_goes_on_without_a_worker_that_was_killed(
    tmp_path: Path, document: bytes, caplog: pytest.LogCaptureFixture, which: int
) -> None:
    sink, source = LocalSink(tmp_path, "ndjson", dead_letter_raw="keep"), Killing(document * 4, 10_000, which)
    certificate = load(sink, source, processes=2)
    assert certificate.counts.read == 4 * RECORDS
    assert "The load goes on in the task's process alone" in caplog.text
    until(lambda: not any(map(command_of, source.workers)), seconds=10, what="The end of the workers")


class Unpicklable(LocalSink):
    """Packs by a function that no other process can import."""

    def packing(self, contract: Contract) -> Any:
        return lambda _: lambda _: b""


def test_a_load_begins_without_workers_that_cannot_start(
    tmp_path: Path, document: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    certificate = load(Unpicklable(tmp_path, "ndjson", dead_letter_raw="drop"), InMemory(document), processes=2)
    assert certificate.counts.read == RECORDS
    assert "cannot be started" in caplog.text


class Breaking(InMemory):
    """Breaks at the end of the archive."""

    def read(self, start: int) -> Iterator[bytes]:
        yield from super().read(start)
        raise SourceUnavailableError("it broke")


def test_what_came_before_an_error_of_the_source_is_loaded_first(tmp_path: Path, document: bytes) -> None:
    seen: dict[int, int] = {}
    for processes in (1, 2):
        sink = LocalSink(tmp_path, "ndjson", part_size=60_000, dead_letter_raw="keep")
        watched: list[Any] = []
        with pytest.raises(SourceUnavailableError):
            run(
                replace(a_load(), load_id=f"load-{processes}"),
                Breaking(document),
                sink,
                Options(batch_size=50, flush_interval=60, processes=processes),
                watched.append,
            )
        seen[processes] = watched[-1].position.record_offset
        assert workers_of(os.getpid()) == []
    assert seen[2] == seen[1] > 0


ENDLESS = """
import sys
from pathlib import Path
from airflow_provider_genesys.pipeline import workers
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.sinks.local import LocalSink
from tests.unit.pipeline.sources import InMemory, a_load

class Endless(InMemory):
    def read(self, start):
        while True:
            yield self.data

workers.START_WAIT = 60
shown = lambda _: print("committed", flush=True)
document = Path(sys.argv[1]).read_bytes()
run(a_load(), Endless(document), LocalSink(sys.argv[2], part_size=500_000, dead_letter_raw="drop"),
    Options(batch_size=50, max_dead_letter_ratio=None, processes=2), shown)
"""


def test_workers_end_with_a_task_that_is_killed(tmp_path: Path, document: bytes) -> None:
    (tmp_path / "document").write_bytes(document)
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-c", ENDLESS, str(tmp_path / "document"), str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as task:
        assert task.stdout is not None
        assert task.stdout.readline() == b"committed\n"
        pids = workers_of(task.pid)
        assert len(pids) == 2
        task.kill()
    until(lambda: not any(map(command_of, pids)), seconds=10, what="The end of the workers")


def in_daemon(folder: str, document: bytes) -> None:
    certificate = load(LocalSink(folder, "parquet", dead_letter_raw="drop"), InMemory(document), processes=2)
    Path(folder, "counts").write_text(json.dumps(certificate.counts.read))


def test_a_daemonic_process_such_as_celery_s_has_workers(tmp_path: Path, document: bytes) -> None:
    process = multiprocessing.get_context("fork").Process(target=in_daemon, args=(str(tmp_path), document), daemon=True)
    process.start()
    process.join(60)
    assert (tmp_path / "counts").read_text() == str(RECORDS)


def test_a_sink_that_needs_rows_has_one_process(document: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    shelf = Shelf()
    load(MemorySink(shelf), InMemory(document), processes=2)
    assert "processes has no effect" in caplog.text


@pytest.mark.parametrize(("free", "expected"), [(1, 0), (2, 2), (7, 7)])
def test_auto_is_a_worker_for_each_core_and_none_for_one(
    free: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers_module, "cores", lambda: free)
    assert worker_count("auto") == expected


@pytest.mark.parametrize("processes", [0, -1, "all", 1.5])
def test_other_numbers_are_refused(processes: Any) -> None:
    with pytest.raises(ConfigurationError, match="from 1 on, or 'auto'"):
        worker_count(processes)


@pytest.mark.parametrize(
    ("files", "group", "expected"),
    [
        ({"cpu.max": "100000 100000"}, "0::/\n", 1),
        ({"cpu.max": "150000 100000"}, "0::/\n", 1),
        ({"a/cpu.max": "100000 100000", "a/b/cpu.max": "max 100000"}, "0::/a/b\n", 1),
        ({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, "4:cpu:/\n", 1),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "4:cpu:/\n", None),
        ({"cpu.max": "max 100000"}, "0::/\n", None),
        ({}, "", None),
    ],
)
def test_cores_are_those_of_the_quota(tmp_path: Path, files: dict[str, str], group: str, expected: int | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "own").write_text(group)
    assert cores(tmp_path, tmp_path / "own") == (expected or len(os.sched_getaffinity(0)))
