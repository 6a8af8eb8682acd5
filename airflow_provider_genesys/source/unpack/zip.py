"""Zip, read forwards. Each entry is a document; the directory after the entries is only used as a check.

An archive is read only once, and the directory is at its end. So each entry is described by its own head. Nothing is
written to a file, so an entry's name can do no harm.
"""

from __future__ import annotations

import logging
import struct
from dataclasses import dataclass

from isal import igzip_lib, isal_zlib

from airflow_provider_genesys.source.unpack.gzip import Inflating
from airflow_provider_genesys.source.unpack.member import Member, Unreadable

log = logging.getLogger(__name__)

ENTRY = b"PK\x03\x04"

_HEAD = struct.Struct("<4s H H H 4x I I I H H")

_ENCRYPTED, _SIZES_FOLLOW, _UTF8 = 0x1, 0x8, 0x800  # flags

_STORED, _DEFLATED = 0, 8

_METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "xz", 99: "AES encryption"}

_ZIP64, _IN_ZIP64 = 1, 0xFFFFFFFF  # the extra field with sizes of 64 bits, and the value that is in their place then

_LONGEST_TRAILER = 24

_REPACK = "Pack it as zip with deflate and without a password, as gzip, or not at all."


@dataclass(frozen=True)
class _Head:
    """The head of an entry. Sizes are in bytes; they are 0 if they follow after its data."""

    name: str
    method: int
    follows: bool
    crc: int
    packed_size: int
    size: int

    @property
    def is_folder(self) -> bool:
        """Whether the entry is a folder by its name."""
        return self.name.endswith(("/", "\\"))

    @property
    def left_out(self) -> bool:
        """Whether the entry has no records: it is a folder, or a file that macOS adds."""
        steps = self.name.replace("\\", "/").split("/")
        return self.is_folder or "__MACOSX" in steps or steps[-1] == ".DS_Store" or steps[-1].startswith("._")


class Zip:
    """Implements :class:`.member.ArchivePacking`.

    :param whole: whether the archive is read from its first byte on, so that its entries can be counted.
    """

    documents = True

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole
        self._entries = 0
        self._directory: Directory | None = None

    def begin(self, packed: bytes) -> tuple[Member | None, bytes]:
        """Begin an entry, or the directory."""
        if self._directory:
            if packed:
                raise Unreadable("it has more bytes after its end")
            return None, packed
        if len(packed) < len(ENTRY):
            return None, packed
        if packed.startswith(DIRECTORY):
            self._directory = Directory(self._entries if self._whole else None)
            return self._directory, packed
        if not packed.startswith(ENTRY):
            raise Unreadable("neither an entry nor the directory of a zip file begins here")
        return self._entry(packed)

    def end(self) -> None:
        """Raise :class:`Unreadable` if no directory came: the archive is cut off."""
        if self._directory is None:
            raise Unreadable("it ends before the directory of a zip file")

    def _entry(self, packed: bytes) -> tuple[Member | None, bytes]:
        if len(packed) < _HEAD.size:
            return None, packed
        *_, name_length, extra_length = _HEAD.unpack_from(packed)
        length = _HEAD.size + name_length + extra_length
        if len(packed) < length:
            return None, packed
        head = _head(packed, name_length, packed[_HEAD.size + name_length : length])
        self._entries += 1
        _check(head)
        if head.left_out and not head.is_folder:
            log.info("Left out of the zip file: %s", _shown(head.name))
        return _Entry(head), packed[length:]


class _Entry:
    """Implements :class:`.member.Member`: the data of an entry, checked against its checksum and sizes."""

    def __init__(self, head: _Head) -> None:
        self._head = head
        self._data: Member = (
            Inflating(igzip_lib.DECOMP_DEFLATE) if head.method == _DEFLATED else _Stored(head.packed_size)
        )
        self._packed_size = self._size = self._crc = 0
        self.ended = self.more = False
        self._finish(b"")

    def unpack(self, packed: bytes) -> tuple[bytes, bytes]:
        """Return at most one piece. After the data, check the checksum and the sizes."""
        piece = b""
        if not self._data.ended:
            piece, rest = self._data.unpack(packed)
            self._packed_size += len(packed) - len(rest)
            self._size += len(piece)
            if piece and self._head.is_folder:
                raise Unreadable(f"its entry {_shown(self._head.name)} is a folder by its name, but has data")
            self._crc = isal_zlib.crc32(piece, self._crc)
            self.more, packed = self._data.more, rest
        return b"" if self._head.left_out else piece, self._finish(packed)

    def _finish(self, packed: bytes) -> bytes:
        """Check the checksum and sizes after the data. Return the bytes that follow."""
        if not self._data.ended or (self._head.follows and len(packed) < _LONGEST_TRAILER):
            return packed
        sums = (self._crc, self._packed_size, self._size)
        head = self._head
        length = _trailer(packed, *sums) if head.follows else 0
        if length is None or (not head.follows and sums != (head.crc, head.packed_size, head.size)):
            raise Unreadable(f"the checksum or the length of its entry {_shown(head.name)} is wrong")
        self.ended = True
        return packed[length:]


class _Stored:
    """Implements :class:`.member.Member` for ``size`` bytes that are not packed."""

    more = False

    def __init__(self, size: int) -> None:
        self._left = size
        self.ended = not size

    def unpack(self, packed: bytes) -> tuple[bytes, bytes]:
        """Return the bytes as they are."""
        piece = packed[: self._left]
        self._left -= len(piece)
        self.ended = not self._left
        return piece, packed[len(piece) :]


def _head(packed: bytes, name_length: int, extra: bytes) -> _Head:
    _, _, flags, method, crc, packed_size, size, _, _ = _HEAD.unpack_from(packed)
    name = packed[_HEAD.size : _HEAD.size + name_length].decode("utf-8" if flags & _UTF8 else "cp437", "replace")
    if flags & _ENCRYPTED:
        raise Unreadable(f"its entry {_shown(name)} is encrypted", _REPACK)
    if _IN_ZIP64 in (packed_size, size):
        size, packed_size = _zip64_sizes(extra, name)
    return _Head(name, method, bool(flags & _SIZES_FOLLOW), crc, packed_size, size)


def _zip64_sizes(extra: bytes, name: str) -> tuple[int, int]:
    while len(extra) >= 4:  # noqa: PLR2004 - an id and a length, of two bytes each
        kind, length = struct.unpack_from("<HH", extra)
        if kind == _ZIP64 and length >= 16 and len(extra) >= 20:  # noqa: PLR2004 - both sizes have to be there
            return struct.unpack_from("<QQ", extra, 4)
        extra = extra[4 + length :]
    raise Unreadable(f"its entry {_shown(name)} should have sizes of 64 bits, but has none")


def _check(head: _Head) -> None:
    if head.method not in (_STORED, _DEFLATED):
        method = _METHODS.get(head.method, f"method {head.method}")
        raise Unreadable(f"its entry {_shown(head.name)} is packed with {method}", _REPACK)
    if head.method == _STORED and head.follows and not head.packed_size and not head.is_folder:
        raise Unreadable(f"its entry {_shown(head.name)} is not packed, and its length comes only after it", _REPACK)


def _trailer(packed: bytes, crc: int, packed_size: int, size: int) -> int | None:
    """Return the length of the checksum and sizes after an entry's data; None if they do not match.

    They may have a signature or not, and sizes of 64 or of 32 bits. Only a match with the data shows which it is.
    """
    for form in ("<IQQ", "<III"):
        if form == "<III" and max(packed_size, size) > _IN_ZIP64:
            return None
        sums = struct.pack(form, crc, packed_size, size)
        for trailer in (b"PK\x07\x08" + sums, sums):
            if packed.startswith(trailer):
                return len(trailer)
    return None


def _shown(name: str) -> str:
    return ascii(name if len(name) <= 100 else f"{name[:100]}...")  # noqa: PLR2004 - what a line has room for


_LISTED, _END64, _LOCATOR64, _END = b"PK\x01\x02", b"PK\x06\x06", b"PK\x06\x07", b"PK\x05\x06"

DIRECTORY = (_LISTED, _END64, _END)
"""Signatures that the directory can begin with."""

_RECORDS = {
    _LISTED: (struct.Struct("<28x HHH"), 46),
    _END64: (struct.Struct("<4x Q"), 12),
    _LOCATOR64: (struct.Struct("<4x"), 20),
    _END: (struct.Struct("<20x H"), 22),
}
"""By signature: the fields that hold lengths, and the number of bytes that they do not count."""


class Directory:
    """Implements :class:`.member.Member` for the directory, which has no records.

    :param entries: number of entries that came before it; None if it is not known.
    """

    def __init__(self, entries: int | None) -> None:
        self._entries = entries
        self._listed = 0
        self.ended = self.more = False

    def unpack(self, packed: bytes) -> tuple[bytes, bytes]:
        """Read whole records of the directory. Return no bytes."""
        at = 0
        while not self.ended and (length := _length(packed, at)) is not None and len(packed) >= at + length:
            self._listed += packed.startswith(_LISTED, at)
            self.ended = packed.startswith(_END, at)
            at += length
        if self.ended and self._entries not in (None, self._listed):
            raise Unreadable(f"its directory lists {self._listed} entries, but {self._entries} came before it")
        return b"", packed[at:]


def _length(packed: bytes, at: int) -> int | None:
    """Return the length of the record that begins at ``at``; None if its head is incomplete."""
    signature = packed[at : at + 4]
    if len(signature) < 4:  # noqa: PLR2004 - bytes of a signature
        return None
    if signature not in _RECORDS:
        raise Unreadable("its directory is damaged")
    lengths, beside = _RECORDS[signature]
    return beside + sum(lengths.unpack_from(packed, at)) if len(packed) >= at + lengths.size else None
