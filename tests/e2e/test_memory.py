"""Memory does not grow with the archive. Each load runs in a fresh process, and the system says what it held."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.archives import Shelf, shelf
from benchmarks.processes import Figures, measured, python

ALLOWED_MIB = 64
GROWTH_MIB = 4
SMALL, LARGE = 50, 500
"""MB, 10**6 bytes."""


@pytest.fixture(scope="module")
def archives() -> Iterator[Shelf]:
    with shelf() as served:
        yield served


def load(archives: Shelf, kind: str, megabytes: int) -> Figures:
    found = measured(python("load", archives.url(kind, megabytes)), 1)
    archives.path(kind, megabytes).unlink()
    assert found["bytes"] > megabytes * 980_000
    return found


@pytest.mark.outcome("processes", "the archive is larger than the memory", "recovers")
@pytest.mark.parametrize("kind", ["ndjson", "array", "gzip"])
def test_the_peak_is_the_same_for_a_small_and_a_large_archive(archives: Shelf, kind: str) -> None:
    small, large = load(archives, kind, SMALL), load(archives, kind, LARGE)
    assert large["peak_mib"] - large["base_mib"] < ALLOWED_MIB
    assert large["peak_mib"] - small["peak_mib"] < GROWTH_MIB
