"""Where a source is read from: position, proof of what lies before it, and the identity of what is read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from airflow_provider_genesys.cloud.exports.base import Walk


@dataclass(frozen=True)
class PagePlace:
    """Where in the pages of a job the next record is looked for."""

    job: int = 0
    """Place of the job among those that the export consists of."""
    ordinal: int = 0
    """Pages before this one, over all jobs."""
    first: int = 0
    """Ordinal of the job's first page."""
    cursor: str | None = None
    """What the page is asked for with; None for the first of a job."""
    before: str = ""
    """Digest of the ids on all pages of the job before this one."""
    index: int = 0
    """Records on the page before the next one."""
    digest: str = ""
    """Digest of their ids; empty where there are none."""


@dataclass(frozen=True)
class Position:
    """Where in a source the next record is looked for. All offsets are in bytes, from 0.

    ``record_offset`` counts in what is unpacked, all entries of a zip file one after another; of positions in one
    source, the greater lies further behind. To sinks that is all that a position says.

    In pages, it counts in their records, joined by commas, and ``page`` has the rest. A packed archive can only be
    entered where a member (of gzip or zip, a frame of Zstandard) starts: ``source_offset`` is that place in the
    archive, ``entry_offset`` the same place in what is unpacked. In a plain archive the three are equal.
    """

    record_offset: int = 0
    source_offset: int = 0
    entry_offset: int = 0
    packing: Literal["plain", "gzip", "zip", "zstd"] | None = None
    """How the archive is packed; None until its first bytes were seen."""
    shape: Literal["lines", "array"] | None = None
    """NDJSON or one JSON array, as the document is in which the position lies; None until its first byte was seen."""
    opener: str | None = None
    """What the records of an array begin with: anyone who goes on has to find them behind broken ones as before."""
    page: PagePlace | None = None
    """Where in the pages of a job; None in an archive."""


PROVEN = 16 * 1024
"""Bytes just before a position that its proof covers, where there are as many: a dozen records, no two alike."""


@dataclass(frozen=True)
class Proof:
    """Digest of the ``length`` unpacked bytes just before a position; compared before a resumed load commits."""

    length: int = 0
    sha256: str = ""

    @classmethod
    def of(cls, before: bytes | bytearray) -> Proof:
        """Return the proof of the position that comes just after the bytes ``before``."""
        tail = bytes(before[-PROVEN:])
        return cls(len(tail), hashlib.sha256(tail).hexdigest())

    def holds(self, before: bytes) -> bool:
        """Tell whether ``before`` are the very bytes that the proof is of."""
        return len(before) == self.length and hashlib.sha256(before).hexdigest() == self.sha256


@dataclass(frozen=True)
class Identity:
    """What is known of the source as a whole.

    Of an archive, what the object store said when the load began: ``length`` in bytes as stored (compressed), ``etag``
    as sent; None where the store sends none. Of pages, ``available_until``: to when Genesys had all data, ISO 8601 in
    UTC, at the worst of the pages read; None where it does not say. Of a listing, ``listing``.
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
    """Of the bytes just before it."""
    identity: Identity
    """What is known of the source, as far as it was read."""


class Start(Protocol):
    """Where a source is to be read from; a checkpoint is one."""

    @property
    def export_id(self) -> str:
        """The export that is read, for messages."""

    @property
    def position(self) -> Position:
        """The place of the first record that is wanted."""

    @property
    def proof(self) -> Proof:
        """Of the bytes just before it."""

    @property
    def source(self) -> Identity:
        """What an earlier reader learned of the source."""


def proven(chunks: Iterable[bytes], *, skip: int, length: int, check: Callable[[bytes], None]) -> Iterator[bytes]:
    """Drop ``skip`` bytes, give the next ``length`` bytes to ``check``, and yield those that follow.

    ``check`` raises where they are not those that were there before. It gets fewer bytes where the chunks end early.
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
