"""Where the objects of a load lie below a prefix.

::

    <prefix>/dt=2026-11-01/<load_id>/_manifest.json                                  the certificate, written last
    <prefix>/dt=2026-11-01/<load_id>/<shard>/<start>-<cut>-<tag>.ndjson.gz           parts
    <prefix>/_dead_letters/dt=2026-11-01/<load_id>/<shard>/<start>-<cut>-<tag>.ndjson
    <prefix>/_ledger/<load_id>/<shard>/<number>.json

``dt`` is the UTC day on which the window starts. A part holds the records that begin in ``[start, cut)``, in bytes of
the unpacked source: both are known before its first byte is sent, so that it can be sent as it comes. Names that begin
with an underscore are hidden from Hive, Athena and Spark.
"""

from __future__ import annotations

import hashlib
from datetime import timezone
from urllib.parse import quote

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.sinks.base import Load

LONGEST_KEY = 1024
"""Bytes of UTF-8 that S3 and Azure Blob take for a key."""

OFFSET_DIGITS = 15
TAG_DIGITS = 8


def check_prefix(prefix: str) -> None:
    """Raise :class:`ConfigurationError` where a prefix has a step or a character that some tool trips over."""
    steps = prefix.strip("/").split("/")
    if not prefix.isprintable() or {".", ".."} & set(steps) or ("" in steps and len(steps) > 1):
        raise ConfigurationError(
            f"The prefix {prefix!r} cannot be used for object keys: it has an empty step, a step '.' or '..', or a "
            "character that is not printable. Correct the prefix."
        )


def tag(*facts: str) -> str:
    """Return a short digest of what decides an object's bytes, so that one key never stands for two contents."""
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:TAG_DIGITS]


class Layout:
    """Keys of one shard of one load.

    :param prefix: checked by :func:`check_prefix`; slashes at its ends do not matter.
    :param extension: of the parts, e.g. ``ndjson.gz``.
    :raises ConfigurationError: a key would be longer than a store takes.
    """

    def __init__(self, prefix: str, load: Load, extension: str) -> None:
        root = f"{prefix.strip('/')}/".lstrip("/")
        name = _quoted(load.load_id)
        day = f"dt={load.window_start.astimezone(timezone.utc).date().isoformat()}"
        shard = f"{load.shard:05}"
        self.load = f"{root}{day}/{name}/"
        self.parts = f"{self.load}{shard}/"
        self.dead_letters = f"{root}_dead_letters/{day}/{name}/{shard}/"
        self.ledger = f"{root}_ledger/{name}/{shard}/"
        self.manifest = f"{self.load}_manifest.json" if load.shard == 0 else f"{self.load}_manifest-{shard}.json"
        self._extension = extension
        self._check_length(prefix, load)

    def part(self, start: int, cut: int, tag: str) -> str:
        """Return the key of the rows of the records that begin in ``[start, cut)``."""
        return f"{self.parts}{_span(start, cut)}-{tag}.{self._extension}"

    def dead_letter(self, start: int, cut: int, tag: str) -> str:
        """Return the key of what was set aside of the records that begin in ``[start, cut)``."""
        return f"{self.dead_letters}{_span(start, cut)}-{tag}.ndjson"

    def _check_length(self, prefix: str, load: Load) -> None:
        any_tag = "0" * TAG_DIGITS
        longest = max(len(key.encode()) for key in (self.part(0, 0, any_tag), self.dead_letter(0, 0, any_tag)))
        if longest > LONGEST_KEY:
            raise ConfigurationError(
                f"The prefix {prefix!r} is too long: with it the keys of load {load.load_id} have {longest} bytes and "
                f"a store takes {LONGEST_KEY}. Shorten the prefix by {longest - LONGEST_KEY} bytes."
            )


def _span(start: int, cut: int) -> str:
    return f"{start:0{OFFSET_DIGITS}}-{cut:0{OFFSET_DIGITS}}"


def _quoted(name: str) -> str:
    # quote() leaves dots alone, and "." or ".." as a step would be resolved by some tools.
    return quote(name, safe="").replace(".", "%2E")
