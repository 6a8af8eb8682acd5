"""Keys of objects: how long they may be, which prefixes are allowed, and how an id becomes one step of a key."""

from __future__ import annotations

from urllib.parse import quote

from airflow_provider_genesys.exceptions import ConfigurationError

LONGEST_KEY = 1024
"""Bytes of UTF-8 that S3 and Azure Blob take for a key."""


def check_prefix(prefix: str) -> None:
    """Raise :class:`ConfigurationError` where a prefix has a step or a character that some tool trips over."""
    steps = prefix.strip("/").split("/")
    if not prefix.isprintable() or {".", ".."} & set(steps) or ("" in steps and len(steps) > 1):
        raise ConfigurationError(
            f"The prefix {prefix!r} cannot be used for object keys: it has an empty step, a step '.' or '..', or a "
            "character that is not printable. Correct the prefix."
        )


def quoted(name: str) -> str:
    """Return ``name`` as one step of a key, whatever it holds."""
    # quote() leaves dots alone, and "." or ".." as a step would be resolved by some tools.
    return quote(name, safe="").replace(".", "%2E")
