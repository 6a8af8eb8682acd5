"""How long an archive has been out of reach, and how long to pause before the next attempt."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timezone


@dataclass(frozen=True)
class Outage:
    """A time without progress.

    :param began: the last progress that is known of, aware.
    """

    began: datetime

    def after(self, committed_at: str | None) -> Outage:
        """Return the outage as it is when the newest checkpoint is of ``committed_at`` (ISO 8601)."""
        return self if committed_at is None else Outage(max(self.began, datetime.fromisoformat(committed_at)))

    @property
    def seconds(self) -> float:
        """How long it has lasted."""
        return (datetime.now(timezone.utc) - self.began).total_seconds()

    def pause(self, least: float, most: float) -> float:
        """Return the seconds to pause: half of what the outage has lasted, within bounds, with jitter."""
        return min(max(self.seconds / 2, least), most) * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
