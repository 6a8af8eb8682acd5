"""Adds to a contract what its records need, if its modes say ``evolve``.

A change depends only on the contract so far and on one value. So a load evolves in the same way, no matter how it is
cut into slices or how often it is resumed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from airflow_provider_genesys.contracts.coerce import coerced
from airflow_provider_genesys.contracts.column import (
    PROCESSED_AT,
    SYSTEM_NAMES,
    Column,
    ColumnType,
    Path,
    readable,
    snake_case,
    steps,
)
from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.contracts.drift import Surprise

MOST_COLUMNS = 300
"""A contract with this many columns stops growing: records that use ids as field names would add columns for ever."""
LONGEST_PATH = 200
"""Characters of the path of a new column. It is kept in the contract, and in every checkpoint and certificate."""
LONGEST_NAME = 48
"""Longest name of a new column, with underscores between words. PostgreSQL allows 63, and variants add a suffix."""


def changes(contract: Contract, surprise: Surprise) -> list[Column]:
    """Return the columns to add or change so that the record fits; none if the contract cannot take it in."""
    column, text = surprise.column, surprise.text
    if surprise.kind == "missing":
        return _optional(contract, column)
    if text is None or text == b"null" or not can_grow(contract, surprise.path):
        return []
    if surprise.kind == "unknown":
        kind = inferred(text)
        return [Column(_free_name(contract, surprise.path), ".".join(surprise.path), kind)] if kind else []
    variant = variant_of(contract, surprise.path, text, column)
    if variant is None or (column and column.name == contract.key):
        return []
    return [*(_optional(contract, column) if column and column.required else []), variant]


def can_grow(contract: Contract, path: Path) -> bool:
    """Whether the contract has room for a column, and ``path`` can be written as one."""
    if len(contract.columns) >= MOST_COLUMNS or path == (PROCESSED_AT,):
        return False
    written = ".".join(path)
    return len(written) <= LONGEST_PATH and steps(written) == path and readable(path[-1])


def difference(before: Contract, after: Contract) -> str:
    """Describe how ``after`` has evolved from ``before``."""
    said = []
    names = {column.name for column in before.columns}
    for column in after.columns:
        if column.name not in names:
            said.append(f"there is a column {column.name!r} of type {column.type}")
        elif column not in before.columns:
            said.append(f"column {column.name!r} may be null")
    return ", ".join(said)


def inferred(text: bytes) -> ColumnType | None:
    """Return the type of a new column for the JSON value ``text``; None if it cannot be read.

    A text that looks like a time still gets the type string. With a timestamp column, the first other text would be
    rejected.
    """
    for kind in _candidates(text):
        try:
            coerced(kind, text)
        except ValueError:
            continue
        return kind
    return None


def variant_of(contract: Contract, path: Path, text: bytes, column: Column | None = None) -> Column | None:
    """Return the variant column for values like ``text``, if the column of ``path`` has another type.

    Example: ``duration`` is an integer, and a record has a text there. The text lands in ``duration__v_string``. The
    variant may exist already, or be new. Personal data is protected in it as in ``column``. None if the contract
    expects an object at ``path`` that holds personal data.
    """
    kind = inferred(text)
    if kind is None or (column is None and _protects_inside(contract, path)):
        return None
    pii = column.pii if column else "keep"
    if pii != "keep" and kind != "string":
        kind = "json"
    place = column.path if column else ".".join(path)
    for known in contract.columns:
        if known.variant and (known.path, known.type) == (place, kind):
            return known
    stem = column.name if column else _joined(path)
    return Column(_free(contract, f"{_cut(stem)}__v_{kind}"), place, kind, pii=pii, variant=True)


def _protects_inside(contract: Contract, path: Path) -> bool:
    columns = (*contract.columns, *contract.dropped)
    return any(column.pii != "keep" or column.pii_inside for column in columns if column.keys[: len(path)] == path)


def _candidates(text: bytes) -> Sequence[ColumnType]:
    if text.startswith(b'"'):
        return ("string",)
    if text in (b"true", b"false"):
        return ("boolean",)
    if text.startswith((b"{", b"[")):
        return ("json",)
    return ("number", "decimal", "json") if re.search(rb"[.eE]", text) else ("integer", "decimal", "json")


def _optional(contract: Contract, column: Column | None) -> list[Column]:
    if column is None or column.name == contract.key:
        return []
    return [replace(column, required=False)]


def _free_name(contract: Contract, path: Path) -> str:
    name = re.sub(r"\W", "_", _joined(path), flags=re.ASCII).strip("_") or "field"
    return _free(contract, _cut(name))


def _cut(name: str) -> str:
    name = name[:LONGEST_NAME]
    while len(name.encode()) + sum(map(str.isupper, name)) > LONGEST_NAME:
        name = name[:-1]
    return name


def _joined(path: Path) -> str:
    """Return the steps as one word, in the style of the built-in contracts: ``queue.name`` becomes ``queueName``."""
    return path[0] + "".join(step[:1].upper() + step[1:] for step in path[1:])


def _free(contract: Contract, name: str) -> str:
    """Return ``name``, with a number added if a column has it, or PostgreSQL keeps it for itself.

    Capitals and underscores are ignored.
    """
    taken = {_plain(column.name) for column in (*contract.columns, *contract.dropped)}
    number, free = 1, name
    while _plain(free) in taken or snake_case(free) in SYSTEM_NAMES:
        number += 1
        free = f"{name}_{number}"
    return free


def _plain(name: str) -> str:
    return name.replace("_", "").lower()
