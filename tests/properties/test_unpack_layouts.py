"""Gzip is read in whatever members it comes and however it arrives, and never half."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_genesys.exceptions import NotAnArchiveError
from airflow_provider_genesys.source.unpack.unpacked import Unpacked
from tests.properties.cutting import chunkings, in_chunks

documents = st.binary(max_size=400) | st.integers(0, 5_000).map(lambda size: b'{"a":1}\n' * size)


@st.composite
def archives(draw: st.DrawFn) -> tuple[bytes, bytes, list[tuple[int, int]]]:
    """An archive, the document in it, and where in both its members begin."""
    packed, document, places = b"", b"", []
    for _ in range(draw(st.integers(1, 5))):
        part = draw(documents)
        places.append((len(packed), len(document)))
        packed += draw(packing)(part) + draw(st.sampled_from([b"", b"", b"\0", b"\0" * 40]))
        document += part
    return packed, document, places


def _headed(part: bytes) -> bytes:
    """A member whose head has all that a head can have: extra bytes, a name, a comment and a checksum."""
    raw = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = raw.compress(part) + raw.flush()
    head = b"\x1f\x8b\x08\x1e\x01\x02\x03\x04\x00\xff\x03\x00abcname\0comment\0"
    head += zlib.crc32(head).to_bytes(4, "little")[:2]
    return head + body + zlib.crc32(part).to_bytes(4, "little") + len(part).to_bytes(4, "little")


packing = st.sampled_from(
    [gzip.compress, lambda part: gzip.compress(part, 1), lambda part: gzip.compress(part, 0), _headed]
)


@given(made=archives(), chunks=chunkings)
def test_the_document_is_the_sum_of_the_members(
    made: tuple[bytes, bytes, list[tuple[int, int]]], chunks: list[int]
) -> None:
    packed, document, _ = made
    unpacked = Unpacked(in_chunks(packed, chunks), where="It")
    assert b"".join(unpacked) == document
    assert unpacked.packing == "gzip"


@given(made=archives(), chunks=chunkings, data=st.data())
def test_any_offset_can_be_entered_at_a_member_before_it(
    made: tuple[bytes, bytes, list[tuple[int, int]]], chunks: list[int], data: st.DataObject
) -> None:
    packed, document, places = made
    whole = Unpacked(in_chunks(packed, chunks), where="It")
    assert b"".join(whole) == document
    for offset in sorted(data.draw(st.lists(st.integers(0, len(document)), max_size=4))):
        source_offset, entry_offset = whole.entries(offset, offset)[0]
        assert entry_offset == max(place for _, place in places if place <= offset)
        again = Unpacked(
            in_chunks(packed[source_offset:], chunks),
            where="It",
            source_offset=source_offset,
            entry_offset=entry_offset,
            packing="gzip",
        )
        assert b"".join(again) == document[entry_offset:]


@given(made=archives(), chunks=chunkings, data=st.data())
def test_an_archive_that_ends_inside_a_member_is_damaged(
    made: tuple[bytes, bytes, list[tuple[int, int]]], chunks: list[int], data: st.DataObject
) -> None:
    packed, _, places = made
    start = places[-1][0]
    place = data.draw(st.integers(start + (1 if start else 2), start + 17))  # no member is as short as that
    with pytest.raises(NotAnArchiveError, match="ends in the middle"):
        b"".join(Unpacked(in_chunks(packed[:place], chunks), where="It"))


@given(document=documents, chunks=chunkings)
def test_what_is_not_packed_comes_as_it_is(document: bytes, chunks: list[int]) -> None:
    document = b"{" + document
    unpacked = Unpacked(in_chunks(document, chunks), where="It")
    assert b"".join(unpacked) == document
    assert unpacked.packing == "plain"
    assert unpacked.entries(1, 1) is None
