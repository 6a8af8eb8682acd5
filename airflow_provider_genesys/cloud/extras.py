"""Reading the extras of a connection, which arrive as JSON values or, from forms and URIs, as text."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from airflow_provider_genesys.exceptions import ConfigurationError

_FLAGS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


class Extras:
    """The extras of a Genesys connection; those that a form leaves empty count as not given.

    Every method raises :class:`ConfigurationError`, naming the extra, when its value cannot be what is asked for.
    """

    def __init__(self, given: Mapping[str, Any] | None) -> None:
        self._given = {name: value for name, value in (given or {}).items() if value not in (None, "")}

    def text(self, name: str) -> str:
        """Return a text without white space around it, ``""`` where not given."""
        value = self._given.get(name, "")
        if not isinstance(value, str):
            raise wrong(name, "text", value)
        return value.strip()

    def flag(self, name: str, *, default: bool) -> bool:
        """Return true or false, however it is spelt."""
        value = self._given.get(name, default)
        if (key := str(value).strip().lower()) not in _FLAGS:
            raise wrong(name, "true or false", value)
        return _FLAGS[key]

    def flag_or_path(self, name: str, *, default: bool) -> bool | str:
        """Return true or false, or the text that is neither."""
        value = str(self._given.get(name, default)).strip()
        return _FLAGS.get(value.lower(), value)

    def number(self, name: str, default: float, *, least: float, most: float = math.inf) -> float:
        """Return a finite number from ``least`` to ``most``."""
        value = self._given.get(name, default)
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not least <= number <= most or number == math.inf:
            bounds = f"at least {least:g}" if most == math.inf else f"at least {least:g}, at most {most:g}"
            raise wrong(name, f"a number of {bounds}", value)
        return number

    def host_names(self, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """Return host names from a list or a text with commas."""
        value = self._given.get(name, default)
        names = value.replace(",", " ").split() if isinstance(value, str) else value
        if not isinstance(names, (list, tuple)) or not all(_is_host(one) for one in names):
            raise wrong(name, "host names without scheme, port and path, separated by commas", value)
        return tuple(one.strip().strip("[]").rstrip(".").lower() for one in names)

    def mapping(self, name: str) -> dict[str, Any]:
        """Return an object, given as such or as JSON text."""
        value = self._given.get(name, {})
        try:
            found = json.loads(value) if isinstance(value, str) else value
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise wrong(name, "a JSON object", value)
        return found


def _is_host(name: Any) -> bool:
    return isinstance(name, str) and bool(name.strip()) and "/" not in name and name.count(":") != 1


def wrong(name: str, wanted: str, value: Any) -> ConfigurationError:
    """Return the error for an extra that is not what it should be."""
    return ConfigurationError(f"The Genesys connection's extra {name!r} must be {wanted}, not {value!r}.")
