"""Ids in paths of the API."""

from __future__ import annotations

import reprlib
from urllib.parse import quote

from airflow_provider_genesys.exceptions import ConfigurationError

LONGEST_ID = 255
"""Characters of an id in a path; Genesys' own have 36."""


def path_step(name: str, what: str) -> str:
    """Return an id as one step of a path.

    :param what: e.g. ``an export``, for the error.
    :raises ConfigurationError: it is not an id: empty, too long, or only dots, which would lead to another resource.
    """
    if not name.strip(".") or len(name) > LONGEST_ID:
        raise ConfigurationError(f"{reprlib.repr(name)} is not the id of {what}.")
    return quote(name, safe="")
