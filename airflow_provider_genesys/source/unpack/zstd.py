"""Zstandard: a document is one frame or several, one after another. Skippable frames have no data."""

from __future__ import annotations

from airflow_provider_genesys.exceptions import MissingExtraError
from airflow_provider_genesys.source.unpack.member import PIECE, Member, Unreadable

try:
    from backports import zstd
except ImportError as missing:
    raise MissingExtraError(
        "The archive is packed with Zstandard. Reading that needs its library on every worker. Run: pip install "
        "'airflow-provider-genesys[zstd]'"
    ) from missing


class Zstd:
    """Implements :class:`.member.ArchivePacking`."""

    documents = False

    def begin(self, packed: bytes) -> tuple[Member | None, bytes]:
        """Begin a frame."""
        return (_Frame() if packed else None), packed

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
