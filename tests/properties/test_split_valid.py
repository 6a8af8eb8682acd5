"""Whatever a document looks like and however it arrives, its records are found where they are."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_genesys.exceptions import NotAnArchiveError
from tests.properties.cutting import (
    array_documents,
    assert_contiguous,
    chunkings,
    cut,
    line_documents,
    pieces,
)

limits = st.sampled_from([1, 2, 3, 500])
cuts = st.sampled_from([None, 1, 20, 64])
Document = tuple[bytes, list[tuple[int, bytes]]]


@given(made=line_documents(), chunks=chunkings, limit=limits, cut_every=cuts)
def test_lines_are_found_in_any_document_under_any_chunking(
    made: Document, chunks: list[int], limit: int, cut_every: int | None
) -> None:
    document, places = made
    slices = cut(document, "lines", chunks, limit=limit, cut_every=cut_every)
    assert_contiguous(slices, document)
    found = [piece for piece in pieces(slices) if piece.raw.strip()]
    assert [(piece.start, piece.raw.strip()) for piece in found] == places
    assert [json.loads(piece.raw) for piece in found] == [json.loads(record) for _, record in places]


@given(made=array_documents(), chunks=chunkings, limit=limits, cut_every=cuts)
def test_elements_are_found_in_any_document_under_any_chunking(
    made: Document, chunks: list[int], limit: int, cut_every: int | None
) -> None:
    document, places = made
    slices = cut(document, "array", chunks, limit=limit, cut_every=cut_every)
    assert_contiguous(slices, document)
    assert [(piece.start, piece.raw) for piece in pieces(slices)] == places
    assert [json.loads(record) for _, record in places] == json.loads(document.decode("utf-8-sig"))


@given(made=array_documents(), data=st.data())
def test_an_array_that_is_cut_off_is_never_taken_for_a_whole_one(made: Document, data: st.DataObject) -> None:
    # The first record tells that there are objects in records that begin as records do.
    document = made[0].rstrip().replace(b"[", b'[{"id": 0, "parts": [{"id": 0}]},', 1)
    place = data.draw(st.integers(document.index(b"}]}") + 3, len(document) - 1))
    with pytest.raises(NotAnArchiveError, match="cut off"):
        cut(document[:place], "array", data.draw(chunkings))


@given(made=array_documents() | line_documents(), chunks=chunkings, data=st.data())
def test_slices_are_cut_where_a_part_ends_and_at_no_other_place(
    made: Document, chunks: list[int], data: st.DataObject
) -> None:
    document, _ = made
    shape = "array" if document.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"[") else "lines"
    every = data.draw(st.integers(1, 100))
    ends = [part.end for part in cut(document, shape, [1 << 20], limit=1)]  # blank lines included
    wanted, position = [], 0
    for end in ends:
        if end // every > position // every:
            wanted.append(end)
            position = end
    got = [part.end for part in cut(document, shape, chunks, limit=1, cut_every=every)]
    assert set(wanted) <= set(got)
    whole = [part.end for part in cut(document, shape, chunks, limit=500, cut_every=every)]
    assert [end for end in whole if end in wanted] == wanted
