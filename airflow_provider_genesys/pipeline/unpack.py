"""Unpack an archive while it arrives. How it is packed, its first bytes say, not its name."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from typing import Literal

from isal import isal_zlib

from airflow_provider_genesys.exceptions import NotAnArchiveError

GZIP = b"\x1f\x8b"
_FIXED_HEAD, _LONGEST_HEAD = 10, 128 * 1024
_CHECKSUM, _EXTRA, _NAME, _COMMENT = 2, 4, 8, 16  # flags in a member's head
_OTHERS = {
    b"PK\x03\x04": "a zip file",
    b"PK\x05\x06": "a zip file without entries",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
}
_PIECE = 256 * 1024  # of unpacked bytes handed on at a time, which bounds what one packed byte can swell to in memory
_MAX_RATIO = 500  # JSON is packed to a fifth or a twentieth; deflate itself ends at 1,032
_RATIO_FROM = 64 * 1024 * 1024


class Unpacked:
    """The document in an archive, as an iterator of its bytes.

    :param chunks: the archive's bytes from ``source_offset`` on.
    :param entry_offset: place of ``source_offset`` in the unpacked document.
    :param packing: how it is packed; None to look at the first bytes (then ``source_offset`` must be 0).
    :param where: the archive, for errors.
    """

    def __init__(
        self,
        chunks: Iterator[bytes],
        *,
        where: str,
        source_offset: int = 0,
        entry_offset: int = 0,
        packing: Literal["plain", "gzip"] | None = None,
    ) -> None:
        self._chunks = chunks
        self._where = where
        self._entries = deque([(source_offset, entry_offset)])
        self._offset = entry_offset  # place in the document up to which it was handed on
        self.packing = packing

    def __iter__(self) -> Generator[bytes, None, None]:
        """Yield the document; when this is closed, ``chunks`` are closed too."""
        try:
            chunks = self._recognised() if self.packing is None else self._chunks
            yield from self._gunzipped(chunks) if self.packing == "gzip" else chunks
        finally:
            if close := getattr(self._chunks, "close", None):
                close()

    def entry(self, offset: int) -> tuple[int, int]:
        """Return the last place, as (offset in the archive, offset in the document), to enter before ``offset``.

        Must be asked for rising offsets: places before the answer are forgotten.
        """
        if self.packing != "gzip":
            return offset, offset
        while len(self._entries) > 1 and self._entries[1][1] <= offset:
            self._entries.popleft()
        return self._entries[0]

    def _recognised(self) -> Iterator[bytes]:
        head = b""
        for chunk in self._chunks:
            head += chunk
            if len(head) >= 6:  # noqa: PLR2004 - the longest of the signatures
                break
        if kind := next((name for magic, name in _OTHERS.items() if head.startswith(magic)), None):
            raise NotAnArchiveError(f"{self._where} is {kind}; NDJSON and JSON are read plain or packed with gzip.")
        self.packing = "gzip" if head.startswith(GZIP) else "plain"
        return self._rejoined(head)

    def _rejoined(self, head: bytes) -> Iterator[bytes]:
        if head:
            yield head
        yield from self._chunks

    def _gunzipped(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Inflate member after member; an archive may have many."""
        member, received, rest = None, self._entries[0][0], b""
        for chunk in chunks:
            received += len(chunk)
            packed, more = rest + chunk, False
            while packed or more:
                if member is None:
                    packed = packed.lstrip(b"\0")  # padding between members
                    member = self._member(packed, received - len(packed))
                    if member is None:
                        break
                piece, packed, more = self._inflated(member, packed)
                if piece:
                    self._offset += len(piece)
                    self._check_ratio(received)
                    yield piece
                if member.eof:
                    member = None
            rest = packed if member is None else b""
        if member is not None or rest.strip(b"\0"):
            raise self._damaged("it ends in the middle of its packed data")

    def _member(self, packed: bytes, source_offset: int) -> isal_zlib.Decompress | None:
        """Begin the member that ``packed`` starts with; None where its head is not there as a whole."""
        if not packed.startswith(GZIP[: len(packed)]):
            raise self._damaged(f"from byte {source_offset} on it is not gzip any more")
        if not _has_head(packed):
            return None
        if source_offset != self._entries[-1][0]:
            self._entries.append((source_offset, self._offset))
        return isal_zlib.decompressobj(wbits=31)

    def _inflated(self, member: isal_zlib.Decompress, packed: bytes) -> tuple[bytes, bytes, bool]:
        """Return the next piece, what is still packed, and whether this member has more to give already."""
        try:
            piece = member.decompress(packed, _PIECE)
        except isal_zlib.error as error:  # type: ignore[misc]  # its stub gives an instance for the class
            raise self._damaged(f"its packed data are wrong ({error})") from error
        if member.eof:
            return piece, member.unused_data, False
        return piece, member.unconsumed_tail, len(piece) == _PIECE

    def _check_ratio(self, received: int) -> None:
        source_offset, entry_offset = self._entries[0]
        unpacked = self._offset - entry_offset
        if unpacked > _RATIO_FROM and unpacked > _MAX_RATIO * (received - source_offset):
            raise self._damaged(f"it swells to more than {_MAX_RATIO} times its size")

    def _damaged(self, how: str) -> NotAnArchiveError:
        return NotAnArchiveError(
            f"{self._where} is damaged: {how} (byte {self._offset} of the unpacked document). Clear the create task "
            "to have the export made again."
        )


def _has_head(packed: bytes) -> bool:
    """Whether the head of a gzip member is there as a whole: isal misreads some that come in pieces."""
    if len(packed) < _FIXED_HEAD:
        return False
    flags, end = packed[3], _FIXED_HEAD
    if flags & _EXTRA:
        end += 2 + int.from_bytes(packed[end : end + 2], "little")
    for _ in range((flags & _NAME > 0) + (flags & _COMMENT > 0)):
        end = packed.find(b"\0", end) + 1 or _LONGEST_HEAD
    end += 2 if flags & _CHECKSUM else 0
    return len(packed) >= min(end, _LONGEST_HEAD)
