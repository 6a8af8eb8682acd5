"""Users in analytics: their presence and routing status over a day, made up from a seed."""

from __future__ import annotations

from array import array
from datetime import datetime, timedelta, timezone
from random import Random
from typing import Any

import msgspec

from airflow_provider_genesys.testing.fake_genesys.organisation import uuid_of

_PRESENCES = ("AVAILABLE", "ON_QUEUE", "MEAL", "ON_QUEUE", "MEETING", "ON_QUEUE", "BREAK", "BUSY", "OFFLINE")
_ROUTING = ("OFF_QUEUE", "IDLE", "INTERACTING", "COMMUNICATING", "NOT_RESPONDING")
_DAY = timedelta(days=1)


class Agents:
    """All users of an organisation, by number.

    :param count: number of users.
    :param start: start of the requested interval.
    :param end: its end.
    """

    def __init__(self, count: int, start: datetime, end: datetime, *, seed: int) -> None:
        self._count, self._start, self._end, self._seed = count, start, end, seed

    def numbers(self) -> array[int]:
        """Return the numbers of all of them."""
        return array("Q", range(self._count))

    def render(self, number: int) -> bytes:
        """Return what is known of user ``number`` in the interval, as JSON; a record that goes on has no end."""
        presence, routing = [], []
        day = self._start.astimezone(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
        while day < self._end:
            random = Random(f"{self._seed}/{number}/{day.date()}")  # noqa: S311 - made up, not secret
            presence += self._day(random, day, "systemPresence", _PRESENCES)
            routing += self._day(random, day, "routingStatus", _ROUTING)
            day += _DAY
        for record in presence:
            record["organizationPresenceId"] = uuid_of(f"presence/{record['systemPresence']}")
        user = {"userId": uuid_of(f"user/{number}"), "primaryPresence": presence, "routingStatus": routing}
        return msgspec.json.encode(user)

    def _day(self, random: Random, day: datetime, name: str, values: tuple[str, ...]) -> list[dict[str, Any]]:
        cuts = sorted(day + _DAY * random.random() for _ in range(random.randrange(6, 14)))
        spans = zip([day, *cuts], [*cuts, day + _DAY], strict=True)
        return [
            {"startTime": _text(begin), "endTime": _text(end), name: random.choice(values)}
            for begin, end in spans
            if begin < self._end and end > self._start
        ]


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"
