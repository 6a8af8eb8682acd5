"""A load that was begun and is not complete, as the ledger of its sink tells it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class UnfinishedLoad:
    """What is needed to take the load up: the fields of :class:`.base.Load`."""

    load_id: str
    export_id: str
    kind: str
    window_start: datetime
    window_end: datetime
    submitted_at: datetime
    contract: str
    run_id: str
    """The task of the last attempt: ``dag_id/run_id/task_id``."""
