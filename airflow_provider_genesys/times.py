"""Points in time as Genesys, the object stores and Airflow write them."""

from __future__ import annotations

import re
from datetime import datetime, time, timezone
from email.utils import parsedate_to_datetime
from typing import Any

_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d)?(?:[.,](\d{1,9}))?\s*(?:Z|([+-]\d\d):?(\d\d))?", re.IGNORECASE
)
_MILLISECONDS_FROM = 100_000_000_000
"""A larger number is milliseconds: as seconds it would be past the year 5138, as milliseconds it is past 1973."""


def now() -> datetime:
    """Return the present moment, in UTC."""
    return datetime.now(timezone.utc)


def in_utc(moment: datetime) -> datetime:
    """Return ``moment`` in UTC. Genesys gives every time in UTC, so a time without a zone is one in UTC.

    It is Python's own datetime: Airflow's (pendulum) lose a zone that is not pendulum's when something is added.
    """
    utc = moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)
    return datetime.combine(utc.date(), utc.time(), timezone.utc)


def parse_time(value: Any) -> datetime | None:
    """Read an ISO 8601 text, seconds or milliseconds since 1970, or a datetime; as UTC where no zone is given.

    Return None for anything else: a reported time that cannot be read is no reason to fail.
    """
    try:
        if isinstance(value, datetime):
            return in_utc(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return _from_epoch(value) if value > 0 else None
        return _from_text(value.strip()) if isinstance(value, str) else None
    except (ValueError, OverflowError, OSError):
        return None


def _from_epoch(value: float) -> datetime:
    return datetime.fromtimestamp(value / 1000 if value >= _MILLISECONDS_FROM else value, timezone.utc)


def _from_text(text: str) -> datetime | None:
    if text.isascii() and text.isdigit():
        return _from_epoch(int(text))
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    # Python 3.10's fromisoformat knows neither Z nor fractions of other than 3 or 6 digits.
    date, minutes, seconds, fraction, hours_off, minutes_off = match.groups()
    micros = (fraction or "").ljust(6, "0")[:6]
    zone = f"{hours_off}:{minutes_off}" if hours_off else "+00:00"
    moment = datetime.fromisoformat(f"{date}T{minutes}{seconds or ':00'}.{micros}{zone}")
    return moment.astimezone(timezone.utc)


def http_date(text: str) -> datetime | None:
    """Read the date of an HTTP header, as UTC; None for anything else."""
    try:
        return in_utc(parsedate_to_datetime(text))
    except (ValueError, TypeError, IndexError, OverflowError):  # also beyond the years 1 to 9999 in UTC
        return None


def midnight(moment: datetime) -> datetime:
    """Return when the UTC day of ``moment`` (aware) began."""
    return datetime.combine(moment.astimezone(timezone.utc), time(), timezone.utc)


def api_time(moment: datetime) -> str:
    """Write ``moment`` as the API wants it: UTC, milliseconds, ``Z``."""
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_time(moment: datetime | None) -> str | None:
    """Write ``moment`` as the ``datetime.fromisoformat`` of every supported Python reads it: UTC, ``+00:00``."""
    return moment.astimezone(timezone.utc).isoformat() if moment else None
