"""An archive, wherever it is read from: a presigned URL (:mod:`.download`) or one's own bucket (:mod:`.landed`)."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import Protocol

from airflow_provider_genesys.pipeline.checkpoint import Identity


class Archive(Protocol):
    """The bytes of one archive."""

    @property
    def known(self) -> Identity:
        """What is known of it by now."""

    def read(self, start: int) -> Generator[bytes, None, None]:
        """Yield the bytes from ``start`` to the end. To be called once.

        :raises SourceError: one of its leaves; the message names the export, the offset and what to do.
        """

    def stop(self) -> None:
        """End :meth:`read`, which runs in another thread."""


class Until:
    """An :class:`Archive` up to the offset ``end``, which it has."""

    def __init__(self, archive: Archive, end: int) -> None:
        self._archive = archive
        self._end = end

    @property
    def known(self) -> Identity:
        """What is known of the whole."""
        return self._archive.known

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
