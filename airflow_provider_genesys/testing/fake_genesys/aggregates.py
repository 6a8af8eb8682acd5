"""The aggregates of the analytics API: how many conversations began in each interval."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

import msgspec

from airflow_provider_genesys.testing.fake_genesys.messages import Request, Response, api_error, json_response
from airflow_provider_genesys.testing.fake_genesys.settings import Settings

PATH = "/api/v2/analytics/conversations/aggregates/query"
_DAY = timedelta(days=1)


class AggregatesQuery(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Genesys' ``ConversationAggregationQuery``, of which days and one metric are served."""

    interval: str
    granularity: Literal["P1D"]
    metrics: list[Literal["nConversations"]]
    time_zone: Literal["UTC"] = "UTC"


class AggregatesApi:
    """Counts the conversations of each day, two thirds of them under one media type."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def answer(self, request: Request) -> Response | None:
        """Answer one request; None where the path is not of this API."""
        if request.path != PATH:
            return None
        if request.method != "POST":
            return api_error(405, f"HTTP {request.method} is not supported by this resource.")
        try:
            query = msgspec.json.decode(request.body, type=AggregatesQuery)
            start, end = (msgspec.convert(text, datetime) for text in query.interval.split("/"))
        except (ValueError, msgspec.DecodeError) as error:
            return api_error(400, f"The query is not valid: {error}")
        return json_response(200, {"results": list(self._groups(start, end))} if self._settings.conversations else {})

    def _groups(self, start: datetime, end: datetime) -> Iterator[dict[str, Any]]:
        voice = self._settings.conversations * 2 // 3
        for media, count in (("voice", voice), ("message", self._settings.conversations - voice)):
            yield {"group": {"mediaType": media}, "data": list(_days(start, end, count))}


def _days(start: datetime, end: datetime, count: int) -> Iterator[dict[str, Any]]:
    while start < end:
        metrics = [{"metric": "nConversations", "stats": {"count": count}}]
        yield {"interval": f"{_text(start)}/{_text(start + _DAY)}", "metrics": metrics}
        start += _DAY


def _text(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
