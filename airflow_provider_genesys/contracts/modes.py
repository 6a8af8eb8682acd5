"""What to do with a record that differs from its contract, for each kind of difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from airflow_provider_genesys.exceptions import ContractError

Mode = Literal["evolve", "freeze", "discard_value", "quarantine"]
"""The contract takes it in · the load fails · the value is left out · the record is dead-lettered."""

Kind = Literal["unknown", "type", "missing"]
"""A field that the contract does not name · a value of another type · no value in a required column."""


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
