"""A window in equal pieces, each asked for with a separate job, where Genesys finds the whole too large."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_genesys.exceptions import WindowTooLargeError
from airflow_provider_genesys.times import midnight

SHORTEST = timedelta(minutes=1)
"""No piece is shorter."""
BY_START_DAY = "startOfDayIntervalMatching"
"""Genesys' option by which a conversation belongs to the UTC day on which it began, and to no other."""


@dataclass(frozen=True)
class Piece:
    """``start`` ≤ t < ``end`` (aware), and which records of it are its own.

    A conversation that overlaps several pieces is in the results of each. It belongs to the one in which it began, or,
    where ``earlier``, to this one if it began before.
    """

    start: datetime
    end: datetime
    earlier: bool = False

    def owns(self, begun: datetime | None) -> bool:
        """Say whether a record that began then belongs here. One that does not say when is in every piece."""
        return begun is None or (begun < self.end and (self.earlier or begun >= self.start))


def cut(start: datetime, end: datetime, pieces: int, options: dict[str, Any]) -> list[Piece]:
    """Cut the window into equal pieces, on whole seconds; together they hold what the window holds as a whole.

    Where ``options`` match by the day of the start, these are pieces of all days that the window touches.

    :raises WindowTooLargeError: a piece would be shorter than a minute.
    """
    by_day = bool(options.get(BY_START_DAY))
    if by_day:
        start, end = midnight(start), midnight(end - timedelta(microseconds=1)) + timedelta(days=1)
    seconds = (end - start) // timedelta(seconds=1)
    if (end - start) / pieces < SHORTEST:
        raise WindowTooLargeError(f"Genesys finds even the {pieces}th part of {start} to {end} too large.")
    bounds = [start + timedelta(seconds=seconds * place // pieces) for place in range(pieces)]
    return [
        Piece(one, other, earlier=not by_day and place == 0)
        for place, (one, other) in enumerate(zip(bounds, [*bounds[1:], end], strict=True))
    ]
