"""Memory does not grow with the archive. Each load runs in a fresh process, and the system says what it held."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_genesys.media.store import PIECE
from airflow_provider_genesys.testing.services import PostgresServer
from benchmarks.archives import Shelf, shelf
from benchmarks.processes import Figures, measured, python, serving

ALLOWED_MIB = 64
GROWTH_MIB = 4
MEDIA_ELSE_MIB = 32
"""What a load of media may hold beside the pieces of files: threads, connections, a page of metadata."""
SIZES = [(30, 150), pytest.param((50, 500), marks=pytest.mark.long)]
"""MB, 10**6 bytes, of the small and the large archive."""


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
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("kind", ["ndjson", "array", "gzip"])
def test_the_peak_is_the_same_for_a_small_and_a_large_archive(
    archives: Shelf, kind: str, sizes: tuple[int, int]
) -> None:
    small, large = (load(archives, kind, megabytes) for megabytes in sizes)
    assert large["peak_mib"] - large["base_mib"] < ALLOWED_MIB
    assert large["peak_mib"] - small["peak_mib"] < GROWTH_MIB


@pytest.mark.outcome("processes", "a listing has 100,000 entities", "recovers")
@pytest.mark.parametrize("most", [50, pytest.param(200, marks=pytest.mark.long)])
def test_a_listing_takes_the_same_for_few_and_for_many_pages_of_users(
    tmp_path: Path, postgres: PostgresServer, most: int
) -> None:
    peaks = []
    for pages in (10, most):
        with serving("listing_server", str(tmp_path), str(pages), "500") as connection:
            found = measured(python("listing", connection, "500", postgres.create_database(f"users_{most}_{pages}")), 1)
        assert found["records"] == pages * 500
        peaks.append(found["peak_mib"])
    assert peaks[1] - peaks[0] < GROWTH_MIB


@pytest.mark.outcome("processes", "the media of recordings are larger than the memory, or many", "recovers")
def test_media_take_a_piece_for_each_file_under_way_however_many_and_large_they_are(tmp_path: Path) -> None:
    at_once = 4
    pieces = at_once * PIECE / 2**20 * 9 / 8  # Python makes what grows an eighth larger than it is
    for files, least, most in ((16, 1, 5), (96, 1, 3), (6, 40, 60)):
        with serving("media_server", str(tmp_path), str(least), str(most)) as connection:
            found = measured(python("media", connection, str(files), str(at_once)), 1)
        assert found["records"] == files
        assert found["bytes"] > files * least * 1_000_000
        assert found["peak_mib"] - found["base_mib"] < pieces + MEDIA_ELSE_MIB, (files, least, most)
