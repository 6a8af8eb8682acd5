"""Changes of single conversations: left out of details, erased, corrected, wrapped up late."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from airflow_provider_genesys.times import api_time

_WRAP_UP = timedelta(minutes=1)


@dataclass
class History:
    """By conversation id. Each set may be changed at any time; details and aggregates follow at the next request.

    :param left_out: details do not have it, aggregates count it. Take it out of the set, and it arrives late.
    :param erased: neither has it any longer.
    :param hidden_divisions: ids of divisions whose conversations details leave out, and aggregates count.
    :param corrected: it has lost the metric ``nConnected``, in details and in aggregates.
    :param wrapped_up: when an agent wrapped it up again: a segment, and a metric ``tAcw``.
    """

    left_out: set[str] = field(default_factory=set)
    erased: set[str] = field(default_factory=set)
    hidden_divisions: set[str] = field(default_factory=set)
    corrected: set[str] = field(default_factory=set)
    wrapped_up: dict[str, datetime] = field(default_factory=dict)

    def in_details(self, conversation: str, division: str) -> bool:
        """Whether details have it."""
        return conversation not in self.left_out | self.erased and division not in self.hidden_divisions

    def changed(self, conversation: str, record: bytes) -> bytes:
        """Return the record as it is now."""
        if conversation not in self.corrected and conversation not in self.wrapped_up:
            return record
        found = msgspec.json.decode(record)
        sessions = [session for participant in found["participants"] for session in participant["sessions"]]
        if conversation in self.corrected:
            for session in sessions:
                session["metrics"] = [metric for metric in session["metrics"] if metric["name"] != "nConnected"]
        if moment := self.wrapped_up.get(conversation):
            _wrap_up(sessions[-1], moment)
        return msgspec.json.encode(found)


def _wrap_up(session: dict[str, Any], moment: datetime) -> None:
    end = api_time(moment + _WRAP_UP)
    session["segments"].append({"segmentStart": api_time(moment), "segmentEnd": end, "segmentType": "wrapup"})
    session["metrics"].append({"emitDate": end, "name": "tAcw", "value": _WRAP_UP // timedelta(milliseconds=1)})
