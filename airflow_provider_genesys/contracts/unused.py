"""Which places of a contract no record has a value at: a path that is misspelt is null in every row without a word."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from airflow_provider_genesys.contracts.column import PROCESSED_AT, Pii, Steps, steps
from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.contracts.drift import Drift
from airflow_provider_genesys.contracts.json_path import has_value
from airflow_provider_genesys.exceptions import ContractError
from airflow_provider_genesys.source.records import Slice


@dataclass(frozen=True)
class _NamedPlace:
    """One place that a contract names: a column, or what is protected inside one."""

    path: str
    steps: Steps
    pii: Pii
    may_be_empty: bool
    index: int | None = None
    """Place of the column in a row; None if rows do not hold it, or have its default."""


class Unused:
    """The places that no record has had a value at so far.

    :param paths: those that an earlier reader of the load has left; None where there was none.
    """

    def __init__(self, contract: Contract, paths: list[str] | None) -> None:
        self._places = {place.path: place for place in _places(contract) if paths is None or place.path in paths}

    @property
    def paths(self) -> list[str]:
        """Where they are in a record, as the contract writes paths."""
        return list(self._places)

    def take(self, part: Slice, empty: Collection[int]) -> None:
        """Look at the records of ``part``. In their rows, the columns at the places ``empty`` have no value."""
        for path, place in list(self._places.items()):
            landed = place.index is not None and place.index not in empty
            # To search the records takes time, and would only tell apart what is drift in any case.
            searched = place.index is None or not place.may_be_empty
            if landed or (searched and _is_met(part, place.steps)):
                del self._places[path]


def judge_unused(contract: Contract, paths: list[str], records: int, *, allow_protected: bool) -> list[Drift]:
    """Return the drift of a load of ``records`` rows, none of which has a value at ``paths``.

    Of a load without rows nothing is known.

    :param allow_protected: whether what the contract protects may be among them.
    :raises ContractError: it is, and the contract does not allow it with ``may_be_empty``. Its values may be elsewhere
        in the record, and land in clear.
    """
    wanted = [place for place in _places(contract) if place.path in paths and not place.may_be_empty]
    protected = [f"{place.path!r} (pii: {place.pii})" for place in wanted if place.pii != "keep"]
    if records and protected and not allow_protected:
        raise ContractError(
            f"Contract {contract.name}: none of {records} records has a value at {', '.join(protected)}. Where the "
            "path is wrong, the personal data is elsewhere in the record, and nothing protects it there: compare the "
            "path with a record. Where it is right, set may_be_empty: true at the column, or "
            "allow_unused_protected=True in the operator."
        )
    return [Drift(place.path, "unused", records) for place in wanted] if records else []


def _places(contract: Contract) -> Iterator[_NamedPlace]:
    own = list(_of_columns(contract))
    yield from own
    yield from _of_children(contract, {place.path for place in own})


def _of_columns(contract: Contract) -> Iterator[_NamedPlace]:
    index = {column.name: place for place, column in enumerate(contract.columns)}
    may_lack = contract.modes.missing in ("evolve", "discard_value")
    for column in (*contract.columns, *contract.dropped):
        if column.path == PROCESSED_AT or column.variant:
            continue
        if not column.required or may_lack:
            # A column with a default has a value in each row, so its records have to be searched.
            place = index.get(column.name) if column.default is None else None
            yield _NamedPlace(column.path, steps(column.path), column.pii, column.may_be_empty, place)
        for path, action in column.pii_inside:
            dot = "" if path.startswith("[") else "."
            whole = f"{column.path}{dot}{path}"
            yield _NamedPlace(whole, steps(whole), action, column.may_be_empty)


def _of_children(contract: Contract, known: Collection[str]) -> Iterator[_NamedPlace]:
    """Yield what only children read; all of it is in a column of type json, which says nothing of it."""
    for child in contract.children:
        for column in child.columns:
            path = ".".join(child.path_to(column))
            if path not in known and not column.may_be_empty:
                yield _NamedPlace(path, child.steps_to(column), "keep", may_be_empty=False)


def _is_met(part: Slice, path: Steps) -> bool:
    """Whether a record has a value at ``path``, also one that does not land in its column."""
    key = next(step for step in reversed(path) if isinstance(step, str))
    named = b'"%b"' % key.encode()
    if part.data.find(named) < 0:
        return False
    if part.data.count(named) == sum(part.data.count(named + null) for null in (b":null", b": null")):
        return False
    return any(has_value(part.raw(start, end), path) for start, end in zip(part.starts, part.ends, strict=True))
