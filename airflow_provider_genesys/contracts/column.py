"""One column of a contract: where its value is in a record, its type, and what becomes of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

from airflow_provider_genesys.exceptions import ContractError

ColumnType = Literal["string", "integer", "number", "decimal", "boolean", "timestamp", "uuid", "json"]
"""Value in a row: str · int · float · Decimal · bool · datetime (aware, UTC) · str (canonical) · bytes (JSON text)."""

Pii = Literal["keep", "drop", "hash", "mask"]
"""What becomes of personal data: it lands as it is · does not land · a keyed hash lands · a masked form lands."""

PROCESSED_AT = "@processed_at"
"""A path that reads the load's ``processed_at`` instead of a field of the record."""

EVERY = -1
"""The step of a path that means each element of a list, written ``[]``."""

Path = tuple[str, ...]
"""Keys from the record's top to a field."""

Steps = tuple[str | int, ...]
"""A path, step by step: keys, places in a list, :data:`EVERY`."""

SYSTEM_NAMES = frozenset({"cmax", "cmin", "ctid", "tableoid", "xmax", "xmin"})
"""Names that PostgreSQL keeps for itself in every table."""

_READABLE = re.compile(r'[^"\\\x00-\x1f\ud800-\udfff]*')
_STEP = re.compile(r"(?:^|\.)([^.\[\]]+)|\[(\d*)\]")


@dataclass(frozen=True)
class Column:
    """One column of the result.

    :param name: its name in the output, as the record's own style has it (``recordingId``).
    :param path: where in the record its value lies: ``queue.id``; ``participants[0].userId`` of the first element of a
        list; ``participants[].userId`` of each, as a JSON list. Or :data:`PROCESSED_AT`.
    :param type: see :data:`ColumnType`.
    :param required: a record without it is rejected. Other columns become null.
    :param description: for the table's comment and the docs.
    :param default: what replaces a value that is missing or null; of the column's type.
    :param pii: see :data:`Pii`.
    :param pii_inside: the same for places inside a ``json`` column, as pairs of path and action.
    :param expected: a record without it is counted as drift, though the column may be null.
    :param may_be_empty: a load in which no record has a value for the column is as it should be.
    :param variant: the column takes the values of its path that are not of the type of the path's own column.
    """

    name: str
    path: str
    type: ColumnType
    required: bool = False
    description: str = ""
    default: Any = None
    pii: Pii = "keep"
    pii_inside: tuple[tuple[str, Pii], ...] = ()
    expected: bool = False
    variant: bool = False
    may_be_empty: bool = False

    def __post_init__(self) -> None:
        if self.type not in get_args(ColumnType):
            raise self._error("type", f"unknown type {self.type!r}; one of {', '.join(get_args(ColumnType))}")
        if not readable(self.name):
            raise self._error("name", f"the name {UNREADABLE}")
        if self.path == PROCESSED_AT:
            return
        self._check_path()
        self._check_pii()
        if self.required and self.default is not None:
            raise self._error("default", "a column that is required is never missing, so it needs no default")

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The path up to the first list."""
        taken = steps(self.path)
        return tuple(step for step in taken[: _first_place(taken)] if isinstance(step, str))

    @cached_property
    def inside(self) -> Steps:
        """The path from the first list on; empty where there is none."""
        taken = steps(self.path)
        return taken[_first_place(taken) :]

    def _check_path(self) -> None:
        if not self.keys:
            raise self._error("path", f"the path {self.path!r} has to begin with a key and to have no empty step")
        if not all(map(readable, self.keys)):
            raise self._error("path", f"the path {self.path!r} {UNREADABLE}")
        if EVERY in self.inside and self.type != "json":
            raise self._error("type", f"{self.path!r} gives a list, so the type has to be json")

    def _check_pii(self) -> None:
        for action in (self.pii, *(action for _, action in self.pii_inside)):
            if action not in get_args(Pii):
                raise self._error("pii", f"unknown pii {action!r}; one of {', '.join(get_args(Pii))}")
        if self.pii in ("hash", "mask") and self.type not in ("string", "json"):
            raise self._error("pii", f"pii {self.pii!r} gives text, so the type has to be string or json")
        if self.pii_inside and (self.type != "json" or self.pii != "keep"):
            raise self._error("pii", "only a json column that is kept has places inside that can be named")
        for path, _ in self.pii_inside:
            if not steps(path):
                raise self._error("pii", f"the path {path!r} has an empty step")

    def _error(self, setting: str, what: str) -> ContractError:
        return ContractError(f"Column {self.name!r}: {what}.", about=setting)


def steps(path: str) -> Steps:
    """Return the steps of ``path``; nothing where it is no path."""
    taken: list[str | int] = []
    position = 0
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            return ()
        key, place = match.groups()
        taken.append(key if key is not None else int(place) if place else EVERY)
        position = match.end()
    return tuple(taken)


KEPT_BY_POSTGRESQL = "PostgreSQL keeps that name for itself. Give it another name, and this one as its path"
UNREADABLE = "has a quote, a backslash or a control character, which no column can have in its name or its path"


def readable(key: str) -> bool:
    """Whether a column can be read from a field of this name."""
    return _READABLE.fullmatch(key) is not None


def snake_case(name: str) -> str:
    """Return ``name`` in lower case, words parted by underscores: ``HTTPStatus.codeIds`` → ``http_status_code_ids``."""
    parted = re.sub(r"(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"\W", "_", parted).lower()


def _first_place(taken: Sequence[str | int]) -> int:
    return next((place for place, step in enumerate(taken) if not isinstance(step, str)), len(taken))
