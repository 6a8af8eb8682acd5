"""Compile a contract into the structs and the row function that read a whole slice at once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from airflow_provider_genesys.pipeline.coerce import counted
from airflow_provider_genesys.pipeline.column import PROCESSED_AT, Column
from airflow_provider_genesys.pipeline.contract import Contract

Path = tuple[str, ...]
"""Keys from the record's top to a field."""

MOST_KNOWN = 500
"""So many fields that the contract does not name are compiled in; records with others are read one by one."""

_TYPES: dict[str, Any] = {
    "string": str,
    "integer": Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)],
    "number": float,
    "decimal": Decimal,
    "boolean": bool,
    "timestamp": datetime,
    "uuid": UUID,
    "json": msgspec.Raw,
}
_NAMEABLE = re.compile(r'[^"\\\x00-\x1f]{0,200}')
_ID = Annotated[str, msgspec.Meta(min_length=1)]
_UNNAMED = object()  # stands in the tree for a field that the contract does not name
_SEEN = msgspec.Raw | msgspec.UnsetType
_NOTHING = msgspec.Raw(b"")

Tree = dict[str, Any]


@dataclass(frozen=True)
class Compiled:
    """A contract, and the unnamed fields seen so far, made into code.

    ``decode(body, shape)`` gives one struct per record, or raises; ``rows(structs, processed_at)`` the rows, or
    raises; ``drift(structs)`` how many records hold each unnamed field.
    """

    decode: Callable[[bytes, Literal["lines", "array"]], list[Any]]
    rows: Callable[[list[Any], datetime], list[tuple[Any, ...]]]
    drift: Callable[[list[Any]], Counter[Path]]


def nameable(path: Path) -> bool:
    """Whether a struct can have a field of this name."""
    return _NAMEABLE.fullmatch(path[-1]) is not None


def compiled(contract: Contract, known: Iterable[Path]) -> Compiled:
    """Compile ``contract``; ``known`` are paths of fields that it does not name but that were seen."""
    unnamed = sorted(known)
    tree = _tree(contract, unnamed)
    record = _struct(tree, contract.key)
    lines, array = msgspec.json.Decoder(record), msgspec.json.Decoder(list[record])  # type: ignore[valid-type]

    def decode(body: bytes, shape: Literal["lines", "array"]) -> list[Any]:
        return lines.decode_lines(body) if shape == "lines" else array.decode(b"[" + body + b"]")

    return Compiled(decode, _row_function(contract, tree), _drift_function(unnamed, tree))


def _tree(contract: Contract, unnamed: list[Path]) -> Tree:
    tree: Tree = {}
    for column in contract.columns:
        if column.path != PROCESSED_AT:
            _put(tree, tuple(column.path.split(".")), column)
    for path in unnamed:
        _put(tree, path, _UNNAMED)
    return tree


def _put(tree: Tree, path: Path, leaf: Any) -> None:
    for step in path[:-1]:
        tree = tree.setdefault(step, {})
    tree[path[-1]] = leaf


def _struct(tree: Tree, key: str) -> Any:
    fields = [_field(f"f{index}", node, key) for index, node in enumerate(tree.values())]
    names = {f"f{index}": key for index, key in enumerate(tree)}
    return msgspec.defstruct(
        "Record", fields, rename=names, forbid_unknown_fields=True, kw_only=True, gc=False, frozen=False
    )


def _field(name: str, node: Any, key: str) -> Any:
    if node is _UNNAMED:
        return (name, _SEEN, msgspec.UNSET)
    if isinstance(node, Column):
        kind = _ID if node.name == key and node.type == "string" else _TYPES[node.type]
        if node.required:
            return (name, kind)
        return (name, kind, _NOTHING) if node.type == "json" else (name, kind | None, None)
    struct = _struct(node, key)
    return (name, struct) if _requires(node) else (name, struct | None, None)


def _requires(tree: Tree) -> bool:
    return any(
        node.required if isinstance(node, Column) else node is not _UNNAMED and _requires(node)
        for node in tree.values()
    )


def _place(path: Path, tree: Tree) -> str:
    """Return the expression that reads ``path`` from the struct ``r``; None where an object on the way is missing."""
    expression, optional = "r", []
    for step in path:
        if expression != "r" and not _requires(tree):
            optional.append(expression)
        expression += f".f{list(tree).index(step)}"
        tree = tree[step] if isinstance(tree[step], dict) else {}
    for parent in reversed(optional):
        expression = f"(None if {parent} is None else {expression})"
    return expression


def _row_function(contract: Contract, tree: Tree) -> Callable[[list[Any], datetime], list[tuple[Any, ...]]]:
    values = ", ".join(_value(column, tree) for column in contract.columns)
    source = f"lambda records, processed_at: [({values},) for r in records]"
    # The source holds nothing but generated names: no text of a contract or a record gets into it.
    return eval(source, _READERS)  # type: ignore[no-any-return]  # noqa: S307


def _value(column: Column, tree: Tree) -> str:
    if column.path == PROCESSED_AT:
        return "processed_at"
    path = tuple(column.path.split("."))
    place = _place(path, tree)
    reader = "required_json" if column.type == "json" and column.required else column.type
    if len(path) == 1 and reader in _INLINE:
        return _INLINE[reader].format(place)
    return f"{reader}({place})" if reader in _READERS else place


def _drift_function(unnamed: list[Path], tree: Tree) -> Callable[[list[Any]], Counter[Path]]:
    if not unnamed:
        return lambda _: Counter()
    readers = {path: eval(f"lambda r: {_place(path, tree)}") for path in unnamed}  # noqa: S307 - as above

    def drift(records: list[Any]) -> Counter[Path]:
        return Counter({path: count for path, read in readers.items() if (count := _present(read, records))})

    return drift


def _present(read: Callable[[Any], Any], records: list[Any]) -> int:
    return sum(value is not msgspec.UNSET and value is not None for value in map(read, records))


def _timestamp(value: datetime | None) -> datetime | None:
    """Return ``value`` in UTC. Genesys gives every time in UTC, so a time without a zone is one in UTC."""
    if value is None or value.tzinfo is timezone.utc:
        return value
    return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)


def _json(value: msgspec.Raw | None) -> bytes | None:
    text = b"" if value is None else bytes(value)
    return text if text and text != b"null" else None


def _required_json(value: msgspec.Raw) -> bytes:
    text = _json(value)
    if text is None:
        raise ValueError
    return text


def _uuid(value: UUID | None) -> str | None:
    return None if value is None else str(value)


_READERS: dict[str, Any] = {
    "timestamp": _timestamp,
    "json": _json,
    "required_json": _required_json,
    "uuid": _uuid,
    "decimal": counted,
    "UTC": timezone.utc,
}
_INLINE = {
    "timestamp": "(t if (t := {0}) is None or t.tzinfo is UTC else timestamp(t))",
    "json": "(t if (t := bytes({0})) and t != b'null' else None)",
}
"""The usual case of a reader without a call, which three times a record is a sixth of all time."""
