"""What every checkpoint store promises to a sink that has no ledger.

Such a sink cannot commit data and checkpoint together. It sends the records first and commits the checkpoint after
them. If it crashes between the two, the next attempt sends the same records again: delivery is at-least-once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint

State = Literal["loading", "complete"]


@dataclass(frozen=True)
class Key:
    """One shard of one load into one target. Each has its own checkpoint."""

    load_id: str
    target: str
    """Where the load goes, e.g. a queue's URL without credentials."""
    shard: int = 0

    def __str__(self) -> str:
        return f"{self.load_id}/{self.shard:05d}/{self.target}"


@dataclass(frozen=True)
class Claim:
    """What the store returns to an attempt that claims a load. The attempt shows it with each write."""

    key: Key
    export_id: str
    fence: int
    """Greater than the fence of every earlier claim that the store remembers."""
    attempt: str
    """Random. A store that lost a confirmed write may give the same fence twice; this keeps the two claims apart."""
    attempts: int
    """How often the load was claimed since it began: 1 for the first attempt, 2 after one resume."""
    checkpoint: Checkpoint | None
    """Where to continue; None to start from the beginning."""
    processed_at: str | None
    """``processed_at`` of this export's first checkpoint, even if the load starts again; None before there is one."""


class CheckpointStore(Protocol):
    """A durable place for checkpoints. One store serves one attempt; it connects when it is first used."""

    def claim(self, key: Key, export_id: str, *, restart: bool) -> Claim:
        """Take a new fence and return where to continue. From now on every earlier claim of ``key`` is refused.

        The load starts from the beginning if ``restart`` is set, if the store has no entry, if the entry is of another
        export, or if that load is already complete.

        :raises CheckpointError: the entry cannot be read, has another version, or belongs to another load. No fence
            is taken.
        :raises SinkRefusedError: wrong credentials, no such table, or a store that may evict checkpoints.
        :raises SinkUnavailableError: the store cannot be reached.
        """

    def commit(self, claim: Claim, checkpoint: Checkpoint) -> Checkpoint:
        """Store ``checkpoint`` as the one to continue from. Return it with the claim's fence.

        If the store's response is lost, the request is sent again. When this returns, the checkpoint is stored.

        :raises FencedError: a newer attempt has claimed the load; nothing was written.
        :raises CheckpointError: the checkpoint is of another load or export than the claim.
        :raises SinkUnavailableError: the store cannot be reached, or has lost the claim.
        """

    def complete(self, claim: Claim, certificate: Certificate) -> None:
        """Mark the load complete. Errors as for :meth:`commit`."""

    def close(self) -> None:
        """Close the connection. Never raises."""
