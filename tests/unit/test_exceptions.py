"""The tree that exceptions.py draws is the one that there is, and each of its leaves is raised by somebody."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from airflow_provider_genesys import exceptions
from airflow_provider_genesys.exceptions import GenesysError

PACKAGE = Path(exceptions.__file__).parent
CLASSES = {
    name: value
    for name, value in vars(exceptions).items()
    if inspect.isclass(value) and issubclass(value, GenesysError) and value is not GenesysError
}
LEAVES = [name for name, value in CLASSES.items() if not value.__subclasses__()]
_LINE = re.compile(r"^    ([│ ]*)[├└]── (\w+) *(.*)$", re.MULTILINE)
DRAWN = {match[2]: (len(match[1]) // 4, match[3]) for match in _LINE.finditer(exceptions.__doc__ or "")}


def drawn_parents() -> dict[str, str]:
    """Return each class with the one that it hangs on in the drawing."""
    path, found = ["GenesysError"], {}
    for name, (depth, _) in DRAWN.items():
        path = [*path[: depth + 1], name]
        found[name] = path[-2]
    return found


def test_the_tree_is_drawn_as_it_is() -> None:
    assert drawn_parents() == {name: value.__base__.__name__ for name, value in CLASSES.items()}


@pytest.mark.parametrize("name", LEAVES)
def test_each_leaf_says_what_happens_after_it(name: str) -> None:
    said = DRAWN[name][1]
    assert said.startswith(("retried", "fails the task", "dead letter"))
    assert said.startswith("retried") == CLASSES[name].retryable


@pytest.mark.parametrize("name", LEAVES)
def test_each_leaf_is_used(name: str) -> None:
    others = (path for path in PACKAGE.rglob("*.py") if path.name != "exceptions.py" and "testing" not in path.parts)
    assert any(re.search(rf"\b{name}\b[(,]", path.read_text()) for path in others)
