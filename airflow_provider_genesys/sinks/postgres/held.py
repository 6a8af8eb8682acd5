"""What the ledger's row of a load says when an attempt claims it, and when a batch begins."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, Counts
from airflow_provider_genesys.source.position import Position


@dataclass
class Claim:
    """What an attempt gets when it opens the load."""

    fence: int
    attempts: int
    begun_at: datetime
    """When the load began: opened for the first time, or again with nothing to continue."""
    submitted_at: datetime | None
    """When the export was requested, according to the ledger."""
    checkpoint: Checkpoint | None = None
    processed_at: str | None = None


@dataclass(frozen=True)
class HeldRow:
    """The row's values when a batch begins."""

    checkpoint: Checkpoint | None
    taken_over: dict[str, int]
    """By source (``export_id/shard``): number of its rows that this load has replaced so far."""
    complete: bool
    overtaken: bool
    """Whether loads that may be newer have replaced windows of the same target."""
    now: datetime
    """When the transaction began, by the server's clock: its ``now()``."""
    child_rows: Counter[str]
    """By child: how many rows of its table this load has written and not replaced itself."""

    @property
    def position(self) -> Position | None:
        """The place of the checkpoint."""
        return self.checkpoint.position if self.checkpoint else None

    @property
    def counts(self) -> Counts:
        """The account up to the checkpoint."""
        return self.checkpoint.counts if self.checkpoint else Counts()
