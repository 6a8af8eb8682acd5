"""How far a load has come: a position in the source, its proof, and the account up to it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import msgspec

from airflow_provider_genesys.exceptions import AccountError, CheckpointError
from airflow_provider_genesys.pipeline.column import Column
from airflow_provider_genesys.pipeline.drift import Drift

VERSION = 2
DIGEST_RANGE = 2**63
"""Digests are sums modulo this: what JSON readers and PostgreSQL's bigint can hold."""


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
    """What the records of an array begin with: whoever goes on has to find them behind broken ones as before."""
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
    UTC, at the worst of the pages read; None where it does not say.
    """

    length: int | None = None
    etag: str | None = None
    available_until: str | None = None


@dataclass(frozen=True)
class Counts:
    """The account. It closes when ``read == written + dead_letters + duplicates``."""

    read: int = 0
    written: int = 0
    dead_letters: int = 0
    duplicates: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.read + other.read,
            self.written + other.written,
            self.dead_letters + other.dead_letters,
            self.duplicates + other.duplicates,
        )

    def check(self, where: str) -> None:
        """Raise :class:`AccountError`, naming ``where``, unless the account closes."""
        if self.read != self.written + self.dead_letters + self.duplicates:
            raise AccountError(
                f"The account does not close at {where}: {self.read} records read, but {self.written} written, "
                f"{self.dead_letters} set aside and {self.duplicates} duplicates. Please report this as a bug."
            )


@dataclass(frozen=True)
class FailedBatch:
    """Records that the sink did not take though it was asked several times: where they lie, and why.

    Nothing of what the error says is kept but its class and code: a message may quote a row.
    """

    start: int
    """First byte in the unpacked source, as in :class:`Position`."""
    end: int
    """First byte after it."""
    records: int
    error: str
    """Class of the error, see :mod:`airflow_provider_genesys.exceptions`."""
    code: str | None
    """The sink's own name for it, e.g. an SQLSTATE; None where it has none."""
    run_id: str
    """Whose try it was: ``dag_id/run_id/task_id``."""
    failed_at: str
    """ISO 8601, UTC."""
    resolved: bool = False
    """Whether a later try has committed all of it."""


@dataclass(frozen=True)
class Checkpoint:
    """What a sink commits together with a batch, and what the next attempt continues from."""

    load_id: str
    export_id: str
    processed_at: str
    """ISO 8601, UTC. Fixed when the load first opens, so that whoever resumes or repeats it writes the same bytes."""
    first: int = 0
    """Where the load begins, in bytes: of a shard, the place in the archive from which it is the shard's."""
    position: Position = field(default_factory=Position)
    proof: Proof = field(default_factory=Proof)
    source: Identity = field(default_factory=Identity)
    counts: Counts = field(default_factory=Counts)
    digest: int = 0
    """Sum over the records read of the CRC-32 of (offset, id); of a dead letter its raw bytes stand for the id."""
    rules: dict[str, int] = field(default_factory=dict)
    """Dead letters by rule."""
    drift: list[Drift] = field(default_factory=list)
    """How records differ from the contract, in the order of their first occurrences."""
    evolved: list[Column] = field(default_factory=list)
    """Columns that the contract has got, or that have become optional, since the load began."""
    min_timestamp: str | None = None
    max_timestamp: str | None = None
    last_record_id: str | None = None
    committed_at: str | None = None
    failed_batches: list[FailedBatch] = field(default_factory=list)
    """The newest batches of this load that the sink did not take at first, in order."""
    fence: int = 0
    version: int = VERSION

    def to_json(self) -> str:
        """Serialise; the form is versioned."""
        return msgspec.json.encode(self).decode()

    def at(self, now: datetime, counts: Counts, *, where: str) -> Checkpoint:
        """Return this checkpoint committed at ``now`` with the account ``counts``, which must close."""
        counts.check(where)
        return replace(self, counts=counts, committed_at=now.isoformat())


def from_json(text: str | bytes | dict[str, Any], *, where: str) -> Checkpoint:
    """Read a checkpoint that :meth:`Checkpoint.to_json` wrote.

    :param text: JSON text, or the object as a database driver has already decoded it.
    :param where: the place that it was read from, for the error.
    :raises CheckpointError: it cannot be read, or was written by another version of this package.
    """
    try:
        value = text if isinstance(text, dict) else msgspec.json.decode(text)
        version = value["version"]
        if version == 1:
            value, version = _from_version_1(value), VERSION
        if version == VERSION:
            return msgspec.convert(value, Checkpoint)
    except (msgspec.DecodeError, AttributeError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"The checkpoint in {where} cannot be read ({error}). Clear the task with on_clear='restart' to load the "
            "export from its beginning."
        ) from error
    raise CheckpointError(
        f"The checkpoint in {where} has version {version}; this release reads up to {VERSION}. Finish the load "
        "with the release that began it, or clear the task with on_clear='restart'."
    )


def _from_version_1(value: dict[str, Any]) -> dict[str, Any]:
    """Version 1 counted unknown fields alone, by name."""
    drift = [{"field": name, "kind": "unknown", "count": count} for name, count in value["drift"].items()]
    return {**value, "drift": drift, "version": VERSION}
