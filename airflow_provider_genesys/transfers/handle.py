"""Read what a loading operator is given as ``handle``."""

from __future__ import annotations

import ast
import json
from typing import TYPE_CHECKING, Any

from airflow_provider_genesys.exceptions import ConfigurationError

if TYPE_CHECKING:
    from airflow_provider_genesys.hooks.genesys import GenesysCloudHook


def read_handle(given: Any, kind: str, hook: GenesysCloudHook) -> dict[str, Any]:
    """Return the handle: the sensor's output as it is, or, for the id of an export, what Genesys says of it.

    A template gives text; a dict that became text (Python's or JSON's form) is read back.

    :raises ConfigurationError: it is empty, or no handle.
    """
    value = _parsed(given.strip()) if isinstance(given, str) else given
    if isinstance(value, dict):
        if not value.get("export_id"):
            raise ConfigurationError(
                "The handle has no export_id. Give the operator what GenesysExportSensor returned."
            )
        return {"kind": kind, **value}
    if not value or not isinstance(value, str):
        raise ConfigurationError(
            f"handle is {type(value).__name__}, and should be what GenesysExportSensor returned, or an export id. Did "
            "the task before this one push it?"
        )
    return hook.make_handle(hook.get_export(value, kind))


def _parsed(text: str) -> Any:
    if text in ("", "None"):
        return None
    if not text.startswith("{"):
        return text
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        raise ConfigurationError("handle begins like a dict but cannot be read as one.") from None
