"""Reads an answer of the API that may have any shape: what does not have the expected one counts as absent."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit


def decode(body: bytes) -> Any:
    """Decode JSON. Half a surrogate pair and bytes that are not UTF-8 become U+FFFD.

    :raises ValueError: it is no JSON, or a number has more digits than Python reads.
    :raises RecursionError: it is too deep.
    """
    text = body.decode("utf-8-sig", "replace")
    found = json.loads(text)
    return _without_halves(found) if "\\ud" in text.lower() else found


def members(value: Any) -> dict[str, Any]:
    """Return an object's members; none of anything else."""
    return value if isinstance(value, dict) else {}


def elements(value: Any) -> list[Any]:
    """Return a list's elements; none of anything else."""
    return value if isinstance(value, list) else []


def query_of(uri: Any) -> str | None:
    """Return only the query of the next page's URI. Its host and path are ignored, for safety."""
    try:
        return urlsplit(uri).query or None if isinstance(uri, str) else None
    except ValueError:  # no URL
        return None


def _without_halves(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_without_halves(one) for one in value]
    if isinstance(value, dict):
        return {_without_halves(name): _without_halves(one) for name, one in value.items()}
    return value
