"""The ledger of a load in an object store: entries are only added, and each one holds the whole state.

Entry N is created only if it does not exist. So if two attempts run at once, one of them fails and knows it. This
package never removes an entry: an old attempt could write into the gap.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from typing import Any, Literal

import msgspec

from airflow_provider_genesys.exceptions import CheckpointError, FencedError, SinkRefusedError, SinkUnavailableError
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, from_json
from airflow_provider_genesys.pipeline.load import LoadFacts
from airflow_provider_genesys.resolved import resolved
from airflow_provider_genesys.sinks.objects.layout import ledgers_below
from airflow_provider_genesys.sinks.objects.parts import Part
from airflow_provider_genesys.sinks.objects.row_parts import ChildParts, all_of
from airflow_provider_genesys.sinks.objects.settings import Fencing
from airflow_provider_genesys.stores.base import ObjectStore, SentPieces

VERSION = 1
_MOST_UNLISTED = 1000
"""Entries that a list may lag behind."""
_CLAIMS = 10
"""How often an attempt tries to claim a load while others are faster."""


@dataclass(frozen=True)
class Whole:
    """Size and CRC-32 of an object."""

    size: int
    crc32: int


@dataclass(frozen=True)
class Sending:
    """A raw archive that is being landed (:mod:`.raw_landing`): its upload, and the CRC-32 of the bytes sent."""

    sent: SentPieces
    crc32: int
    whole: Whole | None = None
    """What appears in the next moment; None while bytes are still to come."""


@resolved
@dataclass(frozen=True)
class Entry:
    """State of one shard of a load."""

    number: int
    fence: int
    attempt: str
    """Random, one per attempt. By it an attempt knows its own entry again when the answer was lost."""
    load_id: str
    export_id: str
    state: Literal["loading", "complete", "replaying"] = "loading"
    """``replaying``: complete, but the manifest may not yet list what a replay has added."""
    attempts: int = 1
    processed_at: str | None = None
    checkpoint: Checkpoint | None = None
    parts: list[Part] = field(default_factory=list)
    children: ChildParts = field(default_factory=dict)
    dead_letters: list[Part] = field(default_factory=list)
    replayed: int = 0
    """Number of dead letters that became rows after the load was complete. They are not in the checkpoint's account."""
    sending: Sending | None = None
    partition: str | None = None
    """The partition of the load's objects, e.g. ``dt=2026-11-01``; None for the default. It never changes."""
    writes: str | None = None
    """The form of its parts, e.g. ``ndjson.gz with child files``; a load never mixes two. None if unknown."""
    published: bool = False
    """Whether the parts may be in a table, so that its older versions need them when the load is loaded again."""
    kept: list[str] = field(default_factory=list)
    """Keys of parts of earlier loads that are kept for older versions of a table."""
    kind: str | None = None
    window_start: str | None = None
    window_end: str | None = None
    submitted_at: str | None = None
    contract: str | None = None
    run_id: str | None = None
    """These fields describe the newest attempt. The next attempt needs them to continue the load."""
    written_at: str | None = None
    version: int = VERSION

    @property
    def facts(self) -> LoadFacts:
        """The facts of the load that this entry holds.

        :raises CheckpointError: an older release wrote it, without these facts.
        """
        try:
            return LoadFacts.from_json({**vars(self), "shard": 0})
        except msgspec.ValidationError as error:
            raise CheckpointError(
                f"The ledger entry {self.number} of load {self.load_id} does not say what it loads ({error}). "
                "Finish the load with the release that began it, or clear its task."
            ) from error

    @property
    def listed(self) -> list[Part]:
        """Every object that counts."""
        return [*self.parts, *all_of(self.children), *self.dead_letters]


class Ledger:
    """Entries below one prefix.

    :param fencing: with ``conditional`` the store refuses an entry that exists. With ``none`` the code only looks
        first, so that two attempts at the same moment may both succeed.
    """

    def __init__(self, store: ObjectStore, prefix: str, fencing: Fencing) -> None:
        self._store = store
        self._prefix = prefix
        self._conditional = fencing == "conditional"

    @property
    def name(self) -> str:
        """The end of its folder's name: ``<load_id>/<shard>``, as in the folder of the shard's parts."""
        return "/".join(self._prefix.split("/")[-3:-1])

    @property
    def shard(self) -> int | None:
        """The number of its shard, 0 for a load in one piece; None if the folder is not named as a ledger's."""
        shard = self.name.rpartition("/")[2]
        return int(shard) if shard.isdecimal() else None

    def latest(self) -> Entry | None:
        """Return the newest entry; None if there is none.

        :raises CheckpointError: it cannot be read.
        :raises SinkUnavailableError: the store lists it, and does not give it.
        """
        entry = self._newest(self._keys())
        number = entry.number if entry else 0
        # A listing may lag behind in stores other than S3.
        for later in range(number + 1, number + 1 + _MOST_UNLISTED):
            newer = self._get(later)
            if newer is None:
                return entry
            entry = newer
        raise CheckpointError(
            f"{self._place} has {_MOST_UNLISTED:,} entries that its list lacks. Check that the connection leads to the "
            "right store."
        )

    def claim(self, successor: Callable[[Entry | None], Entry], keys: Iterable[str] | None = None) -> Entry:
        """Append the entry that ``successor`` returns for the newest one, and return it. It has to be proved then.

        :param keys: of the ledger, and maybe of others; None to list them.
        """
        # An entry that the list lacks is met when its number is to be created, so it is not looked for before.
        latest = self._newest(self._keys() if keys is None else keys)
        for _ in range(_CLAIMS):
            entry = successor(latest)
            if self._create(entry):
                return entry
            latest = self.latest()
        raise SinkUnavailableError(
            f"{_CLAIMS} times another attempt claimed {self._place} first. Look for tasks that load the same window "
            "at once."
        )

    def prove(self, entry: Entry) -> None:
        """Check that the store refuses to create the entry that was just claimed once more.

        :raises SinkRefusedError: it overwrites an object that it was asked to create.
        """
        if self._conditional and self._store.put_if_absent(self._key(entry.number), _to_json(entry)):
            raise SinkRefusedError(
                f"{self._store.url} ignores 'If-None-Match: *': it overwrote an object that it was asked to create. "
                "Without it two attempts of one load that are alive at the same time cannot be distinguished. Use a "
                "store that knows it (Amazon S3 does), or set fencing='none' and make sure that no window is loaded "
                "twice at once."
            )

    def append(self, entry: Entry) -> Entry:
        """Add ``entry`` and return it.

        :raises FencedError: another attempt has added an entry of that number.
        """
        if not self._create(entry):
            raise self._fenced(self._get(entry.number))
        return entry

    def confirm(self, entry: Entry) -> None:
        """Raise :class:`FencedError` if another attempt's entry follows ``entry``."""
        found = self._get(entry.number + 1)
        if found and found.attempt != entry.attempt:
            raise self._fenced(found)

    def _keys(self) -> Iterator[str]:
        return (stored.key for stored in self._store.list_objects(self._prefix))

    def _newest(self, keys: Iterable[str]) -> Entry | None:
        """Return the newest of the ledger's entries that are among ``keys``; None if there is none."""
        names = (key.removeprefix(self._prefix) for key in keys)
        number = max((int(name[:8]) for name in names if re.fullmatch(r"\d{8}\.json", name)), default=0)
        entry = self._get(number)
        if number and entry is None:
            raise SinkUnavailableError(
                f"{self._store.url}/{self._key(number)} is listed and cannot be read: the store says that it is not "
                "there. If it lasts, look for a rule or a person that removes ledger entries. A store that is not "
                "consistent cannot be used."
            )
        return entry

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
        if body is None:
            return None
        entry = _from_json(body, where := f"{self._store.url}/{key}")
        if entry.number != number:
            raise CheckpointError(
                f"The ledger entry {where} holds entry {entry.number}. Find out who wrote it, or which proxy answers "
                "in place of the store."
            )
        return entry


def unfinished_loads(store: ObjectStore, prefix: str, fencing: Fencing) -> list[LoadFacts | CheckpointError]:
    """Return the loads begun and not complete, the oldest window first. Loads in shards are left out.

    It lists every ledger below the prefix, and reads the newest entry of each: three requests per load.

    :return: first the errors of entries that cannot be read, each in place of its load.
    :raises SinkUnavailableError: the store cannot be reached.
    """
    found, unread = list[LoadFacts](), list[CheckpointError]()
    for ledgers in ledgers_in(store, prefix, fencing):
        try:
            found += _unfinished(ledgers)
        except CheckpointError as error:
            unread.append(error)
    return [*unread, *sorted(found, key=lambda load: load.window_start)]


def _unfinished(ledgers: list[Ledger]) -> Iterator[LoadFacts]:
    """Yield the facts of a load in one piece that is not complete; ``ledgers`` are all of one load."""
    if ledgers[0].shard != 0:
        return
    entry, *shards = [ledger.latest() for ledger in ledgers]
    in_shards = any(shard and entry and shard.export_id == entry.export_id for shard in shards)
    if entry and entry.state == "loading" and entry.run_id and not in_shards:
        yield entry.facts


def newest_entries(
    store: ObjectStore, prefix: str, unread: Callable[[CheckpointError], None]
) -> Iterator[tuple[int, Entry]]:
    """Yield the number of the shard and the newest entry of every ledger below ``prefix``.

    :param unread: is given the error of each entry that cannot be read.
    """
    for ledger in (ledger for ledgers in ledgers_in(store, prefix, "none") for ledger in ledgers):
        try:
            entry = ledger.latest()
        except CheckpointError as error:
            unread(error)
            continue
        if entry and ledger.shard is not None:
            yield ledger.shard, entry


def ledgers_in(store: ObjectStore, prefix: str, fencing: Fencing) -> Iterator[list[Ledger]]:
    """Yield the ledgers of each load; that of the load in one piece comes first, if there is one."""
    folders = sorted({stored.key.rpartition("/")[0] for stored in store.list_objects(ledgers_below(prefix))})
    for _, shards in groupby(folders, key=lambda folder: folder.rpartition("/")[0]):
        yield [Ledger(store, f"{folder}/", fencing) for folder in shards]


def _to_json(entry: Entry) -> bytes:
    return msgspec.json.encode(asdict(entry))


def _from_json(body: bytes, where: str) -> Entry:
    try:
        value: dict[str, Any] = msgspec.json.decode(body)
        checkpoint, version = value.pop("checkpoint"), value["version"]
        if version == VERSION:
            known = from_json(checkpoint, where=where) if checkpoint else None
            return replace(msgspec.convert(value, Entry), checkpoint=known)
    except (msgspec.DecodeError, AttributeError, KeyError, TypeError, UnicodeDecodeError, RecursionError) as error:
        raise CheckpointError(
            f"The ledger entry {where} cannot be read ({error}). Find out who wrote it; removing the load's whole "
            "_ledger folder lets the next run load the window from its beginning."
        ) from error
    raise CheckpointError(
        f"The ledger entry {where} has version {version}; this release reads version {VERSION}. Finish the load with "
        "the release that began it, or remove the load's _ledger folder to load the window from its beginning."
    )
