"""The error for a batch that the sink did not take says where it is; the next try takes it up."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import SinkUnavailableError
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.run import Options, run
from tests.unit.pipeline.memory_sink import MemorySink, Shelf
from tests.unit.pipeline.sources import InMemory, a_load

LINES = [
    json.dumps({"recordingId": f"r{n:03}", "timestamp": "2026-11-22T10:00:00Z", "durationMs": 1}).encode() + b"\n"
    for n in range(40)
]
LENGTH = len(LINES[0])
OPTIONS = Options(batch_size=10, flush_interval=60.0, max_dead_letter_ratio=None)


class Failing(MemorySink):
    """Takes every batch, and cannot commit what it has gathered at the end."""

    def finish(self, certificate: Certificate) -> Certificate:
        raise SinkUnavailableError("broken down at the end", code="57P01")


def attempt(sink: MemorySink) -> Certificate:
    return run(a_load(), InMemory(b"".join(LINES)), sink, OPTIONS)


@pytest.mark.parametrize(
    ("settings", "start", "end"),
    [
        ({"fail_at": 2}, 20, 30),
        ({"fail_at": 0}, 0, 10),
        # What was gathered before the batch is not committed either.
        ({"fail_at": 3, "cut_every": 20 * LENGTH}, 20, 40),
        # It landed, but nobody has answered so.
        ({"fail_at": 1, "answered": False}, 10, 20),
    ],
    ids=["a batch", "the first", "a part", "its answer was lost"],
)
def test_the_error_says_which_bytes_were_not_committed_and_the_next_try_brings_them_in(
    settings: dict[str, Any], start: int, end: int
) -> None:
    shelf = Shelf()
    told = f"broken down .* Not committed of export export-1: bytes {start * LENGTH} to {end * LENGTH}"
    with pytest.raises(SinkUnavailableError, match=told) as caught:
        attempt(MemorySink(shelf, **settings))
    assert caught.value.failed == (start * LENGTH, end * LENGTH)
    assert attempt(MemorySink(shelf)).counts.written == 40
    assert [row[0] for row in shelf.rows] == [f"r{n:03}" for n in range(40)]


def test_a_part_that_cannot_be_committed_at_the_end_is_told_too() -> None:
    with pytest.raises(SinkUnavailableError, match=f"at the end .*bytes {30 * LENGTH} to {40 * LENGTH}") as caught:
        attempt(Failing(Shelf(), cut_every=30 * LENGTH))
    assert (caught.value.failed, caught.value.code) == ((30 * LENGTH, 40 * LENGTH), "57P01")


def test_an_error_behind_the_last_batch_is_of_no_batch() -> None:
    with pytest.raises(SinkUnavailableError, match=r"^broken down at the end$") as caught:
        attempt(Failing(Shelf()))
    assert caught.value.failed is None
