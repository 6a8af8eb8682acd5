"""What the comparison of a window asks of Genesys."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any, cast

import pytest

from airflow_provider_genesys.cloud.http.client import CloudClient
from airflow_provider_genesys.completeness.tally import BEGAN, Cell, Tally
from airflow_provider_genesys.completeness.verdict import reconcile
from airflow_provider_genesys.window import Window

START = datetime(2026, 5, 1, tzinfo=timezone.utc)
DIVISION = "a division that details give none of"


class Genesys:
    """Counts one conversation in each interval that it is asked for, and keeps the queries."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def request(self, method: str, path: str, *, json: dict[str, Any], **_: Any) -> Any:
        self.asked.append(json)
        values = {"originatingDirection": "inbound", "mediaType": "voice", "divisionId": DIVISION}
        group = {name: values[name] for name in json["groupBy"]}
        data = [{"interval": json["interval"], "metrics": [{"metric": BEGAN, "stats": {"count": 1}}]}]
        return {"results": [{"group": group, "data": data}]}

    def intervals(self, dimension: str) -> list[tuple[str, str]]:
        return [tuple(one["interval"].split("/")) for one in self.asked if dimension in one["groupBy"]]


def compared(genesys: Genesys, length: timedelta, sink: int) -> Any:
    tally = Tally()
    tally.cells[Cell(BEGAN, "inbound", "voice")] = sink
    return reconcile(cast("CloudClient", genesys), Window(START, START + length), lambda _: tally)


@pytest.mark.parametrize(
    ("length", "sink", "requests"),
    [
        (timedelta(days=1), 1, 1),
        (timedelta(days=1), 0, 2),
        (timedelta(days=31), 0, 2),
        (timedelta(days=31, seconds=1), 0, 4),
        (timedelta(days=93), 3, 3),
        (timedelta(days=93), 0, 6),
    ],
)
def test_a_comparison_takes_at_most_six_requests(length: timedelta, sink: int, requests: int) -> None:
    genesys = Genesys()
    found = compared(genesys, length, sink)
    assert found.requests == len(genesys.asked) == requests
    asked = -(-length // timedelta(days=31))
    assert found.counts[BEGAN] == {"genesys": asked, "sink": sink}
    assert found.verdict == ("agrees" if sink else "not comparable")
    assert (DIVISION in found.reason) == (not sink)


def test_the_requests_of_a_long_window_leave_no_gap_and_overlap_nowhere() -> None:
    genesys = Genesys()
    compared(genesys, timedelta(days=93), 0)
    for dimension in ("mediaType", "divisionId"):
        (first, _), *_, (_, last) = intervals = genesys.intervals(dimension)
        assert (first, last) == ("2026-05-01T00:00:00.000Z", "2026-08-02T00:00:00.000Z")
        assert [end for _, end in intervals[:-1]] == [start for start, _ in intervals[1:]]


def test_a_longer_window_is_not_compared_and_asks_nothing() -> None:
    genesys = Genesys()
    found = compared(genesys, timedelta(days=93, seconds=1), 0)
    assert (found.verdict, found.requests, genesys.asked) == ("not comparable", 0, [])
    assert "longer than 93 days" in found.reason
