"""Reads one whole object of a load back and compares it with its entry in the manifest."""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Callable, Iterator

from airflow_provider_genesys.exceptions import AccountError
from airflow_provider_genesys.sinks.objects.parts import Part
from airflow_provider_genesys.stores.base import ObjectStore
from airflow_provider_genesys.stores.read_through import PIECE, StoredFile

_GZIP = 31
"""zlib's ``wbits`` for a gzip member."""

OnRead = Callable[[int], None]
"""Takes the number of bytes that were read since the last call."""


def problems_of(store: ObjectStore, part: Part, progress: OnRead) -> Iterator[str]:
    """Yield each difference between the object and its entry in the manifest."""
    stored = next((one for one in store.list_objects(part.key) if one.key == part.key), None)
    if stored is None:
        yield "it is not there"
        return
    if stored.size != part.bytes:
        yield f"it has {stored.size:,} bytes and should have {part.bytes:,}"
        return
    object_ = _Object(store, part, progress)
    try:
        rows = _rows(object_)
    except (AccountError, zlib.error, EOFError, OSError, ValueError):  # pyarrow's errors are ValueErrors, too
        rows = None
    digest = object_.digest()
    if digest != part.sha256:
        yield f"its SHA-256 is {digest} and should be {part.sha256}"
    if rows is None:
        yield "it cannot be read as rows"
    elif rows != part.rows:
        yield f"it holds {rows:,} rows and should hold {part.rows:,}"


class _Object:
    """The bytes of one object, read once from beginning to end, with their digest."""

    def __init__(self, store: ObjectStore, part: Part, progress: OnRead) -> None:
        self.part = part
        self.store = store
        self._progress = progress
        self._sha256 = hashlib.sha256()
        self._read = 0

    def pieces(self) -> Iterator[bytes]:
        """Yield the rest of the object. It may be shorter than the manifest says."""
        while self._read < self.part.bytes:
            piece = self.store.read(self.part.key, self._read, PIECE)
            if not piece:
                return
            self._sha256.update(piece)
            self._read += len(piece)
            self._progress(len(piece))
            yield piece

    def digest(self) -> str:
        """Read what is left and return the SHA-256 of all."""
        for _ in self.pieces():
            pass
        return self._sha256.hexdigest()


def _rows(object_: _Object) -> int:
    key = object_.part.key
    if not object_.part.rows:
        return 0  # a raw archive: its records were not counted
    if key.endswith(".parquet"):
        return _parquet_rows(object_)
    if key.endswith(".ndjson.gz"):
        return sum(data.count(b"\n") for data in _unpacked(object_.pieces()))
    return sum(piece.count(b"\n") for piece in object_.pieces())


def _unpacked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the unpacked data of gzip members.

    :raises EOFError: the last one is cut off.
    """
    unpacker = None
    for piece in pieces:
        rest = piece
        while rest:
            unpacker = unpacker or zlib.decompressobj(_GZIP)
            yield unpacker.decompress(rest, PIECE)
            rest = unpacker.unconsumed_tail
            if unpacker.eof:
                rest, unpacker = unpacker.unused_data, None
    if unpacker:
        raise EOFError


def _parquet_rows(object_: _Object) -> int:
    from pyarrow import parquet

    part = object_.part
    return int(parquet.read_metadata(io.BufferedReader(StoredFile(object_.store, part.key, part.bytes))).num_rows)
