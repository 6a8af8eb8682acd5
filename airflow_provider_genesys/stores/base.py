"""What the object-store sinks ask of a store: the few calls that S3 and Azure Blob have in common.

Every call retries by itself and raises :class:`SinkUnavailableError` when its retries are spent, or
:class:`SinkRefusedError` where no retry helps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol
from urllib.parse import quote

from airflow_provider_genesys.exceptions import ConfigurationError

Body = bytes | bytearray
"""What is sent; the sender does not change it afterwards."""

MOST_PIECES = 10_000
"""Pieces that every store takes for one object: S3 takes no more."""

_CONTENT_TYPES = {
    "eml": "message/rfc822",
    "gz": "application/gzip",
    "json": "application/json",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "ndjson": "application/x-ndjson",
    "ogg": "audio/ogg",
    "opus": "audio/opus",
    "parquet": "application/vnd.apache.parquet",
    "wav": "audio/wav",
    "webm": "video/webm",
    "zip": "application/zip",
    "zst": "application/zstd",
}


def content_type(key: str) -> str:
    """Return the media type of the object of a key, by the end of its name."""
    return _CONTENT_TYPES.get(key.rpartition(".")[2], "application/octet-stream")


@dataclass(frozen=True)
class Stored:
    """One object as a listing shows it. ``size`` in bytes."""

    key: str
    size: int
    etag: str


@dataclass(frozen=True)
class SentPieces:
    """How far an unfinished upload has come: all that another process needs to go on with it."""

    key: str
    name: str
    """By which the store knows the upload."""
    pieces: int = 0
    bytes: int = 0

    def and_piece(self, size: int) -> SentPieces:
        """Return this with one piece of ``size`` bytes more."""
        return replace(self, pieces=self.pieces + 1, bytes=self.bytes + size)


class Upload(Protocol):
    """An object that is sent in pieces and appears, whole, when it is completed."""

    def send(self, piece: Body) -> None:
        """Send the next piece; all but the last have the same length."""

    def complete(self, sha256: str) -> str:
        """Make the object appear and return its ETag.

        :param sha256: of the whole object in hex. Where the answer is lost, the object is read back and compared.
        """

    def abort(self) -> None:
        """Throw away what was sent."""


class ResumableUpload(Upload, Protocol):
    """An upload that outlives the process that has begun it; see :meth:`ObjectStore.resume`."""

    @property
    def sent(self) -> SentPieces:
        """What was sent so far."""


class ObjectStore(Protocol):
    """A bucket or container. Keys are whole, without a leading slash."""

    url: str
    """For people: ``s3://bucket``."""

    def put(self, key: str, body: Body) -> str:
        """Write an object at once, over what is there, and return its ETag."""

    def put_if_absent(self, key: str, body: bytes) -> bool:
        """Create an object; False where the store says that the key is taken.

        After a lost answer the retry meets the object that the first request made: False, too.
        """

    def get(self, key: str) -> bytes | None:
        """Return a small object; None where there is none."""

    def read(self, key: str, start: int, length: int, *, etag: str | None = None) -> bytes | None:
        """Return ``length`` bytes of an object from ``start`` on, fewer at its end; None where there is none.

        :param etag: the one that it has to have, or it counts as not there.
        """

    def list_objects(self, prefix: str) -> Iterator[Stored]:
        """Return the objects whose keys begin with ``prefix``, in the order of their keys."""

    def delete(self, key: str) -> None:
        """Remove an object, whether it is there or not."""

    def upload(self, key: str) -> ResumableUpload:
        """Begin an object that is sent in pieces."""

    def resume(self, sent: SentPieces) -> ResumableUpload | None:
        """Go on behind what was ``sent``, and forget what came after it; None where the store has it no more."""

    def abort_uploads(self, prefix: str) -> None:
        """Throw away every unfinished upload whose key begins with ``prefix``."""


def below(store: ObjectStore, prefixes: Iterable[str]) -> dict[str, Stored]:
    """Return the objects below any of ``prefixes`` by their keys."""
    return {stored.key: stored for prefix in prefixes for stored in store.list_objects(prefix)}


LONGEST_KEY = 1024
"""Bytes of UTF-8 that S3 and Azure Blob take for a key."""


def check_prefix(prefix: str) -> None:
    """Raise :class:`ConfigurationError` where a prefix has a step or a character that some tool trips over."""
    steps = prefix.strip("/").split("/")
    if not prefix.isprintable() or {".", ".."} & set(steps) or ("" in steps and len(steps) > 1):
        raise ConfigurationError(
            f"The prefix {prefix!r} cannot be used for object keys: it has an empty step, a step '.' or '..', or a "
            "character that is not printable. Correct the prefix."
        )


def quoted(name: str) -> str:
    """Return ``name`` as one step of a key, whatever it holds."""
    # quote() leaves dots alone, and "." or ".." as a step would be resolved by some tools.
    return quote(name, safe="").replace(".", "%2E")
