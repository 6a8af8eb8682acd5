"""The ledger of a load in an object store: entries that are only ever added, each of them the whole state.

Entry N is created only if it does not exist, so of two attempts that are alive at once one loses and knows it. No
entry is ever removed by this package: an old attempt could otherwise write into the gap.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import msgspec

from airflow_provider_genesys.exceptions import CheckpointError, FencedError, SinkRefusedError, SinkUnavailableError
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, from_json
from airflow_provider_genesys.sinks.object_settings import Fencing
from airflow_provider_genesys.sinks.object_store import ObjectStore
from airflow_provider_genesys.sinks.parts import Part

VERSION = 1
_CLAIMS = 10
"""How often an attempt tries to claim while others claim before it."""


@dataclass(frozen=True)
class Entry:
    """State of one shard of a load."""

    number: int
    fence: int
    attempt: str
    """Random, one for each attempt: tells an entry of our own, whose answer was lost, from another's."""
    load_id: str
    export_id: str
    state: Literal["loading", "complete"] = "loading"
    attempts: int = 1
    processed_at: str | None = None
    checkpoint: Checkpoint | None = None
    parts: list[Part] = field(default_factory=list)
    dead_letters: list[Part] = field(default_factory=list)
    written_at: str | None = None
    version: int = VERSION


class Ledger:
    """Entries below one prefix.

    :param fencing: ``conditional`` lets the store refuse an entry that exists. ``none`` only looks first, which
        leaves a gap in which two attempts can both believe that they are alone.
    """

    def __init__(self, store: ObjectStore, prefix: str, fencing: Fencing) -> None:
        self._store = store
        self._prefix = prefix
        self._conditional = fencing == "conditional"

    def latest(self) -> Entry | None:
        """Return the newest entry; None where there is none.

        :raises CheckpointError: it cannot be read.
        """
        names = (stored.key[len(self._prefix) :] for stored in self._store.list_objects(self._prefix))
        number = max((int(name[:8]) for name in names if re.fullmatch(r"\d{8}\.json", name)), default=0)
        entry = self._get(number)
        # A listing may lag behind in stores other than S3.
        while newer := self._get((entry.number if entry else number) + 1):
            entry = newer
        return entry

    def claim(self, successor: Callable[[Entry | None], Entry]) -> Entry:
        """Append what ``successor`` makes of the newest entry, and return it.

        :raises SinkRefusedError: the store overwrites what it was told to create.
        """
        for _ in range(_CLAIMS):
            entry = successor(self.latest())
            if self._create(entry):
                self._prove(entry)
                return entry
        raise SinkUnavailableError(
            f"{_CLAIMS} times another attempt claimed {self._place} first. Look for tasks that load the same window "
            "at once."
        )

    def append(self, entry: Entry) -> Entry:
        """Add ``entry`` and return it.

        :raises FencedError: another attempt has added an entry of that number.
        """
        if not self._create(entry):
            raise self._fenced(self._get(entry.number))
        return entry

    def confirm(self, entry: Entry) -> None:
        """Raise :class:`FencedError` where another attempt's entry follows ``entry``."""
        found = self._get(entry.number + 1)
        if found and found.attempt != entry.attempt:
            raise self._fenced(found)

    def _create(self, entry: Entry) -> bool:
        key = self._key(entry.number)
        if not self._conditional:
            if self._get(entry.number):
                return False
            self._store.put(key, _to_json(entry))
            return True
        if self._store.put_if_absent(key, _to_json(entry)):
            return True
        found = self._get(entry.number)
        return found is not None and found.attempt == entry.attempt

    def _prove(self, entry: Entry) -> None:
        if self._conditional and self._store.put_if_absent(self._key(entry.number), _to_json(entry)):
            raise SinkRefusedError(
                f"{self._store.url} ignores 'If-None-Match: *': it overwrote an object that it was told to create. "
                "Without it two attempts of one load that are alive at the same time cannot be told apart. Use a "
                "store that knows it (Amazon S3 does), or set fencing='none' and make sure that no window is loaded "
                "twice at once."
            )

    def _fenced(self, other: Entry | None) -> FencedError:
        since = f" (fence {other.fence}, {other.written_at})" if other else ""
        return FencedError(
            f"Another attempt{since} has taken over {self._place}; this one stops. Nothing is lost: the other one "
            "continues from the last committed part. If both are wanted, load different windows."
        )

    @property
    def _place(self) -> str:
        return f"{self._store.url}/{self._prefix}"

    def _key(self, number: int) -> str:
        return f"{self._prefix}{number:08}.json"

    def _get(self, number: int) -> Entry | None:
        key = self._key(number)
        body = self._store.get(key) if number else None
        return _from_json(body, f"{self._store.url}/{key}") if body is not None else None


def _to_json(entry: Entry) -> bytes:
    return msgspec.json.encode(asdict(entry))


def _from_json(body: bytes, where: str) -> Entry:
    try:
        value: dict[str, Any] = msgspec.json.decode(body)
        checkpoint, version = value.pop("checkpoint"), value["version"]
        if version == VERSION:
            known = from_json(checkpoint, where=where) if checkpoint else None
            return replace(msgspec.convert(value, Entry), checkpoint=known)
    except (msgspec.DecodeError, AttributeError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"The ledger entry {where} cannot be read ({error}). Find out who wrote it; removing the load's whole "
            "_ledger folder lets the next run load the window from its beginning."
        ) from error
    raise CheckpointError(
        f"The ledger entry {where} has version {version}; this release reads version {VERSION}. Finish the load with "
        "the release that began it, or remove the load's _ledger folder to load the window from its beginning."
    )
