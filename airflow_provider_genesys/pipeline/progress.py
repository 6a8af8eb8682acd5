"""The log of a load while it runs: one line every few seconds."""

from __future__ import annotations

import logging
import time
from typing import Literal

from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.pipeline.memory import peak_memory_mb
from airflow_provider_genesys.times import now

log = logging.getLogger(__name__)

FIRST, EVERY = 1.0, 5.0
"""Seconds before the first line, and between two."""


class Progress:
    """Logs the progress of a load.

    The first line comes after a second, so that a person soon sees that it runs; later ones every 5 seconds.

    :param start: the checkpoint that the attempt continues from.
    :param expected: how many records Genesys reports; None if it does not.
    """

    def __init__(self, start: Checkpoint, expected: int | None = None) -> None:
        self._expected = expected
        self._began = self._logged = time.monotonic()
        self.started_at = now().isoformat()
        """The same moment, ISO 8601."""
        self._start = start
        self._pause = FIRST

    @property
    def seconds(self) -> float:
        """Seconds since this attempt began."""
        return time.monotonic() - self._began

    def committed(self, checkpoint: Checkpoint) -> None:
        """Log a line, if the last one is old enough."""
        if time.monotonic() - self._logged >= self._pause:
            self._logged, self._pause = time.monotonic(), EVERY
            log.info(self.line(checkpoint))

    def line(self, checkpoint: Checkpoint) -> str:
        """Return the line for ``checkpoint``."""
        seconds = max(self.seconds, 1e-9)
        done = _bytes(checkpoint) - _bytes(self._start)
        records = checkpoint.counts.read - self._start.counts.read
        parts = [
            f"{checkpoint.counts.read:,} records",
            f"{checkpoint.counts.dead_letters:,} rejected",
            f"{done / seconds / 1e6:.1f} MB/s",
            f"{records / seconds:,.0f} records/s",
            f"peak memory {peak_memory_mb():.0f} MB",
        ]
        share, before = (one.share(self._expected) for one in (checkpoint, self._start))
        if share is not None:
            length = checkpoint.source.length
            parts.insert(0, f"{100 * share:.0f} %{f' of {length / 1e6:,.1f} MB' if length else ''}")
            gained = share - (before or 0.0)
            if gained > 0:
                parts.append(f"{seconds * (1 - share) / gained:.0f} s left")
        return f"Export {checkpoint.export_id}: {', '.join(parts)}"


def _bytes(checkpoint: Checkpoint) -> int:
    return checkpoint.position.record_offset + checkpoint.media_bytes


Phase = Literal["source", "contract", "sink"]
"""Waiting for whole records, download and unpacking included · reading them by the contract · the sink's writes."""


class Phases:
    """Adds up the seconds of each phase. The clock is read once per batch and phase, never per record."""

    def __init__(self) -> None:
        self._seconds: dict[Phase, float] = {"source": 0.0, "contract": 0.0, "sink": 0.0}
        self._since = time.perf_counter()

    def ended(self, phase: Phase) -> None:
        """Count the time since the last call as ``phase``."""
        at = time.perf_counter()
        self._seconds[phase] += at - self._since
        self._since = at

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by phase."""
        return {phase: round(seconds, 3) for phase, seconds in self._seconds.items()}
