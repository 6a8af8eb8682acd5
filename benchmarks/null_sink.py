"""Sinks that keep nothing: what is left is the cost of the pipeline itself, or of one thing added to it."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime, timezone

from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, Counts
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.sinks.objects.ndjson import BLOCK, GzipLines


class NullSink:
    """Counts. A checkpoint is committed with every batch, as by PostgreSQL.

    :param start: what ``open`` returns.
    """

    cut_every: int | None = None
    processed_at: str | None = None

    def __init__(self, start: Checkpoint | None = None) -> None:
        self._start = start
        self._counts = start.counts if start else Counts()

    def open(self, load: Load, *, restart: bool) -> Checkpoint | None:  # noqa: ARG002 - there is nothing to open
        """Begin."""
        return self._start

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


class PackingSink(NullSink):
    """Encodes and packs as the object-store sinks do, and throws away what comes out."""

    align_every: int | None = BLOCK
    pack_every: int | None = None

    def open(self, load: Load, *, restart: bool) -> Checkpoint | None:
        """Begin."""
        self._rows = GzipLines(load.contract)
        return super().open(load, restart=restart)

    def write(self, batch: Batch) -> Checkpoint:
        """Encode, pack and count the batch."""
        self._rows.pack(batch)
        return super().write(batch)


class SlowSink(NullSink):
    """Takes so many bytes of the source a second.

    :param rate: bytes a second.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self._rate = rate

    def write(self, batch: Batch) -> Checkpoint:
        """Take the batch's time."""
        time.sleep((batch.end - batch.start) / self._rate)
        return super().write(batch)
