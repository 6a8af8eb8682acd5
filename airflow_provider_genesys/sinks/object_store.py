"""What the object-store sinks ask of a store: the few calls that S3 and Azure Blob have in common.

Every call retries by itself and raises :class:`SinkUnavailableError` when its retries are spent, or
:class:`SinkRefusedError` where no retry helps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Stored:
    """One object as a listing shows it. ``size`` in bytes."""

    key: str
    size: int
    etag: str


@dataclass(frozen=True)
class ReadBack:
    """What reading an object through has shown. ``sha256`` in hex."""

    sha256: str
    etag: str


class Upload(Protocol):
    """An object that is sent in pieces and appears, whole, when it is completed."""

    def send(self, piece: bytes) -> None:
        """Send the next piece; all but the last have the same length."""

    def complete(self, sha256: str) -> str:
        """Make the object appear and return its ETag.

        :param sha256: of the whole object in hex. Where the answer is lost, the object is read back and compared.
        """

    def abort(self) -> None:
        """Throw away what was sent."""


class ObjectStore(Protocol):
    """A bucket or container. Keys are whole, without a leading slash."""

    url: str
    """For people: ``s3://bucket``."""

    def put(self, key: str, body: bytes) -> str:
        """Write an object at once, over what is there, and return its ETag."""

    def put_if_absent(self, key: str, body: bytes) -> bool:
        """Create an object; False where the store says that the key is taken.

        After a lost answer the retry meets the object that the first request made: False, too.
        """

    def get(self, key: str) -> bytes | None:
        """Return a small object; None where there is none."""

    def read_back(self, key: str) -> ReadBack | None:
        """Read an object through; None where there is none."""

    def list_objects(self, prefix: str) -> Iterator[Stored]:
        """Return the objects whose keys begin with ``prefix``, in the order of their keys."""

    def delete(self, key: str) -> None:
        """Remove an object, whether it is there or not."""

    def upload(self, key: str) -> Upload:
        """Begin an object that is sent in pieces."""

    def abort_uploads(self, prefix: str) -> None:
        """Throw away every unfinished upload whose key begins with ``prefix``."""
