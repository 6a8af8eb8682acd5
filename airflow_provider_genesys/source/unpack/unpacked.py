"""Unpack an archive while it arrives. How it is packed, its first bytes say, not its name.

An archive is plain, or a row of members: of gzip (:mod:`.gzip`), zip (:mod:`.zip`) or Zstandard
(:mod:`.zstd`). A member can be entered at its first byte and nowhere else, so that is where a resumed load
enters, and skips.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Literal

from airflow_provider_genesys.exceptions import NotAnArchiveError
from airflow_provider_genesys.source.unpack.gzip import Gzip
from airflow_provider_genesys.source.unpack.member import Member, Packing, Unreadable
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
"""Bytes: no export is as long."""
MAX_RATIO = 500
"""JSON is packed to a fifth or a twentieth. Deflate itself ends at 1,032, Zstandard does not end."""
RATIO_FROM = 64 * 1024 * 1024


def packing_of(head: bytes) -> PackingName:
    """Tell how the archive is packed that begins with ``head``; of one that is shorter, as far as that can be told."""
    if 0 < len(head) < _TELLING:
        return next((name for name, magic in _MAGIC.items() if magic.startswith(head)), "plain")
    return next((name for name, magic in _KINDS.items() if magic.match(head)), "plain")


def _zstd(_: bool) -> Packing:  # noqa: FBT001 - the signature that all packings are made by
    from airflow_provider_genesys.source.unpack.zstd import Zstd

    return Zstd()


PACKINGS: dict[PackingName, Callable[[bool], Packing]] = {
    "gzip": lambda _: Gzip(),
    "zip": lambda whole: Zip(whole=whole),
    "zstd": _zstd,
}
"""What unpacks each packing; called with whether the archive is read from its first byte."""

Entries = tuple[tuple[int, int], ...]
"""Where an archive can be entered: (offset in the archive, offset in what is unpacked), both rising."""


class Unpacked:
    """What is in an archive, as an iterator of its bytes.

    :param chunks: the archive's bytes from ``source_offset`` on.
    :param entry_offset: place of ``source_offset`` in what is unpacked.
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
        packing: PackingName | None = None,
    ) -> None:
        self._chunks = chunks
        self._where = where
        self._entries = deque([(source_offset, entry_offset)])
        self._offset = entry_offset  # up to which it was handed on
        self.packing = packing
        self.seams: deque[int] = deque()
        """Offsets at which one document ends and another begins. Each is here before the first byte behind it comes."""

    def __iter__(self) -> Generator[bytes, None, None]:
        """Yield the bytes; when this is closed, ``chunks`` are closed too."""
        try:
            chunks = self._recognised() if self.packing is None else self._chunks
            make = PACKINGS.get(self.packing or "plain")
            packing = make(self._entries[0] == (0, 0)) if make else None
            yield from self._members(packing, chunks) if packing else chunks
        finally:
            if close := getattr(self._chunks, "close", None):
                close()

    def entries(self, offset: int) -> Entries | None:
        """Return the places at which members begin: the last one before ``offset``, and those after it.

        Earlier ones are forgotten: nobody continues from there any more.

        :return: None for a plain archive, which can be entered anywhere.
        """
        if self.packing == "plain":
            return None
        while len(self._entries) > 1 and self._entries[1][1] <= offset:
            self._entries.popleft()
        return tuple(self._entries)

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

    def _members(self, packing: Packing, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Unpack member after member."""
        member, received, packed = None, self._entries[0][0], b""
        try:
            for chunk in chunks:
                received += len(chunk)
                packed += chunk
                while True:
                    if member is None:
                        begin = received - len(packed)
                        member, packed = packing.begin(packed)
                        if member is None:
                            break
                        self._enter(begin, documents=packing.documents)
                    piece, packed = member.unpack(packed)
                    if piece:
                        self._offset += len(piece)
                        self._check_swelling(received)
                        yield piece
                    if member.ended:
                        member = None
                    elif not member.more:
                        break
            _check_end(packing, member, packed)
        except Unreadable as error:
            raise NotAnArchiveError(
                f"{self._where} cannot be unpacked: {error} (byte {received - len(packed)} of it, byte {self._offset} "
                f"unpacked). {error.advice}"
            ) from error

    def _enter(self, source_offset: int, *, documents: bool) -> None:
        """Note that a member begins here."""
        if self._offset == self._entries[-1][1]:  # nothing came of those before it
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


def _check_end(packing: Packing, member: Member | None, packed: bytes) -> None:
    if member is not None or packed:
        raise Unreadable("it ends in the middle of its packed data")
    packing.end()
