"""Slices of an archive end where the sink's pieces do, and are cut into smaller ones."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import pytest

from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.pipeline.run import open_at
from airflow_provider_genesys.source.records import DeadLetter, Slice
from tests.unit.pipeline.sources import InMemory, a_load

BEGIN = Checkpoint("load-1", "export-1", "2026-11-23T03:00:00+00:00")
RECORDS = [{"recordingId": str(number), "text": "x" * (number % 7 * 40)} for number in range(400)]
DOCUMENTS = {
    "lines": b"".join(json.dumps(record).encode() + b"\n" for record in RECORDS),
    "array": json.dumps(RECORDS).encode(),
}


def slices(document: bytes, pack_every: int | None) -> list[Slice]:
    source = open_at(InMemory(document, 700)(BEGIN), a_load(), BEGIN, max_record_bytes=800)
    return list(source.slices(10, cut_every=30_000, flush_interval=0, pack_every=pack_every))


@pytest.mark.parametrize("shape", DOCUMENTS)
def test_a_slice_is_all_that_a_sink_packs_at_a_time(shape: str) -> None:
    document = DOCUMENTS[shape]
    found = slices(document, 5_000)
    assert [start for part in found for start in part.starts] == [
        start for part in slices(document, None) for start in part.starts
    ]
    for part, after in pairwise(found):
        assert part.start // 5_000 < part.end // 5_000, "it ends before it is full"
        assert part.ends[-2] // 5_000 == part.start // 5_000, "it has more than one piece"
        assert part.end == after.start
    assert max(len(part.starts) for part in found) > 10


@pytest.mark.parametrize("count", [1, 3, 10, 400, 1000])
@pytest.mark.parametrize("shape", DOCUMENTS)
def test_a_slice_is_cut_into_pieces(shape: str, count: int) -> None:
    [whole, *_] = slices(DOCUMENTS[shape], 10_000)
    pieces = list(whole.pieces(count))
    assert b"".join(piece.data for piece in pieces) == whole.data
    assert [piece.start for piece in pieces] == [whole.start, *(piece.end for piece in pieces[:-1])]
    assert pieces[-1].end == whole.end
    assert [one for piece in pieces for one in zip(piece.starts, piece.ends, strict=True)] == list(
        zip(whole.starts, whole.ends, strict=True)
    )
    assert all(len(piece.starts) <= count for piece in pieces)
    for piece in pieces:
        assert piece.raw(piece.starts[0], piece.ends[0]) == whole.raw(piece.starts[0], piece.ends[0])


@pytest.mark.parametrize("shape", DOCUMENTS)
def test_pieces_end_at_multiples(shape: str) -> None:
    whole = slices(DOCUMENTS[shape], 10_000)[1]
    pieces = list(whole.pieces(1000, 700))
    assert b"".join(piece.data for piece in pieces) == whole.data
    assert [start for piece in pieces for start in piece.starts] == whole.starts
    for piece, after in pairwise(pieces):
        assert piece.starts[-1] < (piece.start // 700 + 1) * 700 <= after.starts[0]


def test_a_slice_of_an_oversize_record_stays_whole() -> None:
    letter = DeadLetter(5, b"{", "split", "record-too-large", "too large")
    alone = Slice(5, 100, b"}", [], [], "lines", [letter])
    assert list(alone.pieces(1)) == [alone]
    between = Slice(0, 12, b"{}\n{xxxx}\n{}", [0, 10], [3, 12], "lines", [replace(letter, offset=3)])
    assert [len(piece.refused) for piece in between.pieces(1)] == [0, 1]


def test_a_slice_waits_for_more_bytes_only_where_parts_are_made() -> None:
    document = b"".join(b'{"recordingId":"%04d","text":"%s"}\n' % (number, b"x" * 9_970) for number in range(90))
    source = InMemory(document, 300_000)

    def found(cut_every: int | None, pack_every: int | None = None, flush_interval: float = 60) -> list[int]:
        opened = open_at(source(BEGIN), a_load(), BEGIN, max_record_bytes=20_000)
        every = {"cut_every": cut_every, "pack_every": pack_every}
        return [len(part.starts) for part in opened.slices(500, **every, flush_interval=flush_interval)]

    assert found(None) == [29, 30, 31], "one for each read"
    assert found(10**9) == [90]
    assert len(found(10**9, flush_interval=0)) > 1
    assert found(None, pack_every=10**9, flush_interval=0) == [90], "what is packed together waits"
