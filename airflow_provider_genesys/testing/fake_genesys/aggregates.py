"""The aggregates of the analytics API, counted from the conversations that its details serve."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from airflow_provider_genesys.cloud.exports.aggregate_domains import domains
from airflow_provider_genesys.cloud.exports.buckets import Granularity
from airflow_provider_genesys.exceptions import GenesysError
from airflow_provider_genesys.testing.fake_genesys.analytics_query import interval_of
from airflow_provider_genesys.testing.fake_genesys.orders import InvalidOrderError
from airflow_provider_genesys.times import api_time, parse_time

COUNTED = "nConversations"
"""A conversation counts once for each media type that it has, when it begins."""


class AggregatesQuery(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Genesys' ``ConversationAsyncAggregationQuery`` and similar ones. All groups are served, not a top N."""

    interval: str
    metrics: list[str]
    granularity: str | None = None
    time_zone: str = "UTC"
    group_by: list[str] = []
    filter: dict[str, Any] | None = None
    views: list[dict[str, Any]] = []
    flatten_multivalued_dimensions: bool = False
    alternate_time_dimension: str | None = None
    page_size: int = 100


@dataclass(frozen=True)
class Emission:
    """One emitted metric, and the segment, session, participant and conversation that it belongs to."""

    metric: str
    value: float
    moment: datetime
    about: tuple[dict[str, Any], ...]
    """The objects with its dimensions, the nearest first: segment, session, participant, conversation."""

    def dimension(self, name: str) -> str | None:
        """Return the value of a dimension; None if it has no value."""
        if name == "divisionId":
            return next((str(one["divisionIds"][0]) for one in self.about if one.get("divisionIds")), None)
        found = next((one[name] for one in self.about if name in one), None)
        return None if found is None or isinstance(found, (list, dict)) else str(found)


def read_aggregates_query(domain: str, body: bytes, bucket_cap: int | None) -> tuple[AggregatesQuery, list[datetime]]:
    """Return the query, and the bounds of its buckets.

    :raises InvalidOrderError: as Genesys would refuse it.
    """
    try:
        query = msgspec.json.decode(body, type=AggregatesQuery)
    except (ValueError, msgspec.DecodeError) as error:
        raise InvalidOrderError(f"The query is not valid: {error}", "body") from error
    known = domains()[domain]
    for given, allowed, member in (
        (query.metrics, known.metrics, "metrics"),
        (query.group_by, known.dimensions, "groupBy"),
    ):
        if wrong := set(given) - set(allowed):
            raise InvalidOrderError(f"{member} must not hold {', '.join(sorted(wrong))}", member)
    start, end = interval_of(query.interval)
    try:
        zone = ZoneInfo(query.time_zone)
        bounds = Granularity.of(query.granularity).bounds(start, end, zone) if query.granularity else [start, end]
    except (GenesysError, KeyError) as error:
        raise InvalidOrderError(str(error), "granularity") from error
    if bucket_cap and len(bounds) - 1 > bucket_cap:
        raise InvalidOrderError(f"The number of intervals exceeds the maximum of {bucket_cap}", "granularity")
    return query, bounds


def _emissions(domain: str, records: Iterable[bytes], wanted: set[str]) -> Iterator[Emission]:
    """Yield the wanted metrics that conversations emitted. Other domains emit each once, as a conversation begins."""
    for record in records:
        conversation = msgspec.json.decode(record)
        if domain == "conversations":
            yield from _of_conversation(conversation, wanted)
        else:
            begun, about = _moment(conversation["conversationStart"]), (*_people(conversation), conversation)
            for place, metric in enumerate(domains()[domain].metrics):
                if metric in wanted:
                    yield Emission(metric, 1_000.0 * (place + 1), begun, about)


def aggregate(query: AggregatesQuery, bounds: list[datetime], records: Iterable[bytes], domain: str) -> list[bytes]:
    """Return the groups of an answer from conversations, each as JSON, in the order of their dimensions."""
    dimensions = tuple(dict.fromkeys([*query.group_by, *domains()[domain].implied]))
    lets_through = _filter(query.filter)
    values: dict[tuple[str | None, ...], dict[tuple[int, str], list[float]]] = defaultdict(lambda: defaultdict(list))
    wanted = {*query.metrics, *(view["target"] for view in query.views)}
    for one in _emissions(domain, records, wanted):
        if bounds[0] <= one.moment < bounds[-1] and lets_through(one):
            group = tuple(map(one.dimension, dimensions))
            values[group][bisect_right(bounds, one.moment) - 1, one.metric].append(one.value)
    ordered = sorted(values, key=lambda group: [part or "" for part in group])
    return [_group(query, bounds, dict(zip(dimensions, group, strict=True)), values[group]) for group in ordered]


def _group(
    query: AggregatesQuery,
    bounds: list[datetime],
    group: dict[str, str | None],
    values: dict[tuple[int, str], list[float]],
) -> bytes:
    data = []
    for place in sorted({place for place, _ in values}):
        interval = f"{api_time(bounds[place])}/{api_time(bounds[place + 1])}"
        held = {metric: values[place, metric] for metric in dict.fromkeys(m for p, m in values if p == place)}
        metrics = [{"metric": name, "stats": _stats(name, held[name])} for name in query.metrics if name in held]
        views = [
            {"name": view["name"], "stats": _view(view, held[view["target"]])}
            for view in query.views
            if view["target"] in held
        ]
        data.append({"interval": interval, "metrics": metrics, **({"views": views} if views else {})})
    return msgspec.json.encode({"group": {name: part for name, part in group.items() if part}, "data": data})


def _stats(metric: str, values: list[float]) -> dict[str, Any]:
    if metric.startswith("n"):
        return {"count": len(values)}
    return {"max": max(values), "min": min(values), "count": len(values), "sum": sum(values)}


def _view(view: dict[str, Any], values: list[float]) -> dict[str, Any]:
    bounds = view.get("range") or {}
    low, high = bounds.get("gte", float("-inf")), bounds.get("lt", float("inf"))
    return {"count": sum(low <= value < high for value in values)}


def _filter(given: dict[str, Any] | None) -> Callable[[Emission], bool]:
    """Return the filter of emissions: predicates on dimensions, joined by ``and`` or ``or``."""
    if not given:
        return lambda _: True
    wanted = [(one["dimension"], one.get("value")) for one in given.get("predicates") or []]
    joined = any if given.get("type") == "or" else all
    return lambda one: joined(one.dimension(name) == value for name, value in wanted)


def _of_conversation(conversation: dict[str, Any], wanted: set[str]) -> Iterator[Emission]:
    media: dict[str, tuple[dict[str, Any], ...]] = {}
    for participant in conversation["participants"]:
        for session in participant["sessions"]:
            segments = session.get("segments") or [{}]
            about: tuple[dict[str, Any], ...] = (segments[0], session, participant, conversation)
            media.setdefault(session["mediaType"], about)
            for metric in session["metrics"]:
                if metric["name"] in wanted:
                    yield Emission(metric["name"], metric["value"], _moment(metric["emitDate"]), about)
    for about in media.values() if COUNTED in wanted else ():
        yield Emission(COUNTED, 1, _moment(conversation["conversationStart"]), about)


def _people(conversation: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    participant = conversation["participants"][-1]
    session = participant["sessions"][-1]
    return (*session.get("segments", [])[:1], session, participant)


def _moment(text: str) -> datetime:
    return parse_time(text) or datetime.min.replace(tzinfo=timezone.utc)
