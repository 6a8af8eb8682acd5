"""What a record becomes: the columns of one kind of export, and what happens if a record differs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from airflow_provider_genesys.contracts.child import Child, ChildColumn
from airflow_provider_genesys.contracts.coerce import default_of
from airflow_provider_genesys.contracts.column import (
    EVERY,
    KEPT_BY_POSTGRESQL,
    PROCESSED_AT,
    SYSTEM_NAMES,
    Column,
    ColumnType,
    snake_case,
    steps,
)
from airflow_provider_genesys.contracts.drift import Modes
from airflow_provider_genesys.contracts.file import read_file
from airflow_provider_genesys.exceptions import ContractError
from airflow_provider_genesys.outside import shown

__all__ = ["PROCESSED_AT", "RECORDINGS", "Column", "ColumnType", "Contract", "Modes", "built_in_names", "resolve"]

_BUILT_IN = Path(__file__).parent / "built_in"


@dataclass(frozen=True)
class Contract:
    """Columns of one export kind, versioned.

    :param key: name of the column that identifies a record; required and of type string or uuid.
    :param timestamp: name of the column that places a record in the window.
    :param columns: the columns that land, in the order of a row. Those with ``pii="drop"`` are moved to ``dropped``.
    :param modes: what is done where a record differs.
    :param pii_key: where the key of ``pii="hash"`` is kept: ``connection:<id>`` (its password) or ``variable:<key>``.
    :param dropped: columns that are known and do not land.
    :param children: further rows that a record has many of, out of its json columns.
    :param records_path: where the array of records is in an archive that is neither NDJSON nor an array of them: the
        keys that lead there, joined by dots, as ``entities`` or ``data.recordings``.
    """

    name: str
    version: int
    key: str
    timestamp: str
    columns: tuple[Column, ...]
    modes: Modes = field(default_factory=Modes)
    pii_key: str | None = None
    dropped: tuple[Column, ...] = ()
    children: tuple[Child, ...] = ()
    records_path: str | None = None

    def __post_init__(self) -> None:
        self._check_records_path()
        self._check_names()
        self._check_paths()
        self._check_roles()
        for column in self.columns:
            self._check_default(column)
        self._check_children()
        landing = tuple(self._demanding(column) for column in self.columns if column.pii != "drop")
        dropped = tuple(column for column in self.columns if column.pii == "drop")
        object.__setattr__(self, "columns", landing)
        object.__setattr__(self, "dropped", (*self.dropped, *dropped))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything that changes what a record becomes; 16 hex digits."""
        facts = asdict(self)
        children = [column for child in facts["children"] for column in child["columns"]]
        for column in (*facts["columns"], *facts["dropped"], *children):
            del column["description"], column["may_be_empty"]
        return hashlib.sha256(msgspec.json.encode(facts)).hexdigest()[:16]

    @property
    def hashes(self) -> bool:
        """Whether a value is hashed, so that a key is needed."""
        return any("hash" in (column.pii, *(action for _, action in column.pii_inside)) for column in self.columns)

    def __str__(self) -> str:
        return f"{self.name}@{self.version}#{self.fingerprint}"

    def index(self, column: str) -> int:
        """Return the place of ``column`` in a row."""
        return [c.name for c in self.columns].index(column)

    def with_modes(self, changes: Mapping[str, Any]) -> Contract:
        """Return the contract with other modes, by kind.

        :raises ContractError: a kind or a mode is unknown.
        """
        return replace(self, modes=self.modes.changed(changes))

    def with_gaps(self) -> Contract:
        """Return the contract with paths that are known to be right: any column of it may be without a value."""
        children = tuple(replace(child, columns=_with_gaps(child.columns)) for child in self.children)
        return replace(self, columns=_with_gaps(self.columns), children=children)

    def evolved(self, columns: Sequence[Column]) -> Contract:
        """Return the contract with ``columns``: each replaces that of its name, or comes after all others."""
        changed = {column.name: column for column in columns}
        kept = [changed.pop(column.name, column) for column in self.columns]
        return replace(self, columns=(*kept, *changed.values()))

    def _check_records_path(self) -> None:
        keys = ["none"] if self.records_path is None else self.records_path.split(".")
        if not all(keys):
            raise self._error("records_path", f"records_path {self.records_path!r} has a step without a name")
        if "item" in keys:
            raise self._error(
                "records_path",
                f"records_path {self.records_path!r} goes through an array ('item'); only objects may lead to the one "
                "array of records, as in 'entities' or 'data.recordings'",
            )

    def _check_names(self) -> None:
        names = [column.name for column in (*self.columns, *self.dropped)]
        for name in names:
            if names.count(name) > 1:
                raise self._error(f"columns.{name}", f"two columns have the name {name!r}")
            if snake_case(name) in SYSTEM_NAMES:
                raise self._error(f"columns.{name}", f"no column can be called {name!r}: {KEPT_BY_POSTGRESQL}")

    def _check_paths(self) -> None:
        """Objects and lists that are read into cannot be columns of their own; a list as a whole can."""
        columns = [c for c in (*self.columns, *self.dropped) if c.path != PROCESSED_AT and not c.variant]
        objects = {column.keys[:length] for column in columns for length in range(1, len(column.keys))}
        paths: dict[str, str] = {}
        for column in columns:
            if column.path in paths:
                raise self._error(
                    f"columns.{column.name}", f"{paths[column.path]!r} and {column.name!r} have the same path"
                )
            if column.keys in objects:
                raise self._error(
                    f"columns.{column.name}", f"{column.path!r} is a column, and another one reads a field inside it"
                )
            paths[column.path] = column.name
        self._check_lists(columns)

    def _check_lists(self, columns: list[Column]) -> None:
        """Refuse a list as a whole that is not json, or shows what a column of a value inside it protects."""
        inside = [column for column in columns if column.inside]
        for whole in (column for column in columns if not column.inside):
            read = [column for column in inside if column.keys == whole.keys]
            if read and whole.type != "json":
                raise self._error(f"columns.{whole.name}", f"{whole.path!r} is read as a list, so it has to be json")
            for column in read:
                if column.pii != "keep" and whole.pii == "keep" and not whole.pii_inside:
                    what = f"{column.path!r} lands in clear inside {whole.name!r}; name it in the pii of that column"
                    raise self._error(f"columns.{column.name}", what)

    def _check_roles(self) -> None:
        roles = {column.name: column for column in self.columns}
        for role, name in (("key", self.key), ("timestamp", self.timestamp)):
            if name not in roles:
                raise self._error(role, f"there is no column {name!r}; it has {', '.join(roles)}")
        key, timestamp = roles[self.key], roles[self.timestamp]
        if not key.required or key.type not in ("string", "uuid"):
            raise self._error(
                f"columns.{self.key}", f"the key column {self.key!r} has to be required, of type string or uuid"
            )
        if key.pii not in ("keep", "hash"):
            raise self._error(
                f"columns.{self.key}", f"the key column {self.key!r} has to tell records apart: keep or hash it"
            )
        if timestamp.type != "timestamp" or timestamp.pii != "keep":
            raise self._error(
                f"columns.{self.timestamp}", f"the column {self.timestamp!r} has to be a timestamp that is kept"
            )

    def _check_default(self, column: Column) -> None:
        if column.default is None:
            return
        try:
            default_of(column)
        except ValueError:
            raise self._error(
                f"columns.{column.name}", f"the default of {column.name!r} is not of type {column.type}"
            ) from None

    def _check_children(self) -> None:
        lists = {column.path: column for column in self.columns if column.type == "json" and column.pii != "drop"}
        for child in self.children:
            if child.source not in lists:
                raise self._error("children", f"child {child.name!r} needs {child.source!r} as a column of type json")
            for column in child.columns:
                self._check_protected(lists[child.source], child, column)

    def _check_protected(self, source: Column, child: Child, column: ChildColumn) -> None:
        """Refuse a child column that reads what its source protects, where that is never a value of its type."""
        place = child.steps_to(column)[1:]
        for path, action in (("", source.pii), *source.pii_inside):
            protected = steps(path)
            reaches = len(protected) <= len(place) and all(map(_may_be, protected, place))
            reads_text = column.type in ("string", "json") and (action == "mask" or len(protected) == len(place))
            if action in ("hash", "mask") and reaches and not reads_text:
                raise self._error(
                    f"children.{child.name}.{column.name}",
                    f"child {child.name!r} reads {column.name!r} as {column.type} out of {source.path!r}, where pii "
                    f"{action!r} {f'of {path!r} ' if path else ''}puts text in its place",
                )

    def _demanding(self, column: Column) -> Column:
        """Return ``column`` as the mode of missing values has it: with ``discard_value`` it may be null."""
        wanted = column.required or column.expected
        relaxed = wanted and self.modes.missing == "discard_value" and column.name != self.key
        return replace(column, required=wanted and not relaxed, expected=relaxed)

    def _error(self, about: str, what: str) -> ContractError:
        return ContractError(f"Contract {self.name}: {what}.", about=about)


_Any = TypeVar("_Any", Column, ChildColumn)


def _with_gaps(columns: Sequence[_Any]) -> tuple[_Any, ...]:
    return tuple(replace(column, may_be_empty=True) for column in columns)


def _may_be(protected: str | int, step: str | int) -> bool:
    """Whether a step of a child's path may lead where one of a protected path does: each element, or one of them."""
    return protected == step or (step == EVERY and isinstance(protected, int))


Check = Callable[[Contract], object]
"""Raises :class:`ContractError` where a sink cannot take the contract."""


def load_contract(path: Path, check: Check | None = None) -> Contract:
    """Read the contract in a YAML file.

    :raises ContractError: it cannot be read or is not valid; the message names the file and the line.
    """
    written = read_file(path)
    try:
        return checked(Contract(**written.arguments), check)
    except ContractError as error:
        raise written.located(error) from None


def checked(contract: Contract, check: Check | None) -> Contract:
    """Return ``contract``, of which ``check`` has not said that it is not valid."""
    if check:
        check(contract)
    return contract


def built_in_names() -> list[str]:
    """Return the names of the contracts that come with the package."""
    return sorted(path.stem for path in _BUILT_IN.glob("*.yaml"))


@cache
def built_in(name: str) -> Contract:
    """Return the contract of that name that comes with the package.

    :raises ContractError: there is none.
    """
    if name not in built_in_names():
        raise ContractError(
            f"There is no contract {shown(name, 80)!r}. Built in are: {', '.join(built_in_names())}. A contract file "
            "is named by its path, which ends in .yaml or .yml."
        )
    return load_contract(_BUILT_IN / f"{name}.yaml").with_gaps()


def resolve(
    contract: str | Contract | None,
    *,
    kind: str,
    folder: str | Path = ".",
    check: Check | None = None,
) -> Contract:
    """Return the contract that ``contract`` represents.

    :param contract: itself, the path of a YAML file, the name of a built-in one, or None for that of ``kind``.
    :param folder: what a relative path begins at.
    :raises ContractError: there is none, or it is not valid.
    """
    if isinstance(contract, str) and contract.endswith((".yaml", ".yml")):
        return load_contract(Path(folder) / contract, check)
    if contract is not None and not isinstance(contract, (str, Contract)):
        raise ContractError(
            f"{shown(contract, 80)!r} is no contract. Give the name of one, or the path of a YAML file."
        )
    return checked(contract if isinstance(contract, Contract) else built_in(contract or kind), check)


RECORDINGS = built_in("recordings")
