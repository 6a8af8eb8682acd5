"""Compiles a contract into the structs and the row function that read a whole slice in one call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from airflow_provider_genesys.contracts.coerce import coerced, decimal_of, default_of, float_of, is_of_kind
from airflow_provider_genesys.contracts.column import PROCESSED_AT, Column, Path, readable
from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.contracts.json_path import picked
from airflow_provider_genesys.contracts.pii import Protection
from airflow_provider_genesys.times import in_utc

MOST_KNOWN = 500
"""This many fields that the contract does not name are compiled in. Records with further ones are read one by one."""

_TYPES: dict[str, Any] = {
    "string": str,
    "integer": Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)],
    "number": msgspec.Raw,
    "decimal": msgspec.Raw,
    "boolean": bool,
    "timestamp": datetime,
    "uuid": UUID,
    "json": msgspec.Raw,
}
_LONGEST_KEY = 200
_ID = Annotated[str, msgspec.Meta(min_length=1)]
_UNREAD = object()  # marks a field in the tree that is not read, or only inside a list
_NULL = object()  # marks a field that was only seen as null: with any other value the contract evolves
_JSON_NULL = msgspec.Raw(b"null")
_SEEN = msgspec.Raw | msgspec.UnsetType
_NOTHING = msgspec.Raw(b"")

Tree = dict[str, Any]


@dataclass(frozen=True)
class Compiled:
    """The code for a contract and the unnamed fields seen so far.

    ``decode(body, shape)`` returns one struct per record, or raises. ``decode_one(raw)`` does the same for one record.
    ``rows(structs, processed_at)`` returns the rows, or raises. ``columns(structs, processed_at)`` returns the same by
    column; those at the places ``raw`` hold JSON that is not copied to bytes. ``drift(structs)`` counts the records
    with each unnamed field.
    """

    decode: Callable[[memoryview, Literal["lines", "array"]], list[Any]]
    decode_one: Callable[[bytes], Any]
    rows: Callable[[list[Any], datetime], list[tuple[Any, ...]]]
    columns: Callable[[list[Any], datetime], list[list[Any]]]
    raw: frozenset[int]
    drift: Callable[[list[Any]], Counter[Path]]


def nameable(path: Path) -> bool:
    """Whether a field of this name is compiled in, to be counted."""
    return len(path[-1]) <= _LONGEST_KEY and readable(path[-1])


def compiled(
    contract: Contract,
    protections: Mapping[str, Protection],
    unnamed: Iterable[Path] = (),
    nulls: Iterable[Path] = (),
) -> Compiled:
    """Compile ``contract``.

    :param protections: the function that protects personal data, by column name.
    :param unnamed: paths of fields that were seen but are not in the contract. They are counted.
    :param nulls: such fields that were only seen as null, and may only be null.
    """
    counted_paths = {**dict.fromkeys(sorted(unnamed), _UNREAD), **dict.fromkeys(sorted(nulls), _NULL)}
    tree = _tree(contract)
    for path, leaf in counted_paths.items():
        _put(tree, path, leaf)
    record = _struct(tree, contract.key)
    lines, array = msgspec.json.Decoder(record), msgspec.json.Decoder(list[record])  # type: ignore[valid-type]

    def decode(body: memoryview, shape: Literal["lines", "array"]) -> list[Any]:
        return lines.decode_lines(body) if shape == "lines" else array.decode(b"".join((b"[", body, b"]")))

    rows, columns = _row_functions(contract, tree, protections)
    raw = frozenset(_raw_places(contract, protections))
    return Compiled(decode, lines.decode, rows, columns, raw, _drift_function(list(counted_paths), tree))


def _tree(contract: Contract) -> Tree:
    tree: Tree = {}
    read = [column for column in contract.columns if column.path != PROCESSED_AT and not column.variant]
    for column in (*read, *contract.dropped):
        if column.inside or column.pii == "drop":
            _put(tree, column.keys, _UNREAD)
    for column in read:
        if not column.inside:
            _put(tree, column.keys, column)
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
    if node is _UNREAD:
        return (name, _SEEN, msgspec.UNSET)
    if node is _NULL:
        return (name, msgspec.UnsetType | None, msgspec.UNSET)
    if isinstance(node, Column):
        kind = _ID if node.name == key and node.type == "string" else _TYPES[node.type]
        if node.required or node.expected:
            return (name, kind)
        return (name, kind, _NOTHING) if kind is msgspec.Raw else (name, kind | None, None)
    struct = _struct(node, key)
    return (name, struct) if _requires(node) else (name, struct | None, None)


def _requires(tree: Tree) -> bool:
    return any(
        node.required or node.expected if isinstance(node, Column) else isinstance(node, dict) and _requires(node)
        for node in tree.values()
    )


def _place(path: Path, tree: Tree, absent: str = "None") -> str:
    """Return the expression that reads ``path`` from the struct ``r``. It is ``absent`` if an object on the way is."""
    expression, optional = "r", []
    for step in path:
        if expression != "r" and not _requires(tree):
            optional.append(expression)
        expression += f".f{list(tree).index(step)}"
        tree = tree[step] if isinstance(tree[step], dict) else {}
    for parent in reversed(optional):
        expression = f"({absent} if {parent} is None else {expression})"
    return expression


def _row_functions(contract: Contract, tree: Tree, protections: Mapping[str, Protection]) -> tuple[Any, Any]:
    """Return what makes rows of structs, and what makes columns of them."""
    known = dict(_READERS)
    values = [_value(f"_{place}", column, tree, known) for place, column in enumerate(contract.columns)]
    for place, column in enumerate(contract.columns):
        values[place] = _finished(f"_{place}", values[place], column, protections.get(column.name), known)
    rows = f"lambda records, processed_at: [({', '.join(values)},) for r in records]"
    for place in _raw_places(contract, protections):
        values[place] = _raw_value(contract.columns[place], tree)
    columns = f"lambda records, processed_at: [{', '.join(map(_column, values))}]"
    # The sources have only generated names: no text of a contract or a record gets into them.
    return eval(rows, known), eval(columns, known)  # noqa: S307


def _column(value: str) -> str:
    """Return the expression of a whole column. One loop per column takes half the time of one that makes tuples."""
    return "[processed_at] * len(records)" if value == "processed_at" else f"[{value} for r in records]"


def _raw_places(contract: Contract, protections: Mapping[str, Protection]) -> Iterator[int]:
    """Yield the places of the columns that hold a value of the record as it is: JSON without default or protection."""
    for place, column in enumerate(contract.columns):
        changed = column.inside or column.variant or column.default is not None or column.name in protections
        if column.type == "json" and not changed:
            yield place


def _raw_value(column: Column, tree: Tree) -> str:
    place = _place(column.keys, tree)
    return f"required_raw({place})" if column.required or column.expected else _RAW.format(place)


def _value(suffix: str, column: Column, tree: Tree, known: dict[str, Any]) -> str:
    """Return the expression of a column's value. Its functions, named with ``suffix``, are put into ``known``."""
    if column.path == PROCESSED_AT:
        return "processed_at"
    if column.variant:  # its values are of a type that the structs refuse
        return "None"
    place = _place(column.keys, tree)
    if column.inside:
        known[f"list{suffix}"] = _list_reader(column)
        return f"list{suffix}({place})"
    required = f"required_{column.type}" if column.required or column.expected else ""
    reader = required if required in _READERS else column.type
    if len(column.keys) == 1 and reader in _INLINE:
        return _INLINE[reader].format(place)
    return f"{reader}({place})" if reader in _READERS else place


def _finished(suffix: str, value: str, column: Column, protect: Protection | None, known: dict[str, Any]) -> str:
    """Return the expression of ``value``, extended by its default and its protection."""
    if protect is None and column.default is None:
        return value
    known[f"default{suffix}"] = None if column.default is None else default_of(column)
    known[f"protect{suffix}"] = protect
    protected = f"protect{suffix}(v)" if protect else "v"
    return f"(default{suffix} if (v := {value}) is None else {protected})"


def _list_reader(column: Column) -> Callable[[Any], Any]:
    """Return the reader of a value inside a list. It raises :class:`ValueError` if the record has to be examined."""

    def read(raw: Any) -> Any:
        text = picked(bytes(raw), column.inside) if isinstance(raw, msgspec.Raw) else None
        if (text is None and (column.required or column.expected)) or (text and not is_of_kind(column.type, text)):
            raise ValueError
        return None if text is None else coerced(column.type, text)

    return read


def _drift_function(paths: list[Path], tree: Tree) -> Callable[[list[Any]], Counter[Path]]:
    if not paths:
        return lambda _: Counter()
    names = {"UNSET": msgspec.UNSET}
    readers = {path: eval(f"lambda r: {_place(path, tree, 'UNSET')}", dict(names)) for path in paths}  # noqa: S307 - as above

    def drift(records: list[Any]) -> Counter[Path]:
        return Counter({path: count for path, read in readers.items() if (count := _present(read, records))})

    return drift


def _present(read: Callable[[Any], Any], records: list[Any]) -> int:
    return len(records) - list(map(read, records)).count(msgspec.UNSET)


def _timestamp(value: datetime | None) -> datetime | None:
    return value if value is None or value.tzinfo is timezone.utc else in_utc(value)


def _json(value: msgspec.Raw | None) -> bytes | None:
    text = b"" if value is None else bytes(value)
    return text if text and text != b"null" else None


def _required_json(value: msgspec.Raw) -> bytes:
    text = _json(value)
    if text is None:
        raise ValueError
    return text


def _required_raw(value: msgspec.Raw) -> msgspec.Raw:
    if not value or value == _JSON_NULL:
        raise ValueError
    return value


def _number(value: msgspec.Raw) -> float | None:
    text = _json(value)
    return None if text is None else float_of(text.decode())


def _required_number(value: msgspec.Raw) -> float:
    return float_of(_required_json(value).decode())


def _decimal(value: msgspec.Raw) -> Decimal | None:
    text = _json(value)
    return None if text is None else _required_decimal(value)


def _required_decimal(value: msgspec.Raw) -> Decimal:
    text = _required_json(value)
    return decimal_of((text[1:-1] if text.startswith(b'"') else text).decode())


def _uuid(value: UUID | None) -> str | None:
    return None if value is None else str(value)


_READERS: dict[str, Any] = {
    "timestamp": _timestamp,
    "json": _json,
    "required_json": _required_json,
    "required_raw": _required_raw,
    "JSON_NULL": _JSON_NULL,
    "uuid": _uuid,
    "number": _number,
    "required_number": _required_number,
    "decimal": _decimal,
    "required_decimal": _required_decimal,
    "UTC": timezone.utc,
}
_RAW = "(t if (t := {0}) and t != JSON_NULL else None)"
_INLINE = {
    "timestamp": "(t if (t := {0}) is None or t.tzinfo is UTC else timestamp(t))",
    "json": "(t if (t := bytes({0})) and t != b'null' else None)",
}
"""Inline code for the usual case of a reader. Three function calls per record would take a sixth of all time."""
