"""Which days are compared again, and which of them are loaded again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_genesys.completeness.tally import BEGAN
from airflow_provider_genesys.window import Window, days_of

AGES = (2, 3, 7, 30)
"""Days after which a day is compared again, beside the one on which it is loaded."""


def days_at_ages(newest: Window, ages: Sequence[int] = AGES, *, time_zone: str = "UTC") -> list[dict[str, str]]:
    """Return the days of those ages, as ``expand_kwargs`` takes them.

    :param newest: the day of age 1, which is loaded for the first time.
    """
    everyday = days_of(newest, look_back=max(ages, default=1), time_zone=time_zone)
    return [everyday[age - 1] for age in sorted(set(ages)) if age > 1]


def days_to_reload(found: Iterable[Mapping[str, Any] | None]) -> list[dict[str, str]]:
    """Return the windows that differ, as ``expand_kwargs`` takes them; the newest first.

    If the conversations are the same but their metrics differ, conversations of the window before may have changed:
    that one is also loaded again. A window of which the sink holds nothing was never loaded, and is left alone.

    :param found: what GenesysReconcileOperator returned of each window.
    """
    windows: set[tuple[datetime, datetime]] = set()
    for one in found:
        counts = (one or {}).get("counts", {}).get(BEGAN, {"genesys": 0, "sink": 0})
        if not one or one["verdict"] != "differs" or not counts["sink"]:
            continue
        start, end = (datetime.fromisoformat(one[name]) for name in ("window_start", "window_end"))
        windows.add((start, end))
        if counts["sink"] == counts["genesys"]:
            windows.add((start - (end - start), start))
    ordered = sorted(windows, reverse=True)
    return [{"window_start": start.isoformat(), "window_end": end.isoformat()} for start, end in ordered]


def merged(*lists: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Return the windows of all lists, each once, in the order in which they come first."""
    return list({(one["window_start"], one["window_end"]): one for windows in lists for one in windows}.values())


def day_before(window: Window) -> Window:
    """Return the last whole UTC day before the end of ``window``, with the whole days of ``window`` before it."""
    whole = window.end.replace(hour=0, minute=0, second=0, microsecond=0)
    return Window(min(window.start, whole - timedelta(days=1)), whole)
