"""Where the time of a load goes."""

from __future__ import annotations

import time
from typing import Literal

Phase = Literal["source", "contract", "sink"]
"""Waiting for whole records, download and unpacking included · reading them by the contract · the sink's writes."""


class Phases:
    """Adds up seconds by phase; two readings of a clock for each batch and phase, none for a record."""

    def __init__(self) -> None:
        self._seconds: dict[Phase, float] = {"source": 0.0, "contract": 0.0, "sink": 0.0}
        self._since = time.perf_counter()

    def ended(self, phase: Phase) -> None:
        """Say that the time since the last call went into ``phase``."""
        now = time.perf_counter()
        self._seconds[phase] += now - self._since
        self._since = now

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by phase."""
        return {phase: round(seconds, 3) for phase, seconds in self._seconds.items()}
