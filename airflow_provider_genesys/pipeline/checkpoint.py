"""How far a load has come: a position in the source, its proof, and the account up to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import msgspec

from airflow_provider_genesys.contracts.column import Column
from airflow_provider_genesys.contracts.drift import Drift
from airflow_provider_genesys.exceptions import AccountError, CheckpointError
from airflow_provider_genesys.resolved import resolved
from airflow_provider_genesys.source.position import Identity, Position, Proof

VERSION = 2

DIGEST_RANGE = 2**63
"""Digests are sums modulo this, so that JSON readers and PostgreSQL's bigint can hold them."""


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
                f"{self.dead_letters} rejected and {self.duplicates} duplicates. Please report this as a bug."
            )


@resolved
@dataclass(frozen=True)
class Checkpoint:
    """What a sink commits together with a batch, and what the next attempt continues from."""

    load_id: str
    export_id: str
    processed_at: str
    """ISO 8601, UTC. Set when the load is first opened and then kept, so that every attempt writes the same bytes."""
    first: int = 0
    """Offset in bytes at which the load begins: 0, or the first byte of the shard."""
    position: Position = field(default_factory=Position)
    proof: Proof = field(default_factory=Proof)
    source: Identity = field(default_factory=Identity)
    counts: Counts = field(default_factory=Counts)
    digest: int = 0
    """Sum of the CRC-32 of (offset, id) of each record read. A rejected record counts with its raw bytes as its id."""
    rules: dict[str, int] = field(default_factory=dict)
    """Dead letters by rule."""
    drift: list[Drift] = field(default_factory=list)
    """How records differ from the contract, in the order of their first occurrences."""
    evolved: list[Column] = field(default_factory=list)
    """Columns that were added, or became optional, since the load began."""
    unused: list[str] | None = None
    """Paths of the contract at which no record so far has a value; None if no record was read."""
    min_timestamp: str | None = None
    max_timestamp: str | None = None
    last_record_id: str | None = None
    committed_at: str | None = None
    read_share: float | None = None
    """See :attr:`.position.Place.share`."""
    media_bytes: int = 0
    """Bytes of media that were fetched for the records so far."""
    fence: int = 0
    version: int = VERSION

    def to_json(self) -> str:
        """Serialise, with the version of the format."""
        return msgspec.json.encode(self).decode()

    def share(self, expected: object = None) -> float | None:
        """Return what part of the source is read, 0 to 1; None if that is not known.

        :param expected: how many records Genesys reports, if it does.
        """
        position, length, listing = self.position, self.source.length, self.source.listing
        if length and not position.page and position.packing in ("plain", None):
            return min(max(position.record_offset, position.source_offset) / length, 1.0)
        records = expected if isinstance(expected, int) else listing and listing.total
        return min(self.counts.read / records, 1.0) if records else self.read_share

    def at(self, now: datetime, counts: Counts, *, where: str) -> Checkpoint:
        """Return this checkpoint committed at ``now`` with the account ``counts``, which must close."""
        counts.check(where)
        return replace(self, counts=counts, committed_at=now.isoformat())


def from_json(text: str | bytes | dict[str, Any], *, where: str) -> Checkpoint:
    """Read a checkpoint that :meth:`Checkpoint.to_json` wrote. Unknown fields are ignored.

    :param text: JSON text, or the object that a database driver decoded from it.
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
    """Version 1 counted only unknown fields, by name."""
    drift = [{"field": name, "kind": "unknown", "count": count} for name, count in value["drift"].items()]
    return {**value, "drift": drift, "version": VERSION}
