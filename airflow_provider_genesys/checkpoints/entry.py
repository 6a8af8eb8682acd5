"""What a store holds for one load: a flat record of texts. A person can read it with the store's own tools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import msgspec

from airflow_provider_genesys.checkpoints.base import Claim, Key, State
from airflow_provider_genesys.exceptions import CheckpointError
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, from_json
from airflow_provider_genesys.pipeline.load import Previous, continues
from airflow_provider_genesys.resolved import resolved
from airflow_provider_genesys.times import now

VERSION = 1
NUMBERS = frozenset({"shard", "revision", "fence", "attempts", "version"})


@resolved
@dataclass(frozen=True)
class CheckpointEntry:
    """State of one shard of one load. ``checkpoint`` and ``certificate`` are JSON."""

    load_id: str
    target: str
    shard: int
    export_id: str
    revision: int
    """Grows by 1 with each write. A write names the revision that it replaces."""
    fence: int
    attempt: str
    attempts: int = 1
    state: State = "loading"
    processed_at: str | None = None
    checkpoint: str | None = None
    certificate: str | None = None
    written_at: str | None = None
    version: int = VERSION

    def to_fields(self) -> dict[str, str]:
        """Return every field as text; None becomes the empty text."""
        return {name: "" if value is None else str(value) for name, value in asdict(self).items()}

    def changed(self, **changes: Any) -> CheckpointEntry:
        """Return the next revision of this entry."""
        return replace(self, revision=self.revision + 1, written_at=now().isoformat(), **changes)

    def claimed(self, export_id: str, attempt: str, *, restart: bool) -> CheckpointEntry:
        """Return the entry with which an attempt takes over. It continues from the checkpoint or starts again."""
        taken = self.changed(fence=self.fence + 1, attempt=attempt)
        if continues(Previous(self.export_id, self.state, self.checkpoint), export_id, restart=restart):
            return replace(taken, attempts=self.attempts + 1)
        return replace(
            taken,
            export_id=export_id,
            attempts=1,
            state="loading",
            processed_at=self.processed_at if self.export_id == export_id else None,
            checkpoint=None,
            certificate=None,
        )

    def claim(self, where: str) -> Claim:
        """Return the claim for the attempt that wrote this entry.

        :raises CheckpointError: the checkpoint cannot be read, or belongs to another load or export.
        """
        key = Key(self.load_id, self.target, self.shard)
        checkpoint = self._read(where) if self.checkpoint else None
        return Claim(key, self.export_id, self.fence, self.attempt, self.attempts, checkpoint, self.processed_at)

    def _read(self, where: str) -> Checkpoint:
        checkpoint = from_json(self.checkpoint or "", where=where)
        if (checkpoint.load_id, checkpoint.export_id) != (self.load_id, self.export_id):
            raise CheckpointError(
                f"The checkpoint in {where} is of export {checkpoint.export_id}, load {checkpoint.load_id}, but it is "
                f"kept for export {self.export_id}, load {self.load_id}. Something else writes there: find it, then "
                "clear the task with on_clear='restart'."
            )
        return replace(checkpoint, fence=self.fence)


def first_entry(key: Key, export_id: str, attempt: str) -> CheckpointEntry:
    """Return the first entry of a load."""
    return CheckpointEntry(key.load_id, key.target, key.shard, export_id, 0, 1, attempt).changed()


def from_fields(fields: Mapping[str, str], key: Key, where: str) -> CheckpointEntry:
    """Read an entry that :meth:`CheckpointEntry.to_fields` wrote.

    :raises CheckpointError: it is not an entry, has another version, or is of another load.
    """
    version = fields.get("version")
    if version is not None and version != str(VERSION):
        raise CheckpointError(
            f"The entry in {where} has version {version}; this release reads version {VERSION}. Finish the load with "
            "the release that began it, or delete the entry to load the window from its beginning."
        )
    try:
        entry = msgspec.convert({name: value for name, value in fields.items() if value}, CheckpointEntry, strict=False)
    except msgspec.ValidationError as error:
        raise CheckpointError(
            f"The entry in {where} cannot be read ({error}). Make sure that nothing else writes there; then delete it "
            "to load the window from its beginning."
        ) from error
    if (entry.load_id, entry.target, entry.shard) != (key.load_id, key.target, key.shard):
        raise CheckpointError(
            f"The entry in {where} belongs to load {entry.load_id}, shard {entry.shard}, into {entry.target}. "
            "Something else writes there: find it, then delete the entry to load the window from its beginning."
        )
    return entry
