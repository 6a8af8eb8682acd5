"""Read a contract file: YAML, of which every error names the file and the line.

What it may say is in ``docs/contracts.md``. The file is read node by node, since only nodes know their lines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from airflow_provider_genesys.contracts.child import Child, ChildColumn
from airflow_provider_genesys.contracts.column import PROCESSED_AT, Column
from airflow_provider_genesys.contracts.drift import Modes
from airflow_provider_genesys.exceptions import ContractError

_TOP = ("name", "version", "key", "timestamp", "modes", "pii_key", "records_path", "source", "columns", "children")
_NEEDED = ("name", "version", "key", "timestamp", "columns")
_NEEDED_OF_A_LISTING = ("name", "version", "key", "source", "columns")
_PROCESSED = "processedAt"
_SETTINGS = ("path", "type", "required", "default", "pii", "may_be_empty", "description")
_LARGEST = 1024 * 1024


@dataclass
class ContractFile:
    """What a file says: the arguments of a contract, and the line of each thing that an error can be about."""

    path: Path
    arguments: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    source: yaml.Node | None = None
    """Where a listing comes from; None where the file is the contract of an export."""

    def located(self, error: ContractError) -> ContractError:
        """Return ``error`` with file and line."""
        return self.error(self.lines.get(error.about or "", 1), str(error))

    def error(self, line: int, what: str) -> ContractError:
        """Return an error of ``line``, counted from 1."""
        return ContractError(f"{self.path}, line {line}: {what}", about=None)


def read_file(path: Path) -> ContractFile:
    """Read the contract file ``path``.

    :raises ContractError: it cannot be read, is no YAML, or says what no contract can say.
    """
    file = ContractFile(path)
    top = pairs_of(file, _composed(file), "The file", _TOP)
    needed = _NEEDED_OF_A_LISTING if "source" in top else _NEEDED
    for key in needed:
        if key not in top:
            raise file.error(1, f"{key!r} is missing. A contract has {', '.join(needed)}.")
    file.lines |= {key: line_of(node) for key, node in top.items()}
    file.arguments = {key: value_of(file, key, top[key], kind) for key, kind in _KINDS.items() if key in top}
    if "modes" in top:
        file.arguments["modes"] = _modes(file, top["modes"])
    columns = pairs_of(file, top["columns"], "'columns'")
    file.lines |= {f"columns.{name}": line_of(node) for name, node in columns.items()}
    file.arguments["columns"] = tuple(_column(file, name, node) for name, node in columns.items())
    if "children" in top:
        children = pairs_of(file, top["children"], "'children'")
        file.arguments["children"] = tuple(_child(file, name, node) for name, node in children.items())
    file.source = top.get("source")
    if "timestamp" not in top:
        _add_processed(file)
    return file


def _add_processed(file: ContractFile) -> None:
    """Add the column that places a record in time where the listing has none: when it was read."""
    described = "When the listing was read, UTC"
    processed = Column(_PROCESSED, PROCESSED_AT, "timestamp", required=True, description=described)
    file.arguments["timestamp"] = _PROCESSED
    if all(column.name != _PROCESSED for column in file.arguments["columns"]):
        file.arguments["columns"] += (processed,)


def _composed(file: ContractFile) -> yaml.Node:
    try:
        with file.path.open("rb") as opened:
            text = opened.read(_LARGEST + 1)
    except OSError as error:
        raise ContractError(f"The contract file {file.path.absolute()} cannot be read: {error.strerror}.") from error
    if len(text) > _LARGEST:
        raise file.error(1, f"the file is larger than {_LARGEST} bytes; that is no contract.")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise file.error(line, f"not YAML: {error.problem}.") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise file.error(1, f"not YAML: {type(error).__name__}.") from None
    if node is None:
        raise file.error(1, "the file is empty.")
    return node


def _modes(file: ContractFile, node: yaml.Node) -> Modes:
    pairs = pairs_of(file, node, "'modes'")
    try:
        return Modes().changed({kind: _scalar(file, mode) for kind, mode in pairs.items()})
    except ContractError as error:
        raise file.error(line_of(pairs.get(error.about or "", node)), str(error)) from None


def _column(file: ContractFile, name: str, node: yaml.Node) -> Column:
    place = f"Column {name!r}"
    pairs = pairs_of(file, node, place, _SETTINGS)
    if "type" not in pairs:
        raise file.error(line_of(node), f"{place}: 'type' is missing.")
    settings = {key: _setting(file, place, key, value) for key, value in pairs.items()}
    if isinstance(settings.get("pii"), tuple):
        settings["pii_inside"] = settings.pop("pii")
    try:
        return Column(name, **{"path": name, **settings})
    except ContractError as error:
        raise file.error(line_of(pairs.get(error.about or "", node)), str(error)) from None


def _child(file: ContractFile, name: str, node: yaml.Node) -> Child:
    pairs = pairs_of(file, node, f"Child {name!r}", ("path", "columns"))
    if "columns" not in pairs:
        raise file.error(line_of(node), f"Child {name!r}: 'columns' is missing.")
    columns = pairs_of(file, pairs["columns"], f"Child {name!r}: 'columns'")
    file.lines |= {f"children.{name}": line_of(node)}
    file.lines |= {f"children.{name}.{column}": line_of(value) for column, value in columns.items()}
    path = value_of(file, f"Child {name!r}: path", pairs["path"], str) if "path" in pairs else name
    found = tuple(_child_column(file, column, value) for column, value in columns.items())
    try:
        return Child(name, path, found)
    except ContractError as error:
        line = file.lines.get(error.about or "", line_of(pairs.get("path", node)))
        raise file.error(line, str(error)) from None


def _child_column(file: ContractFile, name: str, node: yaml.Node) -> ChildColumn:
    place = f"Child column {name!r}"
    pairs = pairs_of(file, node, place, ("path", "type", "may_be_empty", "description"))
    settings = {key: _setting(file, place, key, value) for key, value in pairs.items()}
    if "type" not in settings:
        raise file.error(line_of(node), f"{place}: 'type' is missing.")
    try:
        return ChildColumn(name, **{"path": name, **settings})
    except ContractError as error:
        raise file.error(line_of(node), str(error)) from None


def _setting(file: ContractFile, place: str, key: str, node: yaml.Node) -> Any:
    if key == "pii" and isinstance(node, yaml.MappingNode):
        inside = pairs_of(file, node, f"{place}: 'pii'")
        return tuple((path, _scalar(file, action)) for path, action in inside.items())
    if key == "default":
        return json_value(file, node)
    kind = bool if key in ("required", "may_be_empty") else str
    return value_of(file, f"{place}: {key}", node, kind)


def pairs_of(file: ContractFile, node: yaml.Node, what: str, known: tuple[str, ...] = ()) -> dict[str, yaml.Node]:
    """Return the values of a mapping by key."""
    if not isinstance(node, yaml.MappingNode):
        raise file.error(line_of(node), f"{what} has to be a mapping of keys to values.")
    pairs: dict[str, yaml.Node] = {}
    for key_node, value in node.value:
        key, line = key_node.value, line_of(key_node)
        if not isinstance(key, str):
            raise file.error(line, f"{what}: a key has to be text.")
        if key in pairs:
            raise file.error(line, f"{what}: {key!r} is there twice.")
        if known and key not in known:
            raise file.error(line, f"{what} has no setting {key!r}; there are {', '.join(known)}.")
        pairs[key] = value
    return pairs


def value_of(file: ContractFile, what: str, node: yaml.Node, kind: type) -> Any:
    """Return a scalar of the type ``kind``: str, int or bool; ``what`` names it in the error."""
    value = _scalar(file, node)
    if type(value) is not kind:
        raise file.error(line_of(node), f"{what} has to be {_NAMES[kind]}.")
    return value


def _scalar(file: ContractFile, node: yaml.Node) -> Any:
    """Return a scalar as the JSON value that it represents; a time stays text, a fraction keeps its digits."""
    if not isinstance(node, yaml.ScalarNode):
        raise file.error(line_of(node), "one value is expected here, not a list or a mapping.")
    convert = _SCALARS.get(node.tag.rpartition(":")[2], str)
    try:
        return convert(node.value)
    except (ValueError, ArithmeticError):
        raise file.error(line_of(node), f"{node.value!r} cannot be read.") from None


def json_value(file: ContractFile, node: yaml.Node) -> Any:
    """Return what a node represents, lists and mappings included."""
    if isinstance(node, yaml.SequenceNode):
        return [json_value(file, entry) for entry in node.value]
    if isinstance(node, yaml.MappingNode):
        return {key: json_value(file, value) for key, value in pairs_of(file, node, "The default").items()}
    return _scalar(file, node)


def line_of(node: yaml.Node) -> int:
    """Return the line of a node, counted from 1."""
    return int(node.start_mark.line) + 1


_KINDS: dict[str, type] = {
    "name": str,
    "version": int,
    "key": str,
    "timestamp": str,
    "pii_key": str,
    "records_path": str,
}
_NAMES = {str: "text", int: "a whole number", bool: "true or false"}
_SCALARS: dict[str, Callable[[str], Any]] = {
    "int": int,
    "float": Decimal,
    "bool": lambda text: text.lower() in ("true", "yes", "on"),
    "null": lambda _: None,
}
