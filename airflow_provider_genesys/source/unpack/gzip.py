"""Gzip: a document is one member or several, one after another, perhaps with padding between them."""

from __future__ import annotations

from isal import igzip_lib

from airflow_provider_genesys.source.unpack.member import PIECE, Member, Unreadable

MAGIC = b"\x1f\x8b"
_FIXED_HEAD, _LONGEST_HEAD = 10, 128 * 1024
_CHECKSUM, _EXTRA, _NAME, _COMMENT = 2, 4, 8, 16  # flags in a member's head


class Gzip:
    """Implements :class:`.member.ArchivePacking`."""

    documents = False

    def begin(self, packed: bytes) -> tuple[Member | None, bytes]:
        """Begin a member, after skipping padding."""
        packed = packed.lstrip(b"\0")
        if not packed.startswith(MAGIC[: len(packed)]):
            raise Unreadable("it is no longer gzip")
        return (Inflating(igzip_lib.DECOMP_GZIP) if _has_head(packed) else None), packed

    def end(self) -> None:
        """Accept the end of the archive after any member."""


class Inflating:
    """Implements :class:`.member.Member` for data packed with deflate. Checks checksum and length.

    :param flag: ``igzip_lib.DECOMP_GZIP`` for a gzip member, ``DECOMP_DEFLATE`` for deflate without head and trailer.
    """

    def __init__(self, flag: int) -> None:
        # Of isal's two classes this one gives up Python's lock once for a piece; isal_zlib's does so five times, and
        # waits for it each time.
        self._member = igzip_lib.IgzipDecompressor(flag)
        self.ended = self.more = False

    def unpack(self, packed: bytes) -> tuple[bytes, bytes]:
        """Inflate at most one piece. The library keeps the input that is not inflated yet."""
        try:
            piece = self._member.decompress(packed, PIECE)
        except igzip_lib.error as error:  # type: ignore[misc]  # its stub gives an instance for the class
            raise Unreadable(f"its packed data are wrong ({error})") from error
        self.ended = self._member.eof
        self.more = not self.ended and not self._member.needs_input
        return piece, self._member.unused_data if self.ended else b""


def _has_head(packed: bytes) -> bool:
    """Whether the head of a gzip member is complete. isal misreads some heads that come in pieces."""
    if len(packed) < _FIXED_HEAD:
        return False
    flags, end = packed[3], _FIXED_HEAD
    if flags & _EXTRA:
        end += 2 + int.from_bytes(packed[end : end + 2], "little")
    for _ in range((flags & _NAME > 0) + (flags & _COMMENT > 0)):
        end = packed.find(b"\0", end) + 1 or _LONGEST_HEAD
    end += 2 if flags & _CHECKSUM else 0
    return len(packed) >= min(end, _LONGEST_HEAD)
