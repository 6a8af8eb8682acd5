"""Compares the counts of a sink with those of Genesys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_genesys.completeness.genesys_counts import LONGEST, GenesysCounts
from airflow_provider_genesys.completeness.tally import BEGAN, LOOK_BACK, Cell, Tally
from airflow_provider_genesys.times import now
from airflow_provider_genesys.window import Window

if TYPE_CHECKING:
    from airflow_provider_genesys.cloud.http.client import CloudClient

Verdict = Literal["agrees", "differs", "not comparable"]
State = Literal["provisional", "final"]
_SHOWN = 20
"""How many differences are listed."""


@dataclass(frozen=True)
class Reconciliation:
    """A window's counts at Genesys and in the sink, and the verdict. Times are ISO 8601 in UTC."""

    window_start: str
    window_end: str
    verdict: Verdict
    reason: str
    """A sentence: why it is ``not comparable``, or what is missing or too much if it ``differs``."""
    reconciled_at: str
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    """By metric: ``genesys`` and ``sink``."""
    differences: list[dict[str, Any]] = field(default_factory=list)
    """The first of the counts that differ: metric, direction, media_type, genesys, sink."""
    requests: int = 0
    """Number of requests that the comparison took."""
    state: State = "provisional"
    """``final`` where the window agreed twice, a day apart."""

    def as_json(self) -> dict[str, Any]:
        """Return it as an XCom holds it."""
        return asdict(self)


def reconcile(client: CloudClient, window: Window, count: Callable[[Window], Tally]) -> Reconciliation:
    """Compare one window. It costs two requests, or six for a window of three months.

    :param count: counts what the sink holds.
    :raises GenesysError: Genesys or the sink cannot be asked.
    """
    if window.end > now():
        return not_comparable(window, "the window is not over")
    if window.end - window.start > LONGEST:
        return not_comparable(window, f"the window is longer than {LONGEST.days} days; compare shorter ones")
    asked = GenesysCounts(client, window)
    theirs, ours = asked.cells(), count(window)
    verdict, reason = _judged(asked, theirs, ours)
    return Reconciliation(
        window_start=window.start.isoformat(),
        window_end=window.end.isoformat(),
        verdict=verdict,
        reason=reason,
        reconciled_at=now().isoformat(),
        counts=_by_metric(theirs, ours.cells),
        differences=_differences(theirs, ours.cells)[:_SHOWN],
        requests=asked.requests,
    )


def not_comparable(window: Window, reason: str) -> Reconciliation:
    """Return the reconciliation of a window that cannot be compared."""
    at = now().isoformat()
    return Reconciliation(window.start.isoformat(), window.end.isoformat(), "not comparable", reason, at)


def _judged(asked: GenesysCounts, theirs: Counter[Cell], ours: Tally) -> tuple[Verdict, str]:
    if +theirs == +ours.cells:
        return "agrees", "Genesys and the sink count the same"
    began = {cell for cell in theirs.keys() | ours.cells.keys() if cell.metric == BEGAN}
    missing = sum(max(theirs[cell] - ours.cells[cell], 0) for cell in began)
    surplus = sum(max(ours.cells[cell] - theirs[cell], 0) for cell in began)
    if missing:
        return _missing(asked, ours, missing)
    if surplus:
        return "not comparable", (
            f"of the conversations in the sink, Genesys counts {surplus} no more: they were erased at Genesys since, "
            "or the OAuth client's divisions have changed"
        )
    too_few = any(theirs[cell] > ours.cells[cell] for cell in theirs)
    if too_few and not ours.earlier:
        return "not comparable", (
            f"the sink holds no conversation of the {LOOK_BACK.days} days before the window, whose metrics count in it"
        )
    return "differs", (
        "the conversations are the same, but not what they emitted: Genesys has corrected conversations of this window "
        "or of those before, since they were loaded"
    )


def _missing(asked: GenesysCounts, ours: Tally, missing: int) -> tuple[Verdict, str]:
    """Judge a window with too few conversations in the sink. A division may be hidden from the client."""
    hidden = {one: count for one, count in asked.divisions().items() if one and count and not ours.divisions[one]}
    if sum(hidden.values()) == missing:
        return "not comparable", (
            f"conversations are missing ({missing}), in divisions of which details give none "
            f"({', '.join(sorted(hidden))}): the OAuth client may not see them"
        )
    return "differs", f"of the conversations that Genesys counts, {missing} are not in the sink"


def _by_metric(theirs: Counter[Cell], ours: Counter[Cell]) -> dict[str, dict[str, int]]:
    totals: dict[str, dict[str, int]] = {}
    for side, cells in (("genesys", theirs), ("sink", ours)):
        for cell, count in cells.items():
            totals.setdefault(cell.metric, {"genesys": 0, "sink": 0})[side] += count
    return dict(sorted(totals.items()))


def _differences(theirs: Counter[Cell], ours: Counter[Cell]) -> list[dict[str, Any]]:
    cells = sorted(cell for cell in theirs.keys() | ours.keys() if theirs[cell] != ours[cell])
    return [{**cell._asdict(), "genesys": theirs[cell], "sink": ours[cell]} for cell in cells]
