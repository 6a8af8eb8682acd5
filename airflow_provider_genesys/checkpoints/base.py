"""What every checkpoint store promises to a sink that has no ledger.

Such a sink cannot commit data and checkpoint together: it sends first and commits the checkpoint then. A crash between
the two sends the same records again, so the promise is at-least-once, never less.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint

State = Literal["loading", "complete"]


@dataclass(frozen=True)
class Key:
    """One shard of one load into one target: what has a separate checkpoint."""

    load_id: str
    target: str
    """Where the load goes, e.g. a queue's URL without credentials."""
    shard: int = 0

    def __str__(self) -> str:
        return f"{self.load_id}/{self.shard:05d}/{self.target}"


@dataclass(frozen=True)
class Claim:
    """What an attempt gets when it claims a load, and shows with everything that it writes."""

    key: Key
    export_id: str
    fence: int
    """Greater than that of every earlier claim that the store remembers."""
    attempt: str
    """Random: tells this claim from another of the same fence, after a store has lost what it had confirmed."""
    attempts: int
    """How often the load was claimed since it began: 1, and one more for each resume."""
    state: State | None
    """What the store held before; None where it held nothing."""
    checkpoint: Checkpoint | None
    """Where to continue; None to begin."""
    processed_at: str | None
    """That of the same export's first checkpoint, whether it is continued or not; None before there is one."""


class CheckpointStore(Protocol):
    """A durable place for checkpoints. One store serves one attempt; it connects when it is first used."""

    def claim(self, key: Key, export_id: str, *, restart: bool) -> Claim:
        """Take a new fence: from now on every earlier claim of ``key`` is refused. Tell where to continue.

        There is nothing to continue when ``restart`` is set, when the store holds nothing, when what it holds is of
        another export, or when that load is complete already.

        :raises CheckpointError: what the store holds cannot be read, is of another version, or belongs to another
            load. The fence is not taken then.
        :raises SinkRefusedError: wrong credentials, no such table, a store that throws checkpoints away.
        :raises SinkUnavailableError: the store cannot be reached.
        """

    def commit(self, claim: Claim, checkpoint: Checkpoint) -> Checkpoint:
        """Make ``checkpoint`` the one to continue from, and return it with the claim's fence.

        When the answer of the store is lost, it is asked again: whether this returns says whether it is stored.

        :raises FencedError: a newer attempt has claimed the load; nothing was written.
        :raises CheckpointError: the checkpoint is of another load or export than the claim.
        :raises SinkUnavailableError: the store cannot be reached, or has lost the claim.
        """

    def complete(self, claim: Claim, certificate: Certificate) -> None:
        """Mark the load complete. Errors as for :meth:`commit`."""

    def close(self) -> None:
        """Let go of the connection. Never raises."""
