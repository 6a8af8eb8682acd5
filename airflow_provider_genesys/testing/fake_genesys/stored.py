"""An archive in a temporary file: compressed, because its length is known only afterwards, or plain, for speed."""

from __future__ import annotations

import socket
import tempfile
import threading
import zlib
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Literal

from airflow_provider_genesys.testing.fake_genesys.archive import Archive

Compression = Literal["gzip", "gzip-members"]
"""One gzip member · several, one after another, as when parts are compressed apart and joined."""

_GZIP = 31
"""zlib's window bits for gzip; the header has no time in it, so that the same archive gives the same bytes."""


class StoredArchive:
    """An archive that a separate thread writes once, and that ``sendfile`` serves.

    The file has no name: nothing is left behind, however the process ends.

    :param compression: see :data:`Compression`; None stores it as it is.
    """

    def __init__(self, archive: Archive, compression: Compression | None) -> None:
        self.archive = archive
        self.compression = compression
        self.etag = archive.etag if compression is None else _etag(f"{archive.etag} {compression}")
        self.size = 0
        """Length in bytes, once it is ready."""
        self.ready = False
        """Whether the file is complete."""
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - close() ends it
        self._closing = False
        self._writer = threading.Thread(target=self._write, name="stored-archive", daemon=True)
        self._writer.start()

    def wait(self) -> None:
        """Return when the file is complete."""
        self._writer.join()

    def send_to(self, connection: socket.socket, start: int, stop: int) -> None:
        """Write the bytes ``start <= offset < stop`` to ``connection``, straight from the page cache."""
        with open(self._file.fileno(), "rb", closefd=False) as file:
            connection.sendfile(file, start, stop - start)

    def close(self) -> None:
        """Stop writing and delete the file."""
        self._closing = True
        self._writer.join()
        self._file.close()

    def _write(self) -> None:
        chunks: Iterable[bytes | memoryview] = self.archive.chunks()
        for piece in _gzip(chunks, members=self.compression == "gzip-members") if self.compression else chunks:
            if self._closing:
                return
            self._file.write(piece)
        self._file.flush()
        self.size = self._file.tell()
        self.ready = True


class GivenArchive:
    """A file whose bytes a test decides, kept in memory."""

    compression = None
    ready = True

    def __init__(self, content: bytes) -> None:
        self.etag = f'"{sha256(content).hexdigest()[:32]}"'
        self.size = len(content)
        self._content = content

    def send_to(self, connection: socket.socket, start: int, stop: int) -> None:
        """Write the bytes ``start <= offset < stop`` to ``connection``."""
        connection.sendall(memoryview(self._content)[start:stop])


def _gzip(chunks: Iterable[bytes | memoryview], *, members: bool) -> Iterator[bytes]:
    """Compress ``chunks``; each to a separate member if ``members`` is set."""
    packer = _packer()
    for number, chunk in enumerate(chunks):
        if number and members:
            yield packer.flush()
            packer = _packer()
        yield packer.compress(chunk)
    yield packer.flush()


def _packer() -> zlib._Compress:
    return zlib.compressobj(1, zlib.DEFLATED, _GZIP)


def _etag(text: str) -> str:
    return f'"{sha256(text.encode()).hexdigest()[:32]}"'
