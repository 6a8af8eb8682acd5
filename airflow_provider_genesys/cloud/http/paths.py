"""Ids in paths of the API."""

from __future__ import annotations

from urllib.parse import quote

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.outside import shown

LONGEST_ID = 255
"""Characters of an id in a path; Genesys' own have 36."""
LONGEST_IDS = 64 * 1024
"""Characters of the ids of all jobs of an export, joined by commas."""


def path_step(name: str, what: str) -> str:
    """Return an id as one step of a path.

    :param what: e.g. ``an export``, for the error.
    :raises ConfigurationError: it is not an id: empty, too long, or only dots, which would lead to another resource.
    """
    if not name.strip(".") or len(name) > LONGEST_ID:
        raise ConfigurationError(f"{shown(name, 40)!r} ({len(name)} characters) is not the id of {what}.")
    return quote(name, safe="")


def check_ids(names: str) -> None:
    """Raise :class:`ConfigurationError` unless ``names``, which logs show, can be ids joined by commas."""
    if not names.isprintable() or len(names) > LONGEST_IDS:
        raise ConfigurationError(f"{shown(names, 40)!r} ({len(names)} characters) cannot be the id of an export.")


def new_id(name: str, path: str) -> str:
    """Return the id that Genesys gives to what a POST to ``path`` has created, if it can be one.

    :raises ConfigurationError: it cannot.
    """
    if len(name) <= LONGEST_ID and name.isprintable() and name.strip(". "):
        return name
    raise ConfigurationError(
        f"The answer from {path} has an id that cannot be one: {shown(name, 40)!r}, {len(name)} characters. Check that "
        "the connection's host is Genesys Cloud, and not something that answers in its place."
    )
