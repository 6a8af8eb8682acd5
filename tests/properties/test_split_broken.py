"""Around broken records nothing is lost, the good ones are still found, and it never matters how the bytes arrive."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_genesys.exceptions import NotAnArchiveError
from tests.properties.cutting import (
    SEPARATORS,
    Piece,
    array_documents,
    assert_contiguous,
    chunkings,
    cut,
    line_documents,
    pieces,
)

numbers = st.integers(0, 10**6)
MOST = 300


@st.composite
def good(draw: st.DrawFn) -> bytes:
    record = {"id": draw(numbers), "text": draw(st.text(max_size=5)), "parts": [{"part": 1}, {"part": [2]}]}
    return json.dumps(record, ensure_ascii=draw(st.booleans())).encode()


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A record that is no JSON, in one of the ways in which exports break."""
    head = b'{"id": %d, "parts": [{"part": 1}, {"part": 2}], ' % draw(numbers)
    whole = head + b'"text": "a, b", "more": {"n": 1}}'
    return draw(
        st.sampled_from(
            [
                b"#ERROR# this record could not be rendered",
                b"NaN",
                b"\xef\xbb\xbf",
                b'"a string \\q"',
                head + b'"value": NaN}',
                head + b'"value": }',
                head + b"'single': 1}",
                head + b'"value": 01}',
                head + b"}",
                head + b'"comma" "colon"}',
                head + b'"escape": "\\x"}',
                head + b'"control": "\x01"}',
                head + b'"surrogate": "\\ud800", "after": 1}',
                head + b'"surrogate": "\\udc00", "after": 1}',
                whole + b"}",
                whole.replace(b'"a, b"', b'"a, b'),
                whole.replace(b'"a, b"', b'a, b"'),
                whole.replace(b"text", b'te"xt'),
                whole[: draw(st.integers(1, len(head) - 1))],
                whole[: draw(st.integers(1, len(whole) - 1))],
            ]
        )
    )


@st.composite
def mixed(draw: st.DrawFn) -> tuple[list[bytes], list[bool]]:
    """Good and broken records, the first and the last of them good."""
    middle = draw(st.lists(st.tuples(broken(), st.just(True)) | st.tuples(good(), st.just(False)), max_size=7))
    inner = [(draw(good()), False), *middle, (draw(good()), False)]
    return [record for record, _ in inner], [is_broken for _, is_broken in inner]


def outcome(document: bytes, shape: str, chunks: list[int], **how: Any) -> list[Piece] | str:
    try:
        return [piece for piece in pieces(cut(document, shape, chunks, **how)) if piece.raw.strip()]
    except NotAnArchiveError as error:
        return str(error).split(":", maxsplit=1)[0]


def assert_nothing_lost(document: bytes, found: list[Piece], opening: bytes = b"") -> None:
    """Between the records there is nothing but what separates them."""
    position = 0
    for piece in found:
        assert piece.start >= position
        assert not document[position : piece.start].strip(SEPARATORS + opening)
        position = piece.end
    assert not document[position:].strip(SEPARATORS + opening)


@given(made=mixed(), chunks=chunkings)
def test_every_line_is_a_record_whatever_is_in_it(made: tuple[list[bytes], list[bool]], chunks: list[int]) -> None:
    document = b"\n".join(made[0])
    slices = cut(document, "lines", chunks)
    assert_contiguous(slices, document)
    assert [piece.raw.rstrip(b"\n") for piece in pieces(slices)] == made[0]


@given(made=mixed(), chunks=chunkings, separator=st.sampled_from([b",", b",\n", b" , "]))
@example(
    made=([b'{"id": 1}', b'{"id": 2, "text": "a, b, "more": {"n": 1}}', b'{"id": 3}'], [False, True, False]),
    chunks=[1],
    separator=b",",
)
def test_good_elements_are_found_behind_broken_ones(
    made: tuple[list[bytes], list[bool]], chunks: list[int], separator: bytes
) -> None:
    records, is_broken = made
    document = b"[" + separator.join(records) + b"]"
    slices = cut(document, "array", chunks)
    assert_contiguous(slices, document)
    found = pieces(slices)
    assert_nothing_lost(document, found, b"[]")
    wanted = [record for record, wrong in zip(records, is_broken, strict=True) if not wrong]
    assert [piece.raw for piece in found if piece.raw in wanted] == wanted


@given(made=array_documents(), data=st.data(), chunks=chunkings)
@example(made=(b'[{"id":NaN}},{"id":1}]', []), data=None, chunks=[1])
@example(made=(b'[{"id":1}, {"id":2}{"id":3}]', []), data=None, chunks=[1])
@example(made=(b'[{"id":1},{"id":"\\ud800"},{"id":2}]', []), data=None, chunks=[1])
def test_how_a_damaged_array_arrives_does_not_matter(made: Any, data: st.DataObject | None, chunks: list[int]) -> None:
    document = bytearray(made[0])
    for _ in range(data.draw(st.integers(1, 3)) if data else 0):
        place = data.draw(st.integers(document.index(b"[") + 1, len(document)))  # type: ignore[union-attr]
        document[place : place + data.draw(st.integers(0, 2))] = data.draw(  # type: ignore[union-attr]
            st.sampled_from([b"", b'"', b"{", b"}", b"[", b"]", b",", b"\\", b"x", b"\xff", b'{"id":1},', b"\\ud800"])
        )
    at_once = outcome(bytes(document), "array", [1 << 20])
    assert outcome(bytes(document), "array", chunks) == at_once
    if isinstance(at_once, list):
        assert_nothing_lost(bytes(document), at_once, b"\xef\xbb\xbf[]")


@given(made=array_documents() | line_documents(), chunks=chunkings, data=st.data())
def test_a_record_is_oversize_or_not_however_it_arrives(made: Any, chunks: list[int], data: st.DataObject) -> None:
    document = made[0]
    shape = "array" if document.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"[") else "lines"
    most = data.draw(st.integers(10, 120))
    at_once = outcome(document, shape, [1 << 20], most=most)
    assert outcome(document, shape, chunks, most=most, limit=data.draw(st.sampled_from([1, 3, 500]))) == at_once
    if isinstance(at_once, list):
        assert all(piece.rule == "record-too-large" for piece in at_once if piece.end - piece.start > most)


@given(made=mixed(), chunks=chunkings, shape=st.sampled_from(["lines", "array"]), data=st.data())
def test_a_document_that_is_entered_again_is_cut_into_the_same_records(
    made: tuple[list[bytes], list[bool]], chunks: list[int], shape: str, data: st.DataObject
) -> None:
    document = b"\n".join(made[0]) if shape == "lines" else b"[" + b",".join(made[0]) + b"]"
    how = {"most": data.draw(st.sampled_from([80, MOST]))}
    slices = cut(document, shape, [1 << 20], limit=1, **how)
    for part in slices[:-1]:
        again = cut(document, shape, chunks, start=part.end, opener='{"id"', **how)
        assert_contiguous(again, document, part.end)
        assert pieces(again) == [piece for piece in pieces(slices) if piece.start >= part.end]
