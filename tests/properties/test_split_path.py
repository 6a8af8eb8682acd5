"""The array of records is found inside any document, under any chunking, and from wherever it is entered."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_genesys.source.records import Slice
from tests.properties.cutting import chunkings, cut, pieces, records, spaces, texts, values, written

Made = tuple[bytes, str, list[tuple[int, bytes]]]
PATHS = ["entities", "data.recordings", "a.b.c", "a.a"]


@st.composite
def documents(draw: st.DrawFn) -> Made:
    """One document, the path of its records, and where each of them is."""
    path = draw(st.sampled_from(PATHS))
    places: list[tuple[int, bytes]] = []
    document = draw(st.sampled_from([b"", b"\xef\xbb\xbf", b" \n"]))

    def around(names: list[str]) -> None:
        nonlocal document
        if not names:
            array()
        else:
            document += b"{"
            document += field() + b"," if draw(st.booleans()) else b""
            document += json.dumps(names[0]).encode() + b":" + draw(spaces)
            around(names[1:])
            document += b"," + field() if draw(st.booleans()) else b""
            document += draw(spaces) + b"}"

    def field() -> bytes:
        """Something that leads elsewhere."""
        name = draw(texts.map(lambda text: f"{text} ") | st.sampled_from(["item", "total", "entitie"]))
        decoy: Any = draw(values | st.sampled_from([{"entities": [{"id": 1}]}, [[{"id": 1}]], "[{", '"entities":[{']))
        return json.dumps(name).encode() + b":" + draw(written(decoy, lines=False))

    def array() -> None:
        nonlocal document
        document += b"[" + draw(spaces)
        for number, record in enumerate(
            draw(st.lists(records(lines=False) | st.sampled_from([b"12", b"[]"]), max_size=4))
        ):
            document += draw(spaces) + b"," + draw(spaces) if number else b""
            places.append((len(document), record))
            document += record
        document += draw(spaces) + b"]"

    around(path.split("."))
    return document + draw(spaces), path, places


def found(slices: list[Slice]) -> list[tuple[int, bytes]]:
    return [(piece.start, piece.raw) for piece in pieces(slices)]


def assert_meeting(slices: list[Slice], document: bytes) -> None:
    start = slices[0].start if slices else 0
    for part in slices:
        assert part.start == start
        assert document[: part.end].endswith(part.data)
        assert len(part.data) == part.end - part.start
        start = part.end


@given(made=documents(), chunks=chunkings, limit=st.sampled_from([1, 2, 3, 500]), every=st.sampled_from([None, 1, 64]))
@example(made=(b'{"entities":[]}', "entities", []), chunks=[1], limit=1, every=None)
@example(made=(b'{"entities":null}', "entities", []), chunks=[3], limit=1, every=None)
def test_records_are_found_in_any_document_under_any_chunking(
    made: Made, chunks: list[int], limit: int, every: int | None
) -> None:
    document, path, places = made
    slices = cut(document, "array", chunks, limit=limit, cut_every=every, path=path)
    assert_meeting(slices, document)
    assert found(slices) == places
    assert all(len(part.starts) <= limit for part in slices)


@given(made=documents(), chunks=chunkings, limit=st.sampled_from([1, 2, 500]))
def test_a_document_can_be_entered_behind_every_slice(made: Made, chunks: list[int], limit: int) -> None:
    document, path, places = made
    for part in cut(document, "array", [1 << 20], limit=limit, path=path):
        rest = cut(document, "array", chunks, start=part.end, limit=limit, path=path)
        assert_meeting(rest, document)
        assert not rest or rest[0].start == part.end
        assert found(rest) == [place for place in places if place[0] >= part.end]


@given(made=documents(), chunks=chunkings, every=st.integers(20, 200))
def test_parts_hold_the_same_records_however_a_document_arrives(made: Made, chunks: list[int], every: int) -> None:
    document, path, _ = made

    def parts(chunks: list[int], limit: int) -> list[list[int]]:
        held: list[list[int]] = [[]]
        for part in cut(document, "array", chunks, limit=limit, cut_every=every, path=path):
            held[-1] += part.starts
            held += [[]] if part.end // every > part.start // every else []
        return [starts for starts in held if starts]

    assert parts(chunks, 500) == parts([1 << 20], 1) == parts([7], 2)
