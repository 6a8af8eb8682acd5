"""msgspec has read the type hints of each class that it converts JSON into before threads can use it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import airflow_provider_genesys

ROOT = Path(airflow_provider_genesys.__file__).parent
SHIPPED = [path for path in ROOT.rglob("*.py") if "testing" not in path.relative_to(ROOT).parts]
PLAIN = {"datetime", "UUID", "Manifest", "dict[str, Any]", "dict[str, msgspec.Raw]"}
BY_ARGUMENT = {
    "cls": {"LoadFacts"},
    "shape": {"_Certified", "_Checkpoint", "_Failure", "_Verdict"},
    "kind": {"Certificate"},
}
"""Names of arguments, and the classes that they may be; not those of XComs, which only a task's main thread reads."""


def converted(nodes: list[ast.AST]) -> Iterator[str]:
    """Yield the classes that JSON is converted into."""
    for call in (node for node in nodes if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        if name == "msgspec.convert":
            yield ast.unparse(call.args[1])
        elif name == "msgspec.json.decode":
            yield from (ast.unparse(one.value) for one in call.keywords if one.arg == "type")


def test_each_class_that_is_converted_into_is_resolved() -> None:
    nodes = [node for path in SHIPPED for node in ast.walk(ast.parse(path.read_text()))]
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    marked = {node.name for node in classes if any(ast.unparse(one) == "resolved" for one in node.decorator_list)}
    wanted = {name[5:-1] if name.startswith("list[") else name for name in converted(nodes)} - PLAIN
    assert BY_ARGUMENT.keys() <= wanted
    assert marked == wanted - BY_ARGUMENT.keys() | set().union(*BY_ARGUMENT.values())
