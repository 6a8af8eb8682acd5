"""A recording job: its query, and its way through the states."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import uuid4

import msgspec

from airflow_provider_genesys.testing.fake_genesys.analytics_query import ConversationQuery
from airflow_provider_genesys.testing.fake_genesys.recorded import Recorded
from airflow_provider_genesys.testing.fake_genesys.settings import Settings
from airflow_provider_genesys.times import now

_OUTCOMES = {"COMPLETED": "FULFILLED"}


class RecordingJobsQuery(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Genesys' ``RecordingJobsQuery``."""

    action: Literal["ARCHIVE", "DELETE", "EXPORT"]
    action_date: str | None = None
    action_age: int | None = None
    screen_recording_action_date: str | None = None
    screen_recording_action_age: int | None = None
    integration_id: str | None = None
    include_recordings_with_sensitive_data: bool = False
    include_screen_recordings: bool = True
    include_policy_based_recordings: bool = True
    include_snippet_recordings: bool = True
    clear_export: bool = False
    conversation_query: ConversationQuery | None = None
    aged_conversation_interval: str | None = None


@dataclass
class RecordingJob:
    """One recording job. Set ``outcome`` at any time to decide how it ends; ``mine`` False makes it another client's.

    :param query: as it was asked for.
    :param recordings: that it is about.
    :param exported: ids of all recordings that were exported before; those are skipped, and others are added.
    """

    query: dict[str, Any]
    recordings: Sequence[Recorded]
    conversations: int
    exported: set[str]
    settings: Settings
    outcome: str
    mine: bool = True
    id: str = field(default_factory=lambda: str(uuid4()))
    created: datetime = field(default_factory=now)
    looks: int = 0
    """How often its state was asked for since it began, or began to process."""
    skipped: int = 0
    failed: list[Recorded] = field(default_factory=list)
    _since: float = field(default_factory=time.monotonic)
    _processing: bool = False
    _cancelled: bool = False

    @property
    def state(self) -> str:
        """PENDING, READY; after the request to start: PROCESSING, and then its outcome."""
        if self._cancelled:
            return "CANCELLED"
        if not self._processing:
            return "PENDING" if self.progress < 1 else "READY"
        return "PROCESSING" if self.progress < 1 else _OUTCOMES.get(self.outcome, self.outcome)

    @property
    def progress(self) -> float:
        """Progress of its current phase, from 0 to 1."""
        polls, seconds = self.settings.job_polls, self.settings.job_seconds
        if polls is not None:
            return min(1.0, self.looks / polls) if polls else 1.0
        return min(1.0, (time.monotonic() - self._since) / seconds) if seconds else 1.0

    def process(self) -> None:
        """Begin to export."""
        new = [one for one in self.recordings if one.id not in self.exported]
        self.skipped = len(self.recordings) - len(new)
        self.failed = new[: self.settings.failed_recordings]
        self.exported.update(one.id for one in new[len(self.failed) :])
        self._processing, self.looks, self._since = True, 0, time.monotonic()

    def cancel(self) -> bool:
        """Cancel it; return False if it has ended."""
        ended = self.state not in {"PENDING", "READY", "PROCESSING"}
        self._cancelled = self._cancelled or not ended
        return not ended

    def body(self) -> dict[str, Any]:
        """Return Genesys' ``RecordingJob``."""
        counted = {
            "totalConversations": self.conversations,
            "totalRecordings": len(self.recordings),
            "totalSkippedRecordings": self.skipped,
            "totalFailedRecordings": len(self.failed),
            "totalProcessedRecordings": len(self.recordings) - self.skipped - len(self.failed),
        }
        state = self.state
        created = self.created.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        processed = self._processing and self.progress >= 1
        return {
            "id": self.id,
            "user": {"id": "00000000-0000-4000-a000-000000000001"},
            "state": state,
            "recordingJobsQuery": self.query,
            **({"dateCreated": created} if self.settings.tells_submission else {}),
            **(counted if processed else {"totalRecordings": len(self.recordings)}),
            "percentProgress": int(100 * self.progress) if self._processing else 0,
            **({"errorMessage": "The job failed."} if state == "FAILED" else {}),
            "failedRecordings": f"/api/v2/recording/jobs/{self.id}/failedrecordings",
            "selfUri": f"/api/v2/recording/jobs/{self.id}",
        }
