"""The keys of a load's objects below a prefix.

::

    <prefix>/dt=2026-11-01/<load_id>/_manifest.json                                  the certificate, written last
    <prefix>/dt=2026-11-01/<load_id>/_manifest-<shard>.json                          the manifest of one shard
    <prefix>/dt=2026-11-01/<load_id>/<shard>/<start>-<cut>-<tag>.ndjson.gz           parts
    <prefix>_<child>/dt=2026-11-01/<load_id>/<shard>/<start>-<cut>-<tag>.ndjson.gz   parts of a child, e.g. segments
    <prefix>/_dead_letters/dt=2026-11-01/<load_id>/<shard>/<start>-<cut>-<tag>.ndjson
    <prefix>/_ledger/<load_id>/<shard>/<number>.json

``dt`` is the UTC day on which the window starts; partitions may be named otherwise (:func:`partition_of`). A part holds
the records that begin in ``[start, cut)``, in bytes of the unpacked source: both are known before its first byte is
sent, so that it can be sent as it comes. Names that begin with an underscore are hidden from Hive, Athena and Spark.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timezone

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.stores.base import LONGEST_KEY, quoted

DAY = "dt=%Y-%m-%d"
"""The default name of partitions, in strftime's letters."""

_HIVE_STEP = re.compile(r"[A-Za-z][A-Za-z0-9_]*=[^/=%\\]*[^/=%\\.]")

MANIFEST = "_manifest.json"
"""Name of the manifest in the folder of a load."""

OFFSET_DIGITS = 15

TAG_DIGITS = 8


def check_partition_format(partition_format: str) -> None:
    """Raise :class:`ConfigurationError` unless it gives steps ``name=value``, as Hive reads them."""
    shown = datetime(2026, 11, 1, tzinfo=timezone.utc).strftime(partition_format)
    if not shown.isprintable() or not all(_HIVE_STEP.fullmatch(step) for step in shown.split("/")):
        raise ConfigurationError(
            f"partition_format is {partition_format!r} and makes {shown!r}; each step has to be a name, '=' and a "
            "value, in strftime's letters, e.g. 'year=%Y/month=%m/day=%d'."
        )


def partition_of(load: Load, partition_format: str = DAY) -> str:
    """Return the partition of ``load``: the start of its window, in UTC."""
    return load.window_start.astimezone(timezone.utc).strftime(partition_format)


def tag(*facts: str) -> str:
    """Return a short digest of all that determines an object's bytes, so that one key never has two contents."""
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:TAG_DIGITS]


def dead_letters_below(prefix: str) -> str:
    """Return the beginning of the keys of all dead letters below ``prefix``."""
    return f"{_root(prefix)}_dead_letters/"


def ledgers_below(prefix: str) -> str:
    """Return the beginning of the keys of all ledger entries below ``prefix``."""
    return f"{_root(prefix)}_ledger/"


def cut_name(start: int, cut: int, tag: str) -> str:
    """Return how the objects of the records that begin in ``[start, cut)`` are named, without folder and extension."""
    return f"{start:0{OFFSET_DIGITS}}-{cut:0{OFFSET_DIGITS}}-{tag}"


class Layout:
    """Keys of one shard of one load.

    :param prefix: checked by :func:`check_prefix`; slashes at its ends are ignored.
    :param extension: extension of the parts, e.g. ``ndjson.gz``.
    :param partition: e.g. ``dt=2026-11-01``, which is the default.
    :raises ConfigurationError: a key would be too long for a store.
    """

    def __init__(self, prefix: str, load: Load, extension: str, partition: str | None = None) -> None:
        root = _root(prefix)
        name = quoted(load.load_id)
        partition = partition or partition_of(load)
        shard = f"{load.shard:05}"
        self.load = f"{root}{partition}/{name}/"
        self.parts = f"{self.load}{shard}/"
        self.dead_letters = f"{dead_letters_below(prefix)}{partition}/{name}/{shard}/"
        self.ledger = f"{ledgers_below(prefix)}{name}/{shard}/"
        self.ledgers = self.ledger.removesuffix(f"{shard}/")
        """The beginning of the keys of the ledgers of all shards of the load."""
        self.children = {
            child.name: f"{_child_root(prefix, child.name)}{partition}/{name}/{shard}/"
            for child in load.contract.children
        }
        self.own = (self.parts, self.dead_letters, *self.children.values())
        """The beginning of the keys of this shard's rows and dead letters."""
        # A load in one piece also replaces its shards.
        self.objects = self.own if load.shard else tuple(key.removesuffix(f"{shard}/") for key in self.own)
        """The beginnings of the keys of all its objects, except the ledger."""
        self.manifest = f"{self.load}{MANIFEST}" if load.shard == 0 else f"{self.load}_manifest-{shard}.json"
        self._extension = extension
        self._check_length(prefix, load)

    def part(self, cut: str) -> str:
        """Return the key of the rows of a cut, as :func:`cut_name` names it."""
        return f"{self.parts}{cut}.{self._extension}"

    def child(self, name: str, cut: str) -> str:
        """Return the key of a child's rows of a cut."""
        return f"{self.children[name]}{cut}.{self._extension}"

    def dead_letter(self, cut: str) -> str:
        """Return the key of the dead letters of a cut."""
        return f"{self.dead_letters}{cut}.ndjson"

    def _check_length(self, prefix: str, load: Load) -> None:
        cut = cut_name(0, 0, "0" * TAG_DIGITS)
        keys = [self.part(cut), self.dead_letter(cut), *(self.child(name, cut) for name in self.children)]
        longest = max(len(key.encode()) for key in keys)
        if longest > LONGEST_KEY:
            raise ConfigurationError(
                f"The prefix {prefix!r} is too long: with it the keys of load {load.load_id} have {longest} bytes and "
                f"a store takes {LONGEST_KEY}. Shorten the prefix by {longest - LONGEST_KEY} bytes."
            )


def _root(prefix: str) -> str:
    return f"{prefix.strip('/')}/".lstrip("/")


def _child_root(prefix: str, child: str) -> str:
    """Return a child's folder. It is beside that of the rows: readers of rows read everything below theirs."""
    return "_".join(filter(None, [prefix.strip("/"), quoted(child)])) + "/"
