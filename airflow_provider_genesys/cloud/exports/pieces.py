"""Cuts a window that Genesys finds too large into equal pieces. Each piece has its own job."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_genesys.exceptions import WindowTooLargeError
from airflow_provider_genesys.times import midnight

SHORTEST = timedelta(minutes=1)
"""Length of the shortest piece."""
BY_START_DAY = "startOfDayIntervalMatching"
"""Genesys' option that assigns a conversation only to the UTC day on which it began."""


@dataclass(frozen=True)
class Piece:
    """``start`` ≤ t < ``end`` (aware), and which records of the results belong to this piece.

    A conversation that overlaps several pieces is in the results of each. It belongs to the piece in which it began.
    A piece with ``earlier`` also owns conversations that began before ``start``.
    """

    start: datetime
    end: datetime
    earlier: bool = False

    def owns(self, begun: datetime | None) -> bool:
        """Return whether a record that began at ``begun`` belongs here. A record without a time is in every piece."""
        return begun is None or (begun < self.end and (self.earlier or begun >= self.start))


def cut(start: datetime, end: datetime, pieces: int, options: dict[str, Any]) -> list[Piece]:
    """Cut the window into equal pieces, on whole seconds. Together they hold the same records as the window.

    If ``options`` match by the day of the start, the pieces cover all days that the window touches.

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
