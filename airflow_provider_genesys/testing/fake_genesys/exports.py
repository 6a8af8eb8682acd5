"""An export job and its way through the states."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

from airflow_provider_genesys.testing.fake_genesys.archive import Archive
from airflow_provider_genesys.testing.fake_genesys.settings import Settings
from airflow_provider_genesys.testing.fake_genesys.stored import GivenArchive, StoredArchive

QUEUED_SHARE = 0.2
"""Share of a job's time that it waits before it runs."""


@dataclass
class Export:
    """One export job. Set ``outcome`` at any time to decide how it ends, or what happened to it later."""

    archive: Archive
    settings: Settings
    outcome: str
    submitted: datetime
    stored: StoredArchive | GivenArchive | None = None
    """Its file; None if it is written on the fly."""
    id: str = field(default_factory=lambda: str(uuid4()))
    looks: int = 0
    """Number of requests for its status."""
    _born: float = field(default_factory=time.monotonic)
    _cancelled: bool = False

    @property
    def delivered(self) -> Archive | StoredArchive | GivenArchive:
        """The file as it is delivered."""
        return self.stored or self.archive

    @property
    def records(self) -> int | None:
        """Number of records; None if a test decides the content."""
        return None if isinstance(self.stored, GivenArchive) else self.archive.records

    @property
    def compressed(self) -> bool:
        """Whether the file is a gzip."""
        return self.stored is not None and self.stored.compression is not None

    @property
    def path(self) -> str:
        """Path of the file on the object store."""
        extension = "ndjson" if self.archive.file_format == "ndjson" else "json"
        return f"/archive/{self.id}.{extension}{'.gz' if self.compressed else ''}"

    @property
    def progress(self) -> float:
        """How much is done, from 0 to 1; below 1 while the file is not written."""
        if self.settings.job_polls is not None:
            done = self.looks / max(1, self.settings.job_polls) if self.settings.job_polls else 1
        else:
            age = time.monotonic() - self._born
            done = age / self.settings.job_seconds if self.settings.job_seconds else 1
        return min(done, 1) if self.stored is None or self.stored.ready else min(done, 0.99)

    @property
    def status(self) -> str:
        """QUEUED, RUNNING, and then its outcome."""
        if self._cancelled:
            return "CANCELLED"
        if self.progress >= 1:
            return self.outcome
        return "QUEUED" if self.progress < QUEUED_SHARE else "RUNNING"

    def cancel(self) -> None:
        """Cancel it, unless it has ended."""
        self._cancelled = self._cancelled or self.progress < 1
