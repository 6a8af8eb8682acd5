"""Child rows: the objects in the lists of one of a record's columns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import get_args

from airflow_provider_genesys.contracts.column import (
    EVERY,
    KEPT_BY_POSTGRESQL,
    SYSTEM_NAMES,
    UNREADABLE,
    ColumnType,
    Path,
    Steps,
    readable,
    snake_case,
)
from airflow_provider_genesys.exceptions import ContractError

_TYPES = get_args(ColumnType)

_UP = re.compile(r"((?:\.\./)*)([^./]+)")


@dataclass(frozen=True)
class ChildColumn:
    """One column of a child.

    :param path: a member of the object, or, behind ``../`` once or more, of an object that it is in.
    :param may_be_empty: a load in which no record has a value for the column is as it should be.
    """

    name: str
    path: str
    type: ColumnType
    description: str = ""
    may_be_empty: bool = False

    def __post_init__(self) -> None:
        match = _UP.fullmatch(self.path)
        if match is None or self.type not in _TYPES:
            raise ContractError(
                f"Child column {self.name!r}: its path is a member, perhaps behind '../', its type one of "
                f"{', '.join(_TYPES)}; not {self.path!r} and {self.type!r}."
            )
        for setting in (self.name, self.path):
            if not readable(setting):
                raise ContractError(f"Child column {self.name!r}: {setting!r} {UNREADABLE}.")
        if snake_case(self.name) in SYSTEM_NAMES:
            raise ContractError(f"No child column can be called {self.name!r}: {KEPT_BY_POSTGRESQL}.")

    @property
    def place(self) -> tuple[int, str]:
        """How many objects further out it is, and the member's name."""
        return self.path.count("../"), self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Child:
    """The objects that lie in lists within lists of a record, each a row with the record's key and its ordinal.

    :param name: name of its table, appended to that of the records' table.
    :param path: names of the lists, outermost first, joined by dots; the first is a column of the contract, of type
        json.
    """

    name: str
    path: str
    columns: tuple[ChildColumn, ...]

    def __post_init__(self) -> None:
        if not readable(self.path):
            raise ContractError(f"Child {self.name!r}: the path {self.path!r} {UNREADABLE}.")
        for column in self.columns:
            if column.place[0] > len(self.lists):
                raise ContractError(
                    f"Child {self.name!r}: {column.path!r} of {column.name!r} leads out of the list {self.source!r}. "
                    "Rows have the record's key, and can be joined with it.",
                    about=f"children.{self.name}.{column.name}",
                )

    @property
    def source(self) -> str:
        """Path of the column that holds the outermost list."""
        return self.path.partition(".")[0]

    @property
    def lists(self) -> list[str]:
        """Names of the lists inside the outermost one, outermost first."""
        return self.path.split(".")[1:]

    def steps_to(self, column: ChildColumn) -> Steps:
        """Return where ``column`` is in a record."""
        *lists, member = self.path_to(column)
        found: list[str | int] = []
        for name in lists:
            found += (name.removesuffix("[]"), EVERY)
        return (*found, member)

    def path_to(self, column: ChildColumn) -> Path:
        """Return the same as names of fields: those of lists end in ``[]``."""
        up, member = column.place
        names = [self.source, *self.lists]
        return (*(f"{name}[]" for name in names[: len(names) - up]), member)
