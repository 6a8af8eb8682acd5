"""How records differ from their contract, and what that leads to. Reports hold no values of records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

import msgspec

from airflow_provider_genesys.contracts.column import Column, Path
from airflow_provider_genesys.exceptions import ContractError
from airflow_provider_genesys.limits import MOST_NEW_NAMES

Mode = Literal["evolve", "freeze", "discard_value", "quarantine"]
"""The contract takes it in · the load fails · the value is left out · the record is rejected."""

Kind = Literal["unknown", "type", "missing"]
"""A field that the contract does not name · a value of another type · no value in a required column."""

MOST_NAMES = 200
"""This many kinds of drift are counted each; then all others together, as :data:`OTHERS`."""
LONGEST_NAME = 200
DriftKind = Kind | Literal["unused"]
"""One of the contract's, or a place that no record has a value at: see :mod:`.unused`."""
OTHERS = "(other fields)"


@dataclass(frozen=True)
class Modes:
    """One mode for each kind of surprise. Every surprise is counted as drift, in each mode.

    :param unknown: a field that the contract does not name, in the record or in an object that the contract names.
    :param type: a value that is not of its column's type and cannot be converted without loss.
    :param missing: no value, or null, in a column that is required.
    """

    unknown: Mode = "discard_value"
    type: Mode = "quarantine"
    missing: Mode = "quarantine"

    def __post_init__(self) -> None:
        for kind, mode in asdict(self).items():
            if mode not in get_args(Mode):
                raise ContractError(f"Modes: {kind} is {mode!r}; one of {', '.join(get_args(Mode))}.", about=kind)

    def changed(self, changes: Mapping[str, Any]) -> Modes:
        """Return these modes with ``changes``: mode by kind.

        :raises ContractError: a kind or a mode is unknown.
        """
        kinds = [field.name for field in fields(Modes)]
        for kind in changes:
            if kind not in kinds:
                raise ContractError(f"Modes: there is no kind {kind!r}; one of {', '.join(kinds)}.", about=kind)
        return Modes(**{**asdict(self), **changes})


@dataclass(frozen=True)
class Surprise:
    """One way in which one record differs from its contract.

    ``text`` is the JSON value; None if it is absent. ``mode`` says what it leads to; None if it was repaired.
    ``column`` is the one that it concerns; None for an unknown field, and if the record is not a JSON object.
    """

    path: Path
    kind: Kind
    text: bytes | None
    mode: Mode | None
    column: Column | None = None

    def is_among(self, others: Iterable[Surprise]) -> bool:
        """Whether one of ``others`` is of the same field and kind."""
        return any((self.path, self.kind) == (other.path, other.kind) for other in others)

    def at(self, offset: int) -> Drift:
        """Return it as the drift of the one record at ``offset``."""
        return Drift(name_of(self.path), self.kind, 1, offset, described(self.text))


@dataclass(frozen=True)
class Drift:
    """One way in which records differ from their contract.

    ``count`` records do; ``first`` is the offset of the first of them, in unpacked bytes. ``example`` describes what
    that one holds, never the value itself: "string of 36 characters".
    """

    field: str
    kind: DriftKind
    count: int
    first: int | None = None
    example: str | None = None

    def __str__(self) -> str:
        if self.kind == "unused":
            return f"none of {self.count:,} records has a value at {self.field!r}, which the contract names"
        first = "" if self.first is None else f", first at byte {self.first} ({self.example})"
        return f"{self.kind} {self.field!r} in {self.count:,} records{first}"


class Seen:
    """The surprises of one slice, in the order of their records: the first fields by name, all others together."""

    def __init__(self) -> None:
        self._sums: dict[tuple[Path, Kind], Drift] = {}
        self._unknown: dict[Path, bool] = {}  # whether it was null each time
        self._others = Counter[Kind]()

    def add(self, surprises: Iterable[Surprise], offset: int, *, others: int = 0) -> None:
        """Take those of the record at ``offset``, and the number of its ``others``, which are unknown fields."""
        if others:
            self._others["unknown"] += others
        for surprise in sorted(surprises, key=lambda one: (one.path, one.kind)):
            key = (surprise.path, surprise.kind)
            known = self._sums.get(key)
            if known is None and len(self._sums) >= MOST_NEW_NAMES:
                self._others[surprise.kind] += 1
                continue
            self._sums[key] = replace(known, count=known.count + 1) if known else surprise.at(offset)
            if surprise.kind == "unknown":
                self._unknown[surprise.path] = self._unknown.get(surprise.path, True) and surprise.text == b"null"

    def drift(self, counted: Mapping[Path, int]) -> list[Drift]:
        """Return the sums, with those of unknown fields that were ``counted`` without a closer look."""
        more = [Drift(name_of(path), "unknown", count) for path, count in counted.items()]
        others = [Drift(OTHERS, kind, count) for kind, count in self._others.items()]
        return summed([], [*self._sums.values(), *more, *others])

    def unknown(self) -> dict[Path, bool]:
        """Return the unknown fields, and of each whether it was null each time."""
        return self._unknown


def name_of(path: Iterable[str]) -> str:
    """Return the name under which the field at ``path`` is counted."""
    return ".".join(path)[:LONGEST_NAME].replace("\0", "\ufffd")  # PostgreSQL's JSON has no NUL


def summed(before: list[Drift], more: Iterable[Drift]) -> list[Drift]:
    """Return ``before`` with ``more`` added to it: bounded, since some records have ids as field names."""
    sums = {(drift.field, drift.kind): drift for drift in before}
    for drift in more:
        key = (drift.field, drift.kind)
        if key not in sums and len(sums) >= MOST_NAMES:
            key = (OTHERS, drift.kind)
        known = sums.get(key, replace(drift, field=key[0], count=0))
        sums[key] = replace(known, count=known.count + drift.count)
    return list(sums.values())


def described(text: bytes | None) -> str:
    """Describe a JSON value without showing it; None means that it is absent."""
    if text is None:
        return "absent"
    try:
        value = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return f"{len(text)} bytes that cannot be read"
    for kind, say in _DESCRIPTIONS.items():
        if isinstance(value, kind):
            return say(value, text)
    return "null"


_DESCRIPTIONS: dict[type, Callable[[Any, bytes], str]] = {
    bool: lambda _, __: "boolean",
    str: lambda value, _: f"string of {len(value)} characters",
    int: lambda _, text: f"integer of {len(text.lstrip(b'-'))} digits",
    float: lambda _, text: f"number of {len(text)} characters",
    list: lambda value, _: f"list of {len(value)} values",
    dict: lambda value, _: f"object of {len(value)} fields",
}
