"""A sink that takes everything and keeps nothing: what is left is the cost of the pipeline itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, Counts
from airflow_provider_genesys.sinks.base import Batch, Load


class NullSink:
    """Counts. A checkpoint is committed with every batch, as by PostgreSQL."""

    cut_every: int | None = None
    processed_at: str | None = None

    def __init__(self) -> None:
        self._counts = Counts()

    def open(self, load: Load, *, restart: bool) -> Checkpoint | None:  # noqa: ARG002 - there is nothing to open
        """Begin."""
        return None

    def write(self, batch: Batch) -> Checkpoint:
        """Count the batch."""
        rows, letters = len(batch.rows), len(batch.dead_letters)
        self._counts += Counts(rows + letters, rows, letters)
        return replace(batch.checkpoint, counts=self._counts, committed_at=datetime.now(timezone.utc).isoformat())

    def finish(self, certificate: Certificate) -> Certificate:
        """End."""
        return certificate.accounted(self._counts)

    def abort(self) -> None:
        """Let go of nothing."""
