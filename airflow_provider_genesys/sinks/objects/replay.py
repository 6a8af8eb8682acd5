"""Replay the dead letters of an object store: rows become another part of their load, marks a new object of letters.

Objects are never changed: the object with marks replaces the one without, and ledger and manifest say which one counts.
A load that is not complete is left alone. A replay claims a load's ledger as an attempt does. So if two run at once,
the older one can commit nothing more.
"""

from __future__ import annotations

import logging
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime
from typing import Any, get_args

import msgspec

from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.exceptions import AccountError, CheckpointError, DeadLetterError, error_context
from airflow_provider_genesys.failpoints import CLEANED, LEDGER_WRITTEN, MANIFEST_WRITTEN, PART_UPLOADED, failpoint
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.pipeline.replay import (
    EVER,
    Judged,
    Open,
    Replayed,
    Span,
    account,
    judge,
)
from airflow_provider_genesys.sinks.objects.dead_letters import Letter, is_open, letters_in, marked
from airflow_provider_genesys.sinks.objects.layout import Layout, cut_name, dead_letters_below, tag
from airflow_provider_genesys.sinks.objects.ledger import Entry, Ledger, ledgers_in
from airflow_provider_genesys.sinks.objects.manifest import read_manifest, write_manifest
from airflow_provider_genesys.sinks.objects.parts import OutputFormat, Part, PartWriter
from airflow_provider_genesys.sinks.objects.row_parts import RowParts, WrittenParts, joined
from airflow_provider_genesys.sinks.objects.settings import Fencing
from airflow_provider_genesys.sinks.objects.shards import joins, list_again
from airflow_provider_genesys.stores.base import ObjectStore, below
from airflow_provider_genesys.times import now

log = logging.getLogger(__name__)

Judge = Callable[[list[Letter], Load, str | None], Judged]
"""Reads letters of a load, with its ``processed_at``, through today's contract."""


Damaged = dict[str, AccountError | CheckpointError]
"""The error of each object that cannot be read, by its key."""


class ObjectReplay:
    """Replays the dead letters of all loads below one prefix of a store.

    :param store: e.g. :class:`.s3.S3Store`.
    :param prefix: the prefix of the loads.
    :param opened: returns the bytes of a dead letter's record.
    :param pii_key: returns the key that a contract hashes personal data with.
    :param fencing: as in the loads; see :class:`.ledger.Ledger`.
    """

    def __init__(
        self,
        store: ObjectStore,
        prefix: str,
        *,
        opened: Open,
        pii_key: Callable[[Contract], bytes | None] = lambda _: None,
        fencing: Fencing = "conditional",
    ) -> None:
        self._store = store
        self._prefix = prefix
        self._opened = opened
        self._pii_key = pii_key
        self._fencing: Fencing = fencing

    def run(self, contract_of: Callable[[str], Contract], run_id: str, window: Span = EVER) -> Replayed:
        """Replay every open letter of the window.

        :param contract_of: returns today's contract of a kind of export.
        :param run_id: the task that replays; kept with each letter.
        :raises FencedError: another replay or load has taken over a load; run the replay again.
        :raises AccountError: objects do not hold the letters that their ledger says; raised at the end.
        """
        total, damaged, folders = Replayed(), Damaged(), self._folders()
        for ledger in (one for ledgers in ledgers_in(self._store, self._prefix, self._fencing) for one in ledgers):
            found = folders.pop(ledger.name, set())
            try:
                entry = ledger.latest()
                if entry and (found or entry.dead_letters) and window.meets(entry.facts):
                    total.add(self._of(ledger, entry, found, damaged, contract_of, run_id))
            except CheckpointError as error:
                damaged[ledger.name] = error
        for found in folders.values():
            total.strays += self._passed_over(found, "It is in the folder of no load.")
        if damaged:
            first, *_ = damaged.values()
            raise AccountError(f"{first} {len(damaged)} such objects were left as they are, all others replayed.")
        return total

    def _folders(self) -> dict[str, set[str]]:
        """Return the keys of all objects among the letters, by the end of their folder: ``<load_id>/<shard>``."""
        folders: dict[str, set[str]] = defaultdict(set)
        for stored in self._store.list_objects(dead_letters_below(self._prefix)):
            folders["/".join(stored.key.split("/")[-3:-1])].add(stored.key)
        return folders

    def _of(
        self,
        ledger: Ledger,
        entry: Entry,
        found: set[str],
        damaged: Damaged,
        contract_of: Callable[[str], Contract],
        run_id: str,
    ) -> Replayed:
        """Replay what the ledger lists.

        :param found: the keys in the folder of its letters.
        """
        listed = {part.key for part in entry.dead_letters}
        total = Replayed(gone=_gone(entry, found))
        if entry.state == "complete":
            total.strays += self._passed_over(found - listed, "The ledger of its load does not list it.")
        try:
            facts = replace(entry.facts, shard=ledger.shard or 0)
            load = facts.load(contract_of(facts.kind), run_id)
        except DeadLetterError as error:
            total.strays += self._passed_over(found & listed, str(error))
            return total
        if total.gone:
            log.warning(
                "Load %s, window %s to %s: %d dead letters are no longer there. A lifecycle rule or a person has "
                "removed their objects. To have them again, load the window again.",
                load.load_id,
                load.window_start.isoformat(),
                load.window_end.isoformat(),
                total.gone,
            )
        with error_context(f"Export {load.export_id}, replaying its dead letters"):
            total.add(self._replay(ledger, load, entry, found, damaged))
        return total

    def _passed_over(self, keys: Collection[str], why: str) -> int:
        """Name each object in the log; return how many there are."""
        for key in sorted(keys):
            log.warning("%s/%s is passed over. %s", self._store.url, key, why)
        return len(keys)

    def _replay(self, ledger: Ledger, load: Load, latest: Entry, found: set[str], damaged: Damaged) -> Replayed:
        if load.shard and not self._is_joined(load, latest):
            return Replayed(loads_skipped=1)
        there = [part for part in latest.dead_letters if part.key in found]
        if latest.state == "complete" and not any(self._is_open(part, damaged) for part in there):
            return Replayed()
        if latest.published:
            log.warning(
                "Load %s is in an Iceberg table, which a replay would not change. It is skipped: load its window "
                "again, with the corrected contract.",
                load.load_id,
            )
            return Replayed(loads_skipped=1)
        attempt = uuid.uuid4().hex
        try:
            claimed = ledger.claim(lambda latest: _claimed(latest, attempt))
            ledger.prove(claimed)
        except _LoadingError:
            return Replayed(loads_skipped=1)
        return _LoadReplay(self._store, self._prefix, load, ledger, claimed).run(self._judge, found, damaged)

    def _is_joined(self, load: Load, entry: Entry) -> bool:
        """Whether the shard's load is complete. Until then a claim would stop its shards from being joined."""
        return joins(self._store, Layout(self._prefix, replace(load, shard=0), "", entry.partition)) > 0

    def _is_open(self, part: Part, damaged: Damaged) -> bool:
        try:
            return any(is_open(letter) for letters in letters_in(self._store, part) for letter in letters)
        except AccountError as error:
            damaged[part.key] = error
            return False

    def _judge(self, letters: list[Letter], load: Load, processed_at: str | None) -> Judged:
        moment = msgspec.convert(processed_at or letters[0]["processed_at"], datetime)
        return judge(letters, load.contract, moment, self._opened, self._pii_key(load.contract))


class _LoadingError(Exception):
    """The window is being loaded again."""


class _LoadReplay:
    """The replay of one shard of a load; ``entry`` is the ledger's newest entry, which this replay wrote."""

    def __init__(self, store: ObjectStore, prefix: str, load: Load, ledger: Ledger, entry: Entry) -> None:
        self._store = store
        self._load = load
        self._format = _format_of(entry)
        self._prefix = prefix
        self._ledger = ledger
        self._entry = entry
        self._layout = self._layout_of(load.shard)

    def run(self, judged: Judge, found: set[str], damaged: Damaged) -> Replayed:
        """Write rows and marks, commit them, list them in the manifest, and remove objects it no longer lists.

        :param found: the keys of letters that are there. Others are passed over, and stay in the ledger.
        :param damaged: is filled with the error of each damaged object of letters, by key; the object is left as it is.
        """
        for prefix in self._layout.own:
            self._store.abort_uploads(prefix)
        total = Replayed(loads=1)
        rows, letters = WrittenParts(self._entry.parts, self._entry.children), list[Part]()
        for part in self._entry.dead_letters:
            if part.key not in found:
                letters.append(part)
                continue
            try:
                written, kept, of_part = self._part(part, judged)
            except AccountError as error:
                damaged[part.key] = error
                letters.append(part)
                continue
            rows = WrittenParts([*rows.parts, *written.parts], joined(rows.children, written.children))
            letters += kept
            total.add(of_part)
        failpoint(PART_UPLOADED)
        self._append(
            parts=rows.parts,
            children=rows.children,
            dead_letters=letters,
            replayed=self._entry.replayed + total.replayed,
        )
        self._publish()
        self._append(state="complete")
        return total

    def _part(self, part: Part, judged: Judge) -> tuple[WrittenParts, list[Part], Replayed]:
        """Replay one object of letters. Return the part of its rows, the new object of letters, and the account."""
        cut, total = cut_name(part.start, part.end, tag(self._entry.attempt)), Replayed()
        rows = RowParts(
            self._store,
            self._layout,
            cut,
            self._format,
            self._load,
            self._load.contract,
            child_files=bool(self._entry.children) or not self._entry.parts,
        )
        kept = PartWriter(self._store, self._layout.dead_letter(cut), _Lines())
        try:
            for letters in letters_in(self._store, part):
                due = [letter for letter in letters if is_open(letter)]
                result = judged(due, self._load, self._entry.processed_at) if due else Judged()
                rows.write(self._batch(part, result))
                kept.write(marked(letters, result, self._load), len(letters))
                total.add(account(due, result))
        except BaseException:
            for writer in rows.writers:
                writer.abort()
            kept.abort()
            raise
        written, letters_part = rows.close(part.start, part.end), kept.close(part.start, part.end)
        return written, [letters_part] if letters_part else [], total

    def _batch(self, part: Part, result: Judged) -> Batch:
        checkpoint = self._entry.checkpoint or Checkpoint(self._load.load_id, self._load.export_id, "")
        return Batch(result.rows, result.offsets, [], part.start, part.end, checkpoint, self._load.contract)

    def _layout_of(self, shard: int) -> Layout:
        return Layout(self._prefix, replace(self._load, shard=shard), self._format, self._entry.partition)

    def _append(self, **changes: Any) -> None:
        entry = replace(self._entry, number=self._entry.number + 1, written_at=now().isoformat(), **changes)
        self._entry = self._ledger.append(entry)
        failpoint(LEDGER_WRITTEN)

    def _publish(self) -> None:
        entry, manifest = self._entry, read_manifest(self._store, self._layout.manifest)
        if manifest is None:
            raise AccountError(
                f"{self._store.url}/{self._layout.manifest} is not there, though the load is complete. Load the window "
                "again."
            )
        unlisted = set(below(self._store, self._layout.own))
        unlisted -= {part.key for part in entry.listed}
        # Stale objects were listed before this, so objects of a newer attempt cannot be among them.
        self._ledger.confirm(entry)
        lists = {"parts": entry.parts, "dead_letters": entry.dead_letters, "children": entry.children}
        write_manifest(self._store, self._layout.manifest, manifest, **lists, replayed=entry.replayed)
        if self._load.shard:
            whole = self._layout_of(0)
            shards = range(1, joins(self._store, whole) + 1)
            list_again(self._store, whole, [self._layout_of(number) for number in shards])
        failpoint(MANIFEST_WRITTEN)
        for key in unlisted:
            self._store.delete(key)
        failpoint(CLEANED)


def _gone(entry: Entry, found: set[str]) -> int:
    """Return how many letters of a complete load are no longer there, without replayed ones if all are gone."""
    gone = [part.rows for part in entry.dead_letters if part.key not in found]
    if entry.state == "loading":
        return 0
    return sum(gone) - (entry.replayed if len(gone) == len(entry.dead_letters) else 0)


def _claimed(latest: Entry | None, attempt: str) -> Entry:
    if latest is None or latest.state == "loading":
        raise _LoadingError
    number, fence = latest.number + 1, latest.fence + 1
    return replace(latest, number=number, fence=fence, attempt=attempt, state="replaying", written_at=now().isoformat())


def _format_of(entry: Entry) -> OutputFormat:
    """Return the format of the load's parts; any format for a load that has only dead letters."""
    names = [part.key for part in entry.parts]
    known: tuple[OutputFormat, ...] = get_args(OutputFormat)
    return next((form for form in known for name in names if name.endswith(f".{form}")), known[0])


class _Lines:
    """Implements :class:`.parts.Form` for lines that are ready."""

    def pack(self, data: bytes) -> bytes:
        """Return ``data``."""
        return data

    def end(self) -> bytes:
        """Return nothing: nothing is held back."""
        return b""
