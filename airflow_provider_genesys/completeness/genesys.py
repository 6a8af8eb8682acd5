"""What Genesys has counted in a window, by the aggregates of its analytics API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_genesys.backfill.daily_counts import PATH
from airflow_provider_genesys.completeness.tally import BEGAN, EMITTED, Cell
from airflow_provider_genesys.times import api_time
from airflow_provider_genesys.window import Window

if TYPE_CHECKING:
    from airflow_provider_genesys.cloud.http.client import CloudClient

MOST_REQUESTS = 6
"""Most requests of one comparison."""
_LONGEST = timedelta(days=31)
LONGEST = _LONGEST * (MOST_REQUESTS // 2)
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
        for group, metric, count in self._asked(("originatingDirection", "mediaType"), (BEGAN, *EMITTED)):
            direction, media_type = (str(group.get(name) or "") for name in ("originatingDirection", "mediaType"))
            found[Cell(metric, direction, media_type)] += count
        return found

    def divisions(self) -> Counter[str]:
        """Ask for the conversations of each division."""
        found: Counter[str] = Counter()
        for group, _, count in self._asked(("divisionId",), (BEGAN,)):
            found[str(group.get("divisionId") or "")] += count
        return found

    def _asked(self, group_by: Sequence[str], metrics: Sequence[str]) -> Iterator[tuple[dict[str, Any], str, int]]:
        start = self._window.start
        while start < self._window.end:
            until = min(start + _LONGEST, self._window.end)
            interval = f"{api_time(start)}/{api_time(until)}"
            body = {"interval": interval, "groupBy": list(group_by), "metrics": list(metrics)}
            self.requests += 1
            yield from _counts(self._client.request("POST", PATH, json=body))
            start = until


def _counts(answer: Any) -> Iterator[tuple[dict[str, Any], str, int]]:
    for result in (answer or {}).get("results") or []:
        for data in result.get("data") or []:
            for metric in data.get("metrics") or []:
                count = (metric.get("stats") or {}).get("count")
                yield result.get("group") or {}, str(metric.get("metric")), int(count or 0)
