"""Drive a splitter as the pipeline does, and documents for it to cut."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from airflow_provider_genesys.source.records import MAX_RECORD_BYTES, DeadLetter, Slice
from airflow_provider_genesys.source.split.array import ArraySplitter
from airflow_provider_genesys.source.split.base import Splitter
from airflow_provider_genesys.source.split.lines import LineSplitter
from airflow_provider_genesys.source.split.path import PathSplitter

SEPARATORS = b", \t\r\n"


@dataclass(frozen=True)
class Piece:
    """One record, or what is kept of an oversize one: where it lies and what it holds."""

    start: int
    end: int
    raw: bytes
    rule: str | None = None


def cut(  # noqa: PLR0913 - whatever a splitter is made with
    document: bytes,
    shape: str,
    chunks: list[int],
    *,
    start: int = 0,
    limit: int = 500,
    cut_every: int | None = None,
    most: int = MAX_RECORD_BYTES,
    opener: str | None = None,
    path: str = "",
) -> list[Slice]:
    """Cut ``document`` from ``start`` on, fed in chunks of the sizes ``chunks`` again and again, into slices."""
    entered: dict[str, Any] = {"where": "It", "opened": start > 0, "opener": opener, "max_record_bytes": most}
    made: Splitter = (
        LineSplitter(start, where="It", max_record_bytes=most)
        if shape == "lines"
        else PathSplitter(path, start, **entered)
        if path
        else ArraySplitter(start, **entered)
    )
    slices: list[Slice] = []
    for chunk in in_chunks(document[start:], chunks):
        made.feed(chunk)
        slices += taken(made, limit, limit, cut_every, start if not slices else slices[-1].end)
    slices += taken(made, 1, limit, cut_every, start if not slices else slices[-1].end)
    made.close()
    return slices + list(taken(made, 1, limit, cut_every, start if not slices else slices[-1].end))


def taken(made: Splitter, least: int, limit: int, cut_every: int | None, position: int) -> Iterator[Slice]:
    while made.pending >= least:
        target = None if cut_every is None else (position // cut_every + 1) * cut_every
        part = made.take(limit, target)
        assert part is not None
        position = part.end
        yield part


def in_chunks(document: bytes, sizes: list[int]) -> Iterator[bytes]:
    position = number = 0
    while position < len(document):
        size = sizes[number % len(sizes)]
        yield document[position : position + size]
        position, number = position + size, number + 1


def pieces(slices: list[Slice]) -> list[Piece]:
    """Every record of ``slices``, in the order of their places."""
    found = []
    for part in slices:
        found += [Piece(start, end, part.raw(start, end)) for start, end in zip(part.starts, part.ends, strict=True)]
        found += [
            Piece(letter.offset, letter.offset + told(letter), letter.raw, letter.rule) for letter in part.refused
        ]
    return sorted(found, key=lambda piece: piece.start)


def told(letter: DeadLetter) -> int:
    """The length that an oversize record's dead letter tells."""
    return int(re.findall(r"has (\d+) bytes", letter.message)[0])


def assert_contiguous(slices: list[Slice], document: bytes, start: int = 0) -> None:
    """Slices meet without gap or overlap, and their data are the document's."""
    position = start
    for part in slices:
        assert part.start >= position
        assert not document[position : part.start].strip(b"[" + SEPARATORS)
        assert document[: part.end].endswith(part.data)
        assert part.refused or len(part.data) == part.end - part.start
        position = part.end


chunkings = st.lists(st.integers(1, 40) | st.sampled_from([1, 2, 3, 7, 1 << 20]), min_size=1, max_size=6)

texts = st.text(
    st.characters(exclude_categories=("Cs",)) | st.sampled_from('{}[]",:\\/\n\t\u20ac\U0001f600'), max_size=12
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**53 + 1, 2**63, 2**64, -0.0, 1.5e300, 0.1])
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
spaces = st.text(" \t\r\n", max_size=3).map(str.encode)


@st.composite
def written(draw: st.DrawFn, value: Any, *, lines: bool) -> bytes:
    """``value`` as JSON, in one of the ways in which it can be written."""
    indent = None if lines else draw(st.sampled_from([None, None, 0, 2]))
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" , ", " :\t")]))
    text = json.dumps(value, ensure_ascii=draw(st.booleans()), indent=indent, separators=separators)
    return text.encode()


@st.composite
def records(draw: st.DrawFn, *, lines: bool) -> bytes:
    """One record; most begin with the same key, some not, some have objects inside that begin with it too."""
    head = draw(st.sampled_from([{"id": 1}, {"id": "x"}, {}]))
    nested = draw(st.sampled_from([{}, {}, {"parts": [{"id": 2}, {"id": {"id": 3}}]}]))
    body = draw(st.dictionaries(texts, values, max_size=4))
    return draw(written({**head, **nested, **body}, lines=lines))


@st.composite
def line_documents(draw: st.DrawFn) -> tuple[bytes, list[tuple[int, bytes]]]:
    """NDJSON, and where each of its records is."""
    document = draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    places = []
    for record in draw(st.lists(records(lines=True), max_size=8)):
        document += draw(st.sampled_from([b"", b"", b"\n", b"\r\n", b" \n", b"\n\n"]))
        places.append((len(document), record))
        document += record + draw(st.sampled_from([b"\n", b"\r\n", b"\n\n", b" \n"]))
    return document[: len(document) - draw(st.sampled_from([0, 1])) if document[-1:] == b"\n" else None], places


@st.composite
def array_documents(draw: st.DrawFn) -> tuple[bytes, list[tuple[int, bytes]]]:
    """One JSON array, and where each of its records is."""
    document = draw(st.sampled_from([b"", b"\xef\xbb\xbf", b" ", b"\n\t"])) + b"[" + draw(spaces)
    places = []
    for number, record in enumerate(
        draw(st.lists(records(lines=False) | st.sampled_from([b"12", b'"x"', b"[]"]), max_size=8))
    ):
        if number:
            document += draw(spaces) + b"," + draw(spaces)
        places.append((len(document), record))
        document += record
    return document + draw(spaces) + b"]" + draw(spaces), places
