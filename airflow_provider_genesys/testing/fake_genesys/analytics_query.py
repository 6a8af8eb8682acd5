"""Queries that analytics accepts: with Genesys' own field names, and no others."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from airflow_provider_genesys.testing.fake_genesys.orders import InvalidOrderError

_Filters = list[dict[str, Any]]


class ConversationQuery(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Genesys' ``AsyncConversationQuery``."""

    interval: str
    conversation_filters: _Filters = []
    segment_filters: _Filters = []
    evaluation_filters: _Filters = []
    survey_filters: _Filters = []
    resolution_filters: _Filters = []
    order: Literal["asc", "desc", "unordered"] = "asc"
    order_by: Literal["conversationStart", "conversationEnd", "segmentStart", "segmentEnd"] = "conversationStart"
    limit: int | None = None
    start_of_day_interval_matching: bool = False


class UserQuery(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Genesys' ``AsyncUserDetailsQuery``."""

    interval: str
    user_filters: _Filters = []
    presence_filters: _Filters = []
    routing_status_filters: _Filters = []
    order: Literal["asc", "desc", "unordered"] = "asc"
    limit: int | None = None


def read_query(
    body: bytes, kind: type[ConversationQuery | UserQuery], longest: timedelta | None
) -> tuple[ConversationQuery | UserQuery, datetime, datetime]:
    """Return the query, and the start and end of its interval.

    :param longest: no interval may be longer.
    :raises InvalidOrderError: as Genesys would refuse it.
    """
    try:
        query = msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        place = re.search(r"`\$\.?([^`]*)`", str(error))
        raise InvalidOrderError(f"The request body is not valid: {error}", place[1] if place else "") from error
    start, end = interval_of(query.interval)
    if longest and end - start > longest:
        raise InvalidOrderError(f"The interval may not be longer than {longest.days} days", "interval")
    return query, start, end


def interval_of(text: str) -> tuple[datetime, datetime]:
    """Return start and end of an interval, as Genesys writes them.

    :raises InvalidOrderError: it is not an interval, or has no length.
    """
    try:
        start, end = (msgspec.convert(part, datetime) for part in text.split("/"))
        whole = start < end
    except (ValueError, TypeError):
        whole = False
    if not whole:
        raise InvalidOrderError(f"The interval {text[:80]} is not valid", "interval")
    return start, end
