"""Unpacks an archive while it arrives. Its first bytes decide the packing, not its name.

An archive is plain, or a row of members: of gzip (:mod:`.gzip`), zip (:mod:`.zip`) or Zstandard
(:mod:`.zstd`). A member can only be read from its first byte. So a resumed load begins at the start of a member and
skips the bytes before its position.
"""

from __future__ import annotations

import re
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from itertools import takewhile
from typing import Literal

from airflow_provider_genesys.exceptions import NotAnArchiveError
from airflow_provider_genesys.source.unpack.gzip import Gzip
from airflow_provider_genesys.source.unpack.member import ArchivePacking, Member, Unreadable
from airflow_provider_genesys.source.unpack.packed import Packed
from airflow_provider_genesys.source.unpack.zip import Zip

PackingName = Literal["plain", "gzip", "zip", "zstd"]

_KINDS: dict[PackingName, re.Pattern[bytes]] = {
    "gzip": re.compile(rb"\x1f\x8b"),
    "zip": re.compile(rb"PK(\x03\x04|\x05\x06|\x06\x06)"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),
}
_MAGIC: dict[PackingName, bytes] = {"gzip": b"\x1f\x8b", "zip": b"PK\x03\x04", "zstd": b"\x28\xb5\x2f\xfd"}
_TELLING = 4  # bytes: the longest of the signatures
MAX_UNPACKED = 2**40
"""Bytes: no export is that long."""
MAX_RATIO = 500
"""Largest ratio of unpacked to packed bytes. JSON has 5 to 20. Deflate allows 1,032; Zstandard has no limit."""
RATIO_FROM = 64 * 1024 * 1024
_TURN = 0.0005  # seconds


def packing_of(head: bytes) -> PackingName:
    """Return the packing of an archive that begins with ``head``. A very short ``head`` may count as plain."""
    if 0 < len(head) < _TELLING:
        return next((name for name, magic in _MAGIC.items() if magic.startswith(head)), "plain")
    return next((name for name, magic in _KINDS.items() if magic.match(head)), "plain")


def _zstd(_: bool) -> ArchivePacking:  # noqa: FBT001 - the signature that all packings are made by
    from airflow_provider_genesys.source.unpack.zstd import Zstd

    return Zstd()


PACKINGS: dict[PackingName, Callable[[bool], ArchivePacking]] = {
    "gzip": lambda _: Gzip(),
    "zip": lambda whole: Zip(whole=whole),
    "zstd": _zstd,
}
"""The class for each packing. The argument says whether the archive is read from its first byte."""

Entries = tuple[tuple[int, int], ...]
"""Where an archive can be entered: (offset in the archive, offset in the unpacked bytes), both rising."""


class Unpacked:
    """Iterates over the unpacked bytes of an archive.

    :param chunks: the archive's bytes from ``source_offset`` on.
    :param entry_offset: the place of ``source_offset`` in the unpacked bytes.
    :param packing: the packing; None to find it from the first bytes (then ``source_offset`` must be 0).
    :param where: the archive, for errors.
    """

    def __init__(
        self,
        chunks: Iterator[bytes],
        *,
        where: str,
        source_offset: int = 0,
        entry_offset: int = 0,
        packing: PackingName | None = None,
    ) -> None:
        self._chunks = chunks
        self._where = where
        self._entries = deque([(source_offset, entry_offset)])
        self._offset = entry_offset  # end of the unpacked bytes that were yielded
        self._used = source_offset  # end of the packed bytes that became them
        self.packing = packing
        self.seams: deque[int] = deque()
        """Offsets where one document ends and another begins. Each is added before the first byte after it comes."""

    def __iter__(self) -> Generator[bytes, None, None]:
        """Yield the bytes. Closing this also closes ``chunks``."""
        try:
            chunks = self._recognised() if self.packing is None else self._chunks
            make = PACKINGS.get(self.packing or "plain")
            packing = make(self._entries[0] == (0, 0)) if make else None
            if packing is None:
                yield from chunks
                return
            with _short_turns():
                yield from self._members(packing, chunks)
        finally:
            if close := getattr(self._chunks, "close", None):
                close()

    def entries(self, offset: int, end: int) -> Entries | None:
        """Return the places where members begin: the last one before ``offset``, and those up to ``end``.

        Earlier ones are forgotten, because no load continues from there.

        :return: None for a plain archive, which can be entered anywhere.
        """
        if self.packing == "plain":
            return None
        while len(self._entries) > 1 and self._entries[1][1] <= offset:
            self._entries.popleft()
        # Another thread may add to them meanwhile, so they are not iterated over.
        known = (self._entries[place] for place in range(len(self._entries)))
        return (next(known), *takewhile(lambda entry: entry[1] <= end, known))

    def share(self, offset: int, length: int | None) -> float | None:
        """Return what part of a packed archive of ``length`` bytes is before the unpacked byte ``offset``.

        What is read ahead counts in proportion.

        :return: 0 to 1; None if that is not known, or the archive is plain.
        """
        if self.packing == "plain" or not length or not self._offset:
            return None
        return min(self._used / length * offset / self._offset, 1.0)

    def _recognised(self) -> Iterator[bytes]:
        head = b""
        for chunk in self._chunks:
            head += chunk
            if len(head) >= _TELLING:
                break
        self.packing = packing_of(head)
        return self._rejoined(head)

    def _rejoined(self, head: bytes) -> Iterator[bytes]:
        if head:
            yield head
        yield from self._chunks

    def _members(self, packing: ArchivePacking, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Unpack member after member."""
        member, packed, keeps = None, Packed(self._entries[0][0]), False
        try:
            for chunk in chunks:
                packed.add(chunk)
                while True:
                    if member is None:
                        begin = packed.offset
                        member = packed.used(*packing.begin(packed.given()))
                        if member is None:
                            if packed.can_give_more():
                                continue
                            break
                        packed.begin()
                        self._enter(begin, documents=packing.documents)
                    piece = packed.used(*member.unpack(b"" if keeps else packed.given()))
                    if piece:
                        self._offset += len(piece)
                        self._used = packed.offset
                        self._check_swelling(packed.received)
                        yield piece
                    keeps = member.more and packed.all_used
                    if member.ended:
                        member = None
                        packed.begin()
                    elif not member.more and not packed.can_give_more():
                        break
            _check_end(packing, member, packed)
        except Unreadable as error:
            raise NotAnArchiveError(
                f"{self._where} cannot be unpacked: {error} (byte {packed.offset} of it, byte {self._offset} "
                f"unpacked). {error.advice}"
            ) from error

    def _enter(self, source_offset: int, *, documents: bool) -> None:
        """Note that a member begins here."""
        if self._offset == self._entries[-1][1]:  # the members before it were empty
            self._entries[-1] = (source_offset, self._offset)
            return
        self._entries.append((source_offset, self._offset))
        if documents:
            self.seams.append(self._offset)

    def _check_swelling(self, received: int) -> None:
        source_offset, entry_offset = self._entries[0]
        unpacked = self._offset - entry_offset
        if unpacked > RATIO_FROM and unpacked > MAX_RATIO * (received - source_offset):
            raise Unreadable(f"it swells to more than {MAX_RATIO} times its size")
        if self._offset > MAX_UNPACKED:
            raise Unreadable(f"it swells to more than {MAX_UNPACKED} bytes")


@contextmanager
def _short_turns() -> Iterator[None]:
    """Let the thread that unpacks have Python's lock after half a millisecond instead of five, meanwhile.

    It needs the lock for a moment after each piece. A gzip load is a seventh faster (``docs/performance.md``). A plain
    one would be slower.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, _TURN))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _check_end(packing: ArchivePacking, member: Member | None, packed: Packed) -> None:
    if member is not None or packed.offset < packed.received:
        raise Unreadable("it ends in the middle of its packed data")
    packing.end()
