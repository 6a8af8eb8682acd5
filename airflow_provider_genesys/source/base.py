"""The protocols of what is read: an archive, from a presigned URL (:mod:`.download`) or a bucket (:mod:`.landed`)."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import Protocol

from airflow_provider_genesys.source.position import Identity
from airflow_provider_genesys.source.records import Slice


class Archive(Protocol):
    """The bytes of one archive."""

    @property
    def identity(self) -> Identity:
        """What is known of the archive so far."""

    def read(self, start: int) -> Generator[bytes, None, None]:
        """Yield the bytes from ``start`` to the end. Call it once.

        :raises SourceError: one of its subclasses; the message names the export, the offset and what to do.
        """

    def stop(self) -> None:
        """End :meth:`read`, which runs in another thread."""


class Until:
    """The first ``end`` bytes of an :class:`Archive` that is at least that long."""

    def __init__(self, archive: Archive, end: int) -> None:
        self._archive = archive
        self._end = end

    @property
    def identity(self) -> Identity:
        """What is known of the whole archive."""
        return self._archive.identity

    def read(self, start: int) -> Generator[bytes, None, None]:
        """Yield the bytes from ``start`` to the end."""
        left = self._end - start
        with closing(self._archive.read(start)) as chunks:
            while left > 0 and (chunk := next(chunks, b"")):
                yield chunk[:left]
                left -= len(chunk)

    def stop(self) -> None:
        """End :meth:`read`, which runs in another thread."""
        self._archive.stop()


class Source(Protocol):
    """Records from a checkpoint on, in slices without gap or overlap."""

    length: int
    """Bytes of records seen so far; at the end, of all records."""

    @property
    def identity(self) -> Identity:
        """What is known of the whole source so far."""

    def slices(
        self, limit: int, *, cut_every: int | None, flush_interval: float, pack_every: int | None = None
    ) -> Generator[Slice, None, None]:
        """Yield slices of at most ``limit`` records, or of any number with ``pack_every``. They know their places.

        :param cut_every: see :attr:`.sink.Sink.cut_every`.
        :param pack_every: see :attr:`.sink.AligningSink.pack_every`. A source may ignore it.
        """
