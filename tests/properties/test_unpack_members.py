"""Zip and Zstandard are read in whatever members they come and however they arrive, and never half."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_genesys.exceptions import NotAnArchiveError
from airflow_provider_genesys.source.unpack.member import PIECE
from airflow_provider_genesys.source.unpack.unpacked import PackingName, Unpacked
from tests.properties.cutting import chunkings, in_chunks

documents = st.binary(max_size=400) | st.integers(0, 5_000).map(lambda size: b'{"a":1}\n' * size)
methods = st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])


@dataclass(frozen=True)
class Made:
    """An archive, what is in it, and where in both its members begin."""

    packing: PackingName
    packed: bytes
    document: bytes
    places: list[tuple[int, int]]


class Pipe(io.RawIOBase):
    """Takes bytes and knows no way back, so that sizes have to follow behind the data."""

    def __init__(self) -> None:
        self.taken = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.taken += data
        return len(data)


@st.composite
def zips(draw: st.DrawFn) -> Made:
    """A zip file as ``zipfile`` writes it: to a file or a pipe, with sizes of 32 or of 64 bits."""
    out: io.BytesIO | Pipe = draw(st.sampled_from([io.BytesIO, Pipe]))()
    document, places = b"", []
    with zipfile.ZipFile(out, "w") as file:  # type: ignore[arg-type]
        file.comment = draw(st.sampled_from([b"", b"PK\x01\x02 is no record"]))
        for number in range(draw(st.integers(0, 4))):
            part = draw(documents)
            places.append((file.fp.tell(), len(document)))  # type: ignore[union-attr]
            # Stored behind a pipe is what cannot be read forwards.
            info = zipfile.ZipInfo(f"{number} - \u00df.ndjson")
            info.compress_type = zipfile.ZIP_DEFLATED if isinstance(out, Pipe) else draw(methods)
            with file.open(info, "w", force_zip64=draw(st.booleans())) as entry:
                entry.write(part)
            document += part
    return Made("zip", bytes(out.taken if isinstance(out, Pipe) else out.getvalue()), document, places)


@st.composite
def frames(draw: st.DrawFn) -> Made:
    """Frames as ``zstd`` writes them, with and without a checksum, and some that are to be skipped."""
    packed, document, places = b"", b"", []
    for _ in range(draw(st.integers(1, 5))):
        if draw(st.booleans()):
            packed += b"\x5a\x2a\x4d\x18\x03\x00\x00\x00abc"
        part = draw(documents)
        places.append((len(packed), len(document)))
        options = {zstd.CompressionParameter.checksum_flag: draw(st.integers(0, 1))}
        packed += zstd.compress(part, options=options)
        document += part
    return Made("zstd", packed, document, places)


either = zips() | frames()


def unpacked(made: Made, chunks: list[int]) -> Unpacked:
    return Unpacked(in_chunks(made.packed, chunks), where="It")


@given(made=either, chunks=chunkings)
def test_what_is_unpacked_is_the_sum_of_the_members(made: Made, chunks: list[int]) -> None:
    read = unpacked(made, chunks)
    assert b"".join(read) == made.document
    assert read.packing == made.packing
    ends = {place for _, place in made.places} | {len(made.document)}
    assert list(read.seams) == (sorted(ends - {0}) if made.packing == "zip" else [])


@given(made=either, chunks=chunkings, data=st.data())
def test_any_offset_can_be_entered_at_a_member_before_it(made: Made, chunks: list[int], data: st.DataObject) -> None:
    whole = unpacked(made, chunks)
    assert b"".join(whole) == made.document
    for offset in sorted(data.draw(st.lists(st.integers(0, len(made.document)), max_size=4))):
        source_offset, entry_offset = whole.entries(offset, offset)[0]
        known = [place for _, place in made.places if place <= offset]
        assert entry_offset == (max(known) if offset < len(made.document) else entry_offset)
        again = Unpacked(
            in_chunks(made.packed[source_offset:], chunks),
            where="It",
            source_offset=source_offset,
            entry_offset=entry_offset,
            packing=made.packing,
        )
        assert b"".join(again) == made.document[entry_offset:]


@given(made=either, chunks=chunkings, data=st.data())
def test_an_archive_that_is_cut_off_is_not_read_as_whole(made: Made, chunks: list[int], data: st.DataObject) -> None:
    start = made.places[-1][0] if made.places else 0
    place = data.draw(st.integers(start + 5, len(made.packed) - 1))
    with pytest.raises(NotAnArchiveError, match=r"ends in the middle|before the directory"):
        b"".join(Unpacked(in_chunks(made.packed[:place], chunks), where="It"))


@given(made=zips().filter(lambda made: bool(made.document)), data=st.data())
def test_an_entry_with_other_bytes_than_its_checksum_says_is_damaged(made: Made, data: st.DataObject) -> None:
    with zipfile.ZipFile(io.BytesIO(made.packed)) as file:
        entry = data.draw(st.sampled_from([info for info in file.infolist() if info.file_size]))
    name, extra = struct.unpack_from("<HH", made.packed, entry.header_offset + 26)
    begin = entry.header_offset + 30 + name + extra
    place = data.draw(st.integers(begin, begin + entry.compress_size - 1))
    broken = made.packed[:place] + bytes([made.packed[place] ^ 0x40]) + made.packed[place + 1 :]
    # Some bits behind the last block of deflate say nothing.
    assert _read(broken) in (None, made.document)


def _read(packed: bytes) -> bytes | None:
    try:
        return b"".join(Unpacked(iter([packed]), where="It"))
    except NotAnArchiveError:
        return None


@pytest.mark.parametrize("kind", ["deflate", "zstd"])
def test_a_bomb_ends_before_it_needs_memory(kind: str) -> None:
    packers: dict[str, Callable[[bytes], bytes]] = {"deflate": _zip_of, "zstd": zstd.compress}
    bomb = packers[kind](b"0" * 100_000_000)
    pieces: list[int] = []
    with pytest.raises(NotAnArchiveError, match="more than 500 times"):
        pieces.extend(map(len, Unpacked(iter([bomb]), where="It")))
    assert max(pieces) <= PIECE
    assert sum(pieces) < 70_000_000


def _zip_of(document: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.ndjson", document)
    return file.getvalue()
