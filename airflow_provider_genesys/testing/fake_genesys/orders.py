"""The request body that creates an export."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Annotated, Literal

import msgspec

from airflow_provider_genesys.testing.fake_genesys.archive import FileFormat

_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class _Filter(msgspec.Struct, rename="camel"):
    date_from: _Moment
    date_to: _Moment
    status: str | None = None


class _Body(msgspec.Struct, rename="camel"):
    export_type: Literal["recordings"]
    filter: _Filter
    format: Literal["json", "ndjson"] = "json"
    include: tuple[Literal["media", "participants", "metadata"], ...] = ()


@dataclass(frozen=True)
class ExportOrder:
    """A checked request for an export; the window is aware."""

    window_start: datetime
    window_end: datetime
    file_format: FileFormat


class InvalidOrderError(Exception):
    """The body of a request cannot be used. ``field`` is the dotted path of the wrong field; '' for the whole body."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


def parse_order(body: bytes) -> ExportOrder:
    """Check the body of a request for an export."""
    try:
        asked = msgspec.json.decode(body, type=_Body)
    except msgspec.DecodeError as error:
        place = re.search(r"`\$\.?([^`]*)`", str(error))
        raise InvalidOrderError(f"The request body is not valid: {error}", place[1] if place else "") from error
    start, end = (moment.astimezone(timezone.utc) for moment in (asked.filter.date_from, asked.filter.date_to))
    if start >= end:
        raise InvalidOrderError("filter.dateFrom must be before filter.dateTo", "filter.dateFrom")
    return ExportOrder(start, end, asked.format)
