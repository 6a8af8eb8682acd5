"""Arguments that a template has made text of: read back to what they stand for."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.window import absent

_Number = TypeVar("_Number", int, float)

INCLUDE = ("media", "participants", "metadata")
"""The parts of a recording that an archive holds, unless others are asked for."""

_NATIVE = (
    "A template gives text: write it as {{ ... | tojson }}, or give the DAG render_template_as_native_obj=True, so "
    "that objects and lists arrive as they are."
)


def required(value: Any, name: str) -> Any:
    """Return ``value``; a template that rendered to nothing is an error that names the argument."""
    if absent(value):
        raise ConfigurationError(f"{name} is empty after rendering; give it a value.")
    return value


def number(value: Any, kind: type[_Number]) -> _Number | None:
    """Return a number that a template may have made text of; None where it is empty."""
    return None if absent(value) else kind(value)


def mapping(value: Any, name: str) -> dict[str, Any]:
    """Return the object that ``value`` is, as it is or as text in JSON's or Python's form; empty where it is absent.

    :raises ConfigurationError: it is something else.
    """
    found = {} if absent(value) else decoded(value, name)
    if not isinstance(found, Mapping):
        raise ConfigurationError(f"{name} is {found!r}; it has to be an object, {{name: value}}. {_NATIVE}")
    return dict(found)


def words(value: Any, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
    """Return the texts of a list, as it is, as text in JSON's or Python's form, or separated by commas.

    :param default: in place of what is absent.
    :raises ConfigurationError: it is something else.
    """
    if absent(value):
        return default
    found = decoded(value, name)
    if isinstance(found, str):
        found = [one.strip() for one in found.split(",")]
    if isinstance(found, Mapping) or not all(isinstance(one, str) and one for one in found):
        raise ConfigurationError(f"{name} is {value!r}; it has to be a list of texts. {_NATIVE}")
    return tuple(found)


def decoded(value: Any, name: str) -> Any:
    """Return what a text that begins as an object or a list represents, in JSON's or Python's form; others as they are.

    :raises ConfigurationError: it begins so and goes on otherwise.
    """
    text = value.strip() if isinstance(value, str) else ""
    if text[:1] not in ("{", "[", "("):
        return value
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    raise ConfigurationError(
        f"{name} begins like an object or a list, but is neither JSON nor a Python value. {_NATIVE}"
    )
