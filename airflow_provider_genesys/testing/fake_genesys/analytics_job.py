"""An analytics job and its way through the states."""

from __future__ import annotations

import base64
import binascii
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

import msgspec

from airflow_provider_genesys.testing.fake_genesys.settings import Settings
from airflow_provider_genesys.times import now

RESULTS_LAST = timedelta(days=1)
"""How long results are kept; Genesys says it in ``expirationDate``."""

_OUTCOMES = {"COMPLETED": "FULFILLED"}


@dataclass
class AnalyticsJob:
    """One job. Set ``outcome`` at any time to decide how it ends, or what happened to it later.

    :param numbers: of the records that it found.
    :param render: returns a record by its number, as JSON.
    """

    kind: str
    numbers: array[int]
    render: Callable[[int], bytes]
    settings: Settings
    outcome: str
    id: str = field(default_factory=lambda: str(uuid4()))
    submitted: datetime = field(default_factory=now)
    looks: int = 0
    """Number of requests for its state."""
    page_size: int | None = None
    """Records in a page, if the job's request named a number."""
    cursors: int = 0
    """The generation of valid cursors."""
    _born: float = field(default_factory=time.monotonic)
    _cancelled: bool = False

    @property
    def state(self) -> str:
        """QUEUED, PENDING, and then its outcome."""
        if self._cancelled:
            return "CANCELLED"
        if self._progress >= 1:
            return _OUTCOMES.get(self.outcome, self.outcome)
        return "QUEUED" if self._progress < 0.2 else "PENDING"  # noqa: PLR2004 - a fifth of its time

    def cancel(self) -> None:
        """Cancel it, unless it has ended."""
        self._cancelled = self._cancelled or self._progress < 1

    def cursor(self, offset: int) -> str:
        """Return the cursor of the page that begins with record ``offset``."""
        return base64.b64encode(msgspec.json.encode([self.id, self.cursors, offset])).decode()

    def offset(self, cursor: str) -> int | None:
        """Return the record that a cursor represents; None if the cursor is not valid."""
        try:
            job, generation, offset = msgspec.json.decode(base64.b64decode(cursor, validate=True))
        except (binascii.Error, ValueError, TypeError, msgspec.DecodeError):
            return None
        return offset if (job, generation) == (self.id, self.cursors) else None

    @property
    def _progress(self) -> float:
        polls, seconds = self.settings.job_polls, self.settings.job_seconds
        if polls is not None:
            return min(1.0, self.looks / polls) if polls else 1.0
        return min(1.0, (time.monotonic() - self._born) / seconds) if seconds else 1.0
