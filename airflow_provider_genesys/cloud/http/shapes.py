"""Reads an answer of the API that may have any shape: what does not have the expected one counts as absent."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_genesys.exceptions import ForeignAnswerError
from airflow_provider_genesys.outside import shown


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
    """Return only the query of the next page's URI. Its host and path are ignored, for safety.

    :raises ForeignAnswerError: it is no URI, so nobody knows whether another page follows.
    """
    try:
        if uri is None or isinstance(uri, str):
            return urlsplit(uri or "").query or None
    except ValueError:
        pass
    raise ForeignAnswerError(
        f"A page of Genesys names {shown(uri, 80)!r} as the URI of the next page. The next try asks again. If this "
        "repeats, check whether a proxy answers in place of Genesys.",
        status=200,
    )


def _without_halves(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_without_halves(one) for one in value]
    if isinstance(value, dict):
        return {_without_halves(name): _without_halves(one) for name, one in value.items()}
    return value
