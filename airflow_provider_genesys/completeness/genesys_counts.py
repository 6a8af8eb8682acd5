"""What Genesys has counted in a window, by the aggregates of its analytics API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from airflow_provider_genesys.backfill import daily_counts
from airflow_provider_genesys.backfill.daily_counts import Counted, counts, intervals
from airflow_provider_genesys.completeness.tally import BEGAN, EMITTED, Cell
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.window import Window

if TYPE_CHECKING:
    from airflow_provider_genesys.cloud.http.client import CloudClient

MOST_REQUESTS = 6
"""Most requests of one comparison."""
LONGEST = daily_counts.LONGEST * (MOST_REQUESTS // 2)
"""A longer window is not compared: its counts and its divisions would need more requests."""


class GenesysCounts:
    """Asks for counts, and counts the requests."""

    def __init__(self, client: CloudClient, window: Window) -> None:
        self.requests = 0
        self._client = client
        self._window = window

    def cells(self) -> Counter[Cell]:
        """Ask for the counts by direction and media type.

        :raises PermissionDeniedError: the OAuth client may not read aggregates.
        """
        found: Counter[Cell] = Counter()
        for one in self._asked(("originatingDirection", "mediaType"), (BEGAN, *EMITTED)):
            direction, media_type = (shown(one.group.get(name) or "") for name in ("originatingDirection", "mediaType"))
            found[Cell(shown(one.metric), direction, media_type)] += one.count
        return found

    def divisions(self) -> Counter[str]:
        """Ask for the conversations of each division."""
        found: Counter[str] = Counter()
        for one in self._asked(("divisionId",), (BEGAN,)):
            found[shown(one.group.get("divisionId") or "")] += one.count
        return found

    def _asked(self, group_by: Sequence[str], metrics: Sequence[str]) -> Iterator[Counted]:
        for interval in intervals(self._window.start, self._window.end):
            body = {"interval": interval, "groupBy": list(group_by), "metrics": list(metrics)}
            self.requests += 1
            yield from counts(self._client, body)
