"""Zstandard: a document is one frame or several, one after another. Skippable frames have no data."""

from __future__ import annotations

import logging

from airflow_provider_genesys.exceptions import MissingExtraError
from airflow_provider_genesys.source.unpack.member import PIECE, Member, Unreadable

try:
    from backports import zstd
except ImportError as missing:
    raise MissingExtraError(
        "The archive is packed with Zstandard. Reading that needs its library on every worker. Run: pip install "
        "'airflow-provider-genesys[zstd]'"
    ) from missing


log = logging.getLogger(__name__)

_MAGIC = b"\x28\xb5\x2f\xfd"
_DESCRIPTOR, _CHECKSUM = len(_MAGIC), 0x4  # the byte after the signature, and its flag


class Zstd:
    """Implements :class:`.member.ArchivePacking`."""

    documents = False

    def __init__(self) -> None:
        self._warned = False

    def begin(self, packed: bytes) -> tuple[Member | None, bytes]:
        """Begin a frame. Warn about the first one without a checksum."""
        if len(packed) <= _DESCRIPTOR:
            return None, packed
        if packed.startswith(_MAGIC) and not packed[_DESCRIPTOR] & _CHECKSUM and not self._warned:
            self._warned = True
            log.warning(
                "The Zstandard archive has no checksum, so an altered byte in it may not be noticed. Pack it with "
                "one (zstd does so by default), or compare its records with their number (expect_records)."
            )
        return _Frame(), packed

    def end(self) -> None:
        """Accept the end of the archive after any frame."""


class _Frame:
    """Implements :class:`.member.Member`. The window is at most 128 MiB, the limit of ``zstd -d`` as well."""

    def __init__(self) -> None:
        self._frame = zstd.ZstdDecompressor()
        self.ended = self.more = False

    def unpack(self, packed: bytes) -> tuple[bytes, bytes]:
        """Decompress at most one piece. The library keeps the input that is not decompressed yet."""
        try:
            piece = self._frame.decompress(packed, PIECE)
        except zstd.ZstdError as error:
            raise Unreadable(f"its packed data are wrong ({error})") from error
        self.ended = self._frame.eof
        self.more = not self.ended and not self._frame.needs_input
        return piece, self._frame.unused_data if self.ended else b""
