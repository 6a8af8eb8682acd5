"""The least that is a sink: rows and checkpoint in lists, each batch committed at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, Counts
from airflow_provider_genesys.sinks.base import Batch, Load

NOW = datetime(2026, 11, 23, 3, tzinfo=timezone.utc)


class MemorySink:
    """Outlives a run: the next one goes on from its checkpoint."""

    cut_every = None
    processed_at = NOW.isoformat()

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.checkpoint: Checkpoint | None = None
        self.certificate: Certificate | None = None
        """Of a load that is complete."""
        self.aborted = False
        self._counts = Counts()

    def open(self, load: Load, *, restart: bool) -> Checkpoint | None:
        assert not restart, f"nobody asked for {load.load_id} to begin anew"
        return self.checkpoint

    def write(self, batch: Batch) -> Checkpoint:
        self.rows += batch.rows
        self._counts += Counts(batch.records, len(batch.rows), len(batch.dead_letters))
        self.checkpoint = batch.checkpoint.at(NOW, self._counts, where="memory")
        return self.checkpoint

    def finish(self, certificate: Certificate) -> Certificate:
        self.certificate = replace(certificate, counts=self._counts)
        return self.certificate

    def keep(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint

    def abort(self) -> None:
        self.aborted = True
