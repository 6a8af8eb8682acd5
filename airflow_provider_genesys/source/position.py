"""Where to read a source: a position, the proof of the bytes before it, and the identity of the source."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from airflow_provider_genesys.cloud.exports.base import Walk
from airflow_provider_genesys.resolved import resolved


@dataclass(frozen=True)
class PagePlace:
    """Where in the pages of a job the next record is."""

    job: int = 0
    """Place of the job in the export, from 0."""
    ordinal: int = 0
    """Number of pages before this one, over all jobs."""
    first: int = 0
    """Ordinal of the job's first page."""
    cursor: str | None = None
    """Cursor to ask for the page; None for the first page of a job."""
    before: str = ""
    """Digest of the ids on all pages of the job before this one."""
    index: int = 0
    """Number of records on the page before the next record."""
    digest: str = ""
    """Digest of the ids of these ``index`` records; empty if there are none."""


@dataclass(frozen=True)
class Position:
    """Where in a source the next record is. All offsets are in bytes, from 0.

    ``record_offset`` counts unpacked bytes, through all entries of a zip file. Positions of one source can be compared:
    the greater one comes later. Sinks use nothing else of a position.

    In pages, it counts the bytes of their records, joined by commas, and ``page`` has the rest. A packed archive can
    only be entered where a member starts: a member of gzip or zip, or a frame of Zstandard. ``source_offset`` is that
    place in the archive, ``entry_offset`` the same place in the unpacked bytes. In a plain archive the three are equal.
    """

    record_offset: int = 0
    source_offset: int = 0
    entry_offset: int = 0
    packing: Literal["plain", "gzip", "zip", "zstd"] | None = None
    """Packing of the archive; None until its first bytes were seen."""
    shape: Literal["lines", "array"] | None = None
    """Shape of the document at the position: NDJSON or one JSON array. None until its first byte was seen."""
    opener: str | None = None
    """What the records of an array begin with. A resumed load needs it to find the same records after broken ones."""
    page: PagePlace | None = None
    """The place in the pages of a job; None in an archive."""


PROVEN = 16 * 1024
"""A proof covers this many bytes before a position, or fewer at the beginning: about a dozen different records."""


@dataclass(frozen=True)
class Proof:
    """Digest of the ``length`` unpacked bytes just before a position. A resumed load compares it before it commits."""

    length: int = 0
    sha256: str = ""

    @classmethod
    def of(cls, before: bytes | bytearray) -> Proof:
        """Return the proof of the position just after the bytes ``before``."""
        tail = bytes(before[-PROVEN:])
        return cls(len(tail), hashlib.sha256(tail).hexdigest())

    def holds(self, before: bytes) -> bool:
        """Return whether ``before`` are exactly the bytes of this proof."""
        return len(before) == self.length and hashlib.sha256(before).hexdigest() == self.sha256


@resolved
@dataclass(frozen=True)
class Identity:
    """What is known of the source as a whole.

    An archive has what the object store said when the load began: ``length`` in bytes as stored (compressed) and
    ``etag`` as sent; None if the store sends none. Pages have ``available_until``: the earliest time of the pages read
    up to which Genesys had all data, ISO 8601 in UTC; None if it does not say. A listing has ``listing``.
    """

    length: int | None = None
    etag: str | None = None
    available_until: str | None = None
    listing: Walk | None = None


@dataclass(frozen=True)
class Place:
    """A place from which a load can continue."""

    position: Position
    proof: Proof
    """Proof of the bytes just before it."""
    identity: Identity
    """What is known of the source so far."""
    share: float | None = None
    """What part of a packed archive, or of an export's jobs, is before it, 0 to 1; None if that is not known."""
    media_bytes: int = 0
    """Bytes of media that were fetched for the records since the place before."""


class Start(Protocol):
    """Where to start reading a source. A checkpoint is one."""

    @property
    def export_id(self) -> str:
        """The export that is read, for messages."""

    @property
    def position(self) -> Position:
        """The place of the first record to read."""

    @property
    def proof(self) -> Proof:
        """Proof of the bytes just before it."""

    @property
    def source(self) -> Identity:
        """What an earlier reader learned of the source."""


def proven(chunks: Iterable[bytes], *, skip: int, length: int, check: Callable[[bytes], None]) -> Iterator[bytes]:
    """Drop ``skip`` bytes, give the next ``length`` bytes to ``check``, and yield those that follow.

    ``check`` raises if they are not the same bytes as before. It gets fewer bytes if the chunks end early.
    """
    before, due = b"", length > 0
    for chunk in chunks:
        rest = chunk[skip:]
        skip = max(0, skip - len(chunk))
        if due:
            need = length - len(before)
            before, rest = before + rest[:need], rest[need:]
            if len(before) == length:
                check(before)
                due = False
        if rest:
            yield rest
    if due or skip:
        check(before)
