"""What the object-store sinks need of a store: the few calls that all of them have in common.

Every call retries by itself. It raises :class:`SinkUnavailableError` when its retries are spent, and
:class:`SinkRefusedError` if no retry can help.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, TypeVar, runtime_checkable
from urllib.parse import quote

from airflow_provider_genesys.exceptions import ConfigurationError, SinkRefusedError
from airflow_provider_genesys.limits import MOST_STORE_PAGES

Body = bytes | bytearray
"""Bytes to send. The caller must not change them afterwards."""

MOST_PIECES = 10_000
"""Largest number of pieces that every store accepts for one object: S3's limit."""

PIECE_UNIT = 256 * 1024
"""Every piece but the last has a multiple of this many bytes: Google keeps no other beginnings of an object."""

_AT_ONCE = 4
"""Requests that :func:`at_once` has on their way; boto keeps ten connections, some of which send pieces."""

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
    """Return the media type of an object, by the end of its key."""
    return _CONTENT_TYPES.get(key.rpartition(".")[2], "application/octet-stream")


@dataclass(frozen=True)
class Stored:
    """One object of a listing. ``size`` in bytes."""

    key: str
    size: int
    etag: str


@dataclass(frozen=True)
class SentPieces:
    """The state of an unfinished upload: all that another process needs to continue it."""

    key: str
    name: str
    """The store's name for the upload."""
    pieces: int = 0
    bytes: int = 0

    def and_pieces(self, sizes: Collection[int]) -> SentPieces:
        """Return the state after more pieces of these ``sizes`` in bytes."""
        return replace(self, pieces=self.pieces + len(sizes), bytes=self.bytes + sum(sizes))


class Upload(Protocol):
    """An object that is sent in pieces. It appears when it is complete, never in part."""

    def send(self, piece: Body) -> None:
        """Send the next piece, which is not the last. All have the same length, a multiple of :data:`PIECE_UNIT`."""

    def complete(self, last: Body, sha256: str) -> str:
        """Send the last piece, of any length, make the object appear and return its ETag.

        :param sha256: of the whole object, in hex. If the response is lost, the object is read back and compared.
        """

    def abort(self) -> None:
        """Discard what was sent."""


class ResumableUpload(Upload, Protocol):
    """An upload that another process can continue; see :meth:`ObjectStore.resume`."""

    @property
    def sent(self) -> SentPieces:
        """What was sent so far."""


@runtime_checkable
class NumberedUpload(ResumableUpload, Protocol):
    """An upload whose pieces have numbers, so that several may be on their way at once, each in a separate thread."""

    def next_piece(self) -> Callable[[Body], None]:
        """Return what sends the next piece, as :meth:`send` does. It may be called in any thread, and at any time."""


class ObjectStore(Protocol):
    """A bucket or container. Keys are whole, without a leading slash."""

    url: str
    """Shown to people, e.g. ``s3://bucket``."""

    def put(self, key: str, body: Body) -> str:
        """Write an object in one request, in place of an existing one. Return its ETag."""

    def put_if_absent(self, key: str, body: bytes) -> bool:
        """Create an object. Return False if the store says that the key is taken.

        This is also False if the response was lost: the retry then finds the object of the first request.
        """

    def get(self, key: str) -> bytes | None:
        """Return a small object; None if there is none."""

    def read(self, key: str, start: int, length: int, *, etag: str | None = None) -> bytes | None:
        """Return ``length`` bytes of an object from ``start`` on, fewer at its end; None if there is no object.

        :param etag: if given, an object with another ETag counts as absent.
        """

    def list_objects(self, prefix: str) -> Iterator[Stored]:
        """Return the objects whose keys begin with ``prefix``, in the order of their keys."""

    def delete(self, key: str) -> None:
        """Remove an object, whether it is there or not."""

    def upload(self, key: str) -> ResumableUpload:
        """Begin an object that is sent in pieces."""

    def resume(self, sent: SentPieces) -> ResumableUpload | None:
        """Continue an upload after what was ``sent``, discarding later pieces. None if the store no longer has it."""

    def abort_uploads(self, prefix: str) -> None:
        """Discard every unfinished upload whose key begins with ``prefix``."""


T = TypeVar("T")


def stored(key: Any, size: Any, etag: Any) -> Stored:
    """Return an object of a list, as a client read it.

    :raises ValueError: it lacks its name or its size.
    """
    if not isinstance(key, str) or not key or not isinstance(size, int) or size < 0 or not isinstance(etag, str):
        raise ValueError
    return Stored(key, size, etag)


def listed(pages: Iterable[Iterable[T]], name: Callable[[T], str], place: str) -> Iterator[T]:
    """Yield what is on all pages of a list.

    :param name: returns the name of an object, which no two pages begin with.
    :param place: what is listed, for errors.
    :raises SinkRefusedError: the list has no end.
    """
    met: set[str] = set()
    for number, page in enumerate(pages, 1):
        found = list(page)
        if number > MOST_STORE_PAGES or (found and name(found[0]) in met):
            raise SinkRefusedError(
                f"The list of {place} does not end: "
                + ("the store lists the same objects again" if number <= MOST_STORE_PAGES else f"{number:,} pages came")
                + ". Check that the connection leads to the right store, or use a prefix with fewer objects."
            )
        met.update(map(name, found[:1]))
        yield from found


def at_once(*requests: Callable[[], T]) -> list[T]:
    """Send requests to a store beside each other and return their results.

    :raises Exception: what the first of them that failed has raised, once all have ended.
    """
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="genesys-requests") as threads:
        sent = [threads.submit(request) for request in requests]
    return [one.result() for one in sent]


def below(store: ObjectStore, prefixes: Iterable[str]) -> dict[str, Stored]:
    """Return the objects below any of ``prefixes`` by their keys."""
    lists = at_once(*(partial(_list_of, store, prefix) for prefix in prefixes))
    return {stored.key: stored for found in lists for stored in found}


def _list_of(store: ObjectStore, prefix: str) -> list[Stored]:
    return list(store.list_objects(prefix))


LONGEST_KEY = 1024
"""Longest key that S3, Azure Blob and Google accept, in bytes of UTF-8."""


def check_prefix(prefix: str) -> None:
    """Raise :class:`ConfigurationError` if a prefix has a step or a character that some tools cannot handle."""
    steps = prefix.strip("/").split("/")
    if not prefix.isprintable() or {".", ".."} & set(steps) or ("" in steps and len(steps) > 1):
        raise ConfigurationError(
            f"The prefix {prefix!r} cannot be used for object keys: it has an empty step, a step '.' or '..', or a "
            "character that is not printable. Correct the prefix."
        )


def quoted(name: str) -> str:
    """Return ``name``, quoted so that any text is one step of a key."""
    # quote() does not quote dots, and some tools resolve "." and ".." as steps.
    return quote(name, safe="").replace(".", "%2E")


def is_below(key: str, folder: str) -> bool:
    """Whether ``key`` lies below ``folder``, which ends with a slash or is empty, for every tool that reads keys."""
    return key.startswith(folder) and not {"", ".", ".."} & set(key.removesuffix("/").split("/"))
