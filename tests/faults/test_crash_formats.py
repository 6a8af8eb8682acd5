"""A load from a packed archive, an array or an array inside a document, killed and taken up again.

What differs from :mod:`.test_crash` is the position: a load goes on in the middle of an array, at the beginning of a
gzip member, a zip entry or a zstd frame, or inside an object.
"""

from __future__ import annotations

import gzip
import io
import random
import signal
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from backports import zstd

from airflow_provider_genesys import failpoints
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from tests.faults.crash_child import DAY
from tests.faults.crash_scene import PROCESSED_AT, Loader, Places, Scene, make_source

RECORDS = {"records": 700, "broken": 20, "duplicates": 30}
PATH = "data.records"
PIECES = 7
"""Members, entries or frames of an archive."""
SINKS = ("postgres", "local")
"""A position means nothing to a sink; these are one that commits batches, and one that commits parts."""

SINKS_OF = {"gzip-members": "postgres", "array": "local"}
"""Which formats meet SIGKILL anywhere, and where."""


def _pieces(lines: bytes) -> list[bytes]:
    records = lines.splitlines(keepends=True)
    size = -(-len(records) // PIECES)
    return [b"".join(records[begin : begin + size]) for begin in range(0, len(records), size)]


def _zipped(lines: bytes) -> bytes:
    """Return a zip file of NDJSON, of which every other entry is stored as it is."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for number, piece in enumerate(_pieces(lines)):
            packing = zipfile.ZIP_STORED if number % 2 else zipfile.ZIP_DEFLATED
            file.writestr(zipfile.ZipInfo(f"{number}.ndjson"), piece, packing)
    return packed.getvalue()


def _within(array: bytes) -> bytes:
    """Return a document that has other members before and behind its records."""
    return b'{"total": [1, {"records": []}], "data": {"page": "]", "records": ' + array + b', "next": null}}'


FORMATS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "array": ("json-pretty", bytes),
    "gzip": ("ndjson", lambda lines: gzip.compress(lines, mtime=0)),
    "gzip-members": ("ndjson", lambda lines: b"".join(gzip.compress(piece, mtime=0) for piece in _pieces(lines))),
    "gzip-array": ("json", lambda array: gzip.compress(array, mtime=0)),
    "zip": ("ndjson", _zipped),
    "zstd": ("ndjson", lambda lines: b"".join(zstd.compress(piece) for piece in _pieces(lines))),
    "path": ("json", _within),
    "gzip-path": ("json", lambda array: gzip.compress(_within(array), mtime=0)),
}
"""What Genesys made, and what is made of it."""


@pytest.fixture(scope="module")
def scenes(running: tuple[FakeGenesys, Loader], places: Places) -> Callable[[str], Scene]:
    genesys, children = running
    made: dict[str, Scene] = {}

    def scene(name: str) -> Scene:
        if name not in made:
            file_format, pack = FORMATS[name]
            for setting, value in RECORDS.items():
                setattr(genesys, setting, value)
            content = pack(b"".join(genesys.archive(*DAY, file_format).chunks()))  # type: ignore[arg-type]  # one of three
            source = make_source(genesys, records_path=PATH if "path" in name else None, content=content)
            made[name] = Scene(children, places, source, 80, {"part_size": 60_000})
        return made[name]

    return scene


@pytest.mark.outcome(
    "processes", "SIGKILL three times, in an array, gzip, zip, zstd or below `records_path`", "recovers"
)
@pytest.mark.parametrize(
    ("name", "sink"),
    [
        # Without --long every other format goes into every other sink.
        pytest.param(name, sink, marks=[pytest.mark.long] if number % len(SINKS) == place else [])
        for number, name in enumerate(FORMATS)
        for place, sink in enumerate(SINKS)
    ],
)
def test_killed_three_times_over(scenes: Callable[[str], Scene], name: str, sink: str) -> None:
    """Before anything is written, before a commit and after one; each time the next attempt goes on."""
    steps = [(failpoints.SPLIT, 4), (failpoints.COMMITTING, 3), (failpoints.COMMITTED, 2)]
    *killed, last = scenes(name).killed_and_taken_up(sink, *({"step": step, "nth": nth} for step, nth in steps))
    assert [answer["signal"] for answer in killed] == [signal.SIGKILL] * len(steps)
    assert last["attempts"] > 1
    assert last["counts"]["dead_letters"] > 0


@pytest.mark.outcome(
    "processes", "SIGKILL twice, anywhere in an array, gzip, zip, zstd or below `records_path`", "recovers"
)
@pytest.mark.parametrize(
    ("name", "sink", "seed"),
    [
        # Without --long one format in each sink.
        pytest.param(name, sink, seed, marks=[pytest.mark.long] if seed or SINKS_OF.get(name) != sink else [])
        for name in FORMATS
        for sink in SINKS
        for seed in range(20)
    ],
)
def test_killed_anywhere(scenes: Callable[[str], Scene], name: str, sink: str, seed: int) -> None:
    scene = scenes(name)
    took = scene.perfect_run(sink, PROCESSED_AT[0])[0]["took"]
    chance = random.Random(f"{name}{sink}{seed}")  # noqa: S311 - the same each time
    kills: list[dict[str, Any]] = [{"bytes": chance.random() * scene.source.size}, {"seconds": chance.random() * took}]
    scene.killed_and_taken_up(sink, *kills)


@pytest.mark.outcome("processes", "a load is stopped and continued, and its bytes come in drops", "recovers")
@pytest.mark.parametrize("seed", [pytest.param(seed, marks=[pytest.mark.long] if seed else []) for seed in range(50)])
@pytest.mark.parametrize("name", FORMATS)
def test_equal_loads_leave_equal_bytes_however_long_anything_takes(
    scenes: Callable[[str], Scene], name: str, seed: int
) -> None:
    scenes(name).loaded("local", {"waits": seed})
