"""Counts that both details and aggregates give, so that they can be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.times import parse_time
from airflow_provider_genesys.window import Window

BEGAN = "nConversations"
"""Counted when a conversation begins, once per media type."""
EMITTED = ("nOffered", "nConnected", "nOutbound", "nTransferred", "tAcw")
"""Metrics of sessions. Each counts at the time it was emitted, not when its conversation began."""
LOOK_BACK = timedelta(days=7)
"""A conversation that began at most this long before the window may have metrics that count in it."""
FIELDS = ("conversationId", "conversationStart", "originatingDirection", "divisionIds", "participants")
"""What is read of a conversation."""


class Cell(NamedTuple):
    """What one count is of. ``direction`` is the one in which the conversation began."""

    metric: str
    direction: str
    media_type: str


@dataclass
class Tally:
    """The counts of one window.

    :param earlier: how many conversations the sink holds that began in :data:`LOOK_BACK` before it.
    """

    cells: Counter[Cell] = field(default_factory=Counter)
    divisions: Counter[str] = field(default_factory=Counter)
    """Conversations that began in the window, by division. One with several divisions counts in each."""
    earlier: int = 0

    def add(self, conversation: Mapping[str, Any], window: Window) -> None:
        """Count one conversation, as details have it."""
        began = parse_time(conversation.get("conversationStart"))
        if began is None:
            return
        direction, sessions = str(conversation.get("originatingDirection") or ""), list(_sessions(conversation))
        if window.start <= began < window.end:
            media = {str(session.get("mediaType") or "") for session in sessions}
            self.cells.update(Cell(BEGAN, direction, one) for one in media)
            self.divisions.update(map(str, conversation.get("divisionIds") or []))
        self.earlier += window.start - LOOK_BACK <= began < window.start
        for session in sessions:
            media_type = str(session.get("mediaType") or "")
            emitted = (metric.get("name") for metric in session.get("metrics") or [] if _within(metric, window))
            self.cells.update(Cell(name, direction, media_type) for name in emitted if name in EMITTED)


def columns_of(contract: Contract) -> dict[str, str] | None:
    """Return the names of the columns that hold :data:`FIELDS`; None where the contract lacks one, or changes it."""
    found = {column.path: column for column in contract.columns}
    kept = {name: found[name].name for name in FIELDS if name in found and found[name].pii == "keep"}
    return kept if len(kept) == len(FIELDS) else None


def _sessions(conversation: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for participant in conversation.get("participants") or []:
        yield from participant.get("sessions") or []


def _within(metric: Mapping[str, Any], window: Window) -> bool:
    moment: datetime | None = parse_time(metric.get("emitDate"))
    return moment is not None and window.start <= moment < window.end
