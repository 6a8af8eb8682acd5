"""Reads arguments that a template has rendered, or that come from an XCom."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.window import absent

_Number = TypeVar("_Number", int, float)
_MOST = 2**63

LONGEST_NAME = 63
"""Bytes of a name in PostgreSQL."""

INCLUDE = ("media", "participants", "metadata")
"""The parts of a recording that an archive holds by default."""

NATIVE = (
    "A template gives text: write it as {{ ... | tojson }}, or give the DAG render_template_as_native_obj=True, so "
    "that objects and lists arrive as they are."
)


class Rendered:
    """An operator for which a template with something undefined is an error, also where it renders native objects.

    Jinja would give such a template as an object that raises or is empty whenever it is looked at.
    """

    def render_template(self, *given: Any, **more: Any) -> Any:
        """Return what Airflow renders. What is undefined raises or is empty text, as in a template that gives text."""
        from jinja2 import Undefined

        found = super().render_template(*given, **more)  # type: ignore[misc]  # that of BaseOperator
        return str(found) if isinstance(found, Undefined) else found


def required(value: Any, name: str) -> Any:
    """Return ``value``. Raise an error that names the argument if its template rendered to nothing."""
    if absent(value):
        raise ConfigurationError(f"{name} is empty after rendering; give it a value.")
    return value


def text(value: Any, name: str) -> str:
    """Return a text. A number becomes text again: native rendering makes numbers of digits.

    :raises ConfigurationError: its template rendered to nothing, or to something else.
    """
    digits = isinstance(value, int) and not isinstance(value, bool) and abs(value) < _MOST
    found = str(value) if digits else required(value, name)
    if isinstance(found, str) and found.isprintable():
        return found
    raise ConfigurationError(f"{name} is {shown(value, 80)!r}; it has to be text, without control characters.")


def text_or_none(value: Any, name: str) -> str | None:
    """Return a text, as :func:`text` does; None if it is absent."""
    return None if absent(value) else text(value, name)


def place(schema: Any, table: Any) -> tuple[str, str]:
    """Return the names of a schema and a table of PostgreSQL, each as :func:`text` does.

    :raises ConfigurationError: both are in one argument, or in quotes, or too long: that would be another table.
    """
    given = {"schema": text(schema, "schema"), "table": text(table, "table")}
    bare = {name: one.replace('"', "") for name, one in given.items()}
    if "." in bare["table"]:
        first, _, last = bare["table"].rpartition(".")
        raise ConfigurationError(
            f"table is {shown(given['table'], 80)!r}: give schema={shown(first, 80)!r} and table={shown(last, 80)!r}."
        )
    for name, one in given.items():
        if len(one.encode()) > LONGEST_NAME:
            raise ConfigurationError(
                f"{name} is {shown(one, 80)!r}: PostgreSQL would cut it, since names have {LONGEST_NAME} bytes at most."
            )
        if one != bare[name]:
            raise ConfigurationError(
                f"{name} is {shown(one, 80)!r}: give it without quotes, {name}={shown(bare[name], 80)!r}."
            )
    return given["schema"], given["table"]


def id_or_none(value: Any, name: str) -> str | None:
    """Return the id of a connection, as :func:`text` does; None if the DAG gives None, which means without one."""
    return None if value is None else text(value, name)


def number(value: Any, name: str, kind: type[_Number], *, least: float = 0) -> _Number:
    """Return a number, which may be text.

    :raises ConfigurationError: it is none, or less than ``least``.
    """
    try:
        found = kind(str(required(value, name)).strip())
    except ValueError:
        found = None
    if found is not None and least <= found < _MOST:
        return found
    whole = "a whole number" if kind is int else "a number"
    raise ConfigurationError(f"{name} is {shown(value, 80)!r}; it has to be {whole} of at least {least:g}.")


def limit(value: Any, name: str, kind: type[_Number]) -> _Number | None:
    """Return a number, which may be text; None if it is empty: there is no limit.

    Raises as :func:`number` does.
    """
    return None if absent(value) else number(value, name, kind)


def flag(value: Any, name: str) -> bool:
    """Return yes or no, which a template may have made text of.

    :raises ConfigurationError: it is neither.
    """
    found = {"true": True, "false": False}.get(shown(value, 80).lower())
    if found is None:
        raise ConfigurationError(f"{name} is {shown(value, 80)!r}; it has to be True or False.")
    return found


def mapping(value: Any, name: str) -> dict[str, Any]:
    """Return an object, which may be text in JSON's or Python's form; empty if it is absent.

    :raises ConfigurationError: it is something else.
    """
    found = {} if absent(value) else decoded(value, name)
    if not isinstance(found, Mapping):
        raise ConfigurationError(f"{name} is {shown(found, 80)!r}; it has to be an object, {{name: value}}. {NATIVE}")
    return dict(found)


def json_mapping(value: Any, name: str) -> dict[str, Any]:
    """Return an object as :func:`mapping` does, which holds only what JSON has.

    :raises ConfigurationError: it is something else, or holds a date, NaN, half a surrogate pair or the like.
    """
    found = mapping(value, name)
    try:
        json.dumps(found, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"{name} cannot be written as JSON: {shown(error)}. Give it texts, numbers, true, false, null, lists and "
            "objects; a date as text."
        ) from None
    return found


def words(value: Any, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
    """Return a list of texts, which may be text: in JSON's or Python's form, or separated by commas.

    :param default: returned if it is absent.
    :raises ConfigurationError: it is something else.
    """
    if absent(value):
        return default
    found = decoded(value, name)
    if isinstance(found, str):
        found = [one.strip() for one in found.split(",")]
    if not is_list(found) or not all(isinstance(one, str) and one and one.isprintable() for one in found):
        raise ConfigurationError(f"{name} is {shown(value, 80)!r}; it has to be a list of texts. {NATIVE}")
    return tuple(found)


def is_list(value: Any) -> bool:
    """Whether ``value`` is a sequence, be it a list or what Airflow gives of a mapped task, and no text."""
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray))


def decoded(value: Any, name: str) -> Any:
    """Return the object or list that a text in JSON's or Python's form holds; other values as they are.

    :raises ConfigurationError: it begins like an object or a list and is neither form.
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
        f"{name} begins like an object or a list, but is neither JSON nor a Python value. {NATIVE}"
    )
