"""Replay the dead letters of an object store: rows become another part of their load, marks a new object of letters.

Objects are never changed: the object with marks replaces the one without, and ledger and manifest say which one counts.
A load that is not complete is left alone. A replay claims a load's ledger as an attempt does. So if two run at once,
the older one can commit nothing more.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from itertools import groupby
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
from airflow_provider_genesys.sinks.objects.dead_letters import Letter, first_facts, is_open, letters_in, marked
from airflow_provider_genesys.sinks.objects.layout import Layout, dead_letters_below, tag
from airflow_provider_genesys.sinks.objects.ledger import Entry, Ledger
from airflow_provider_genesys.sinks.objects.manifest import read_manifest, write_manifest
from airflow_provider_genesys.sinks.objects.parts import OutputFormat, Part, PartWriter
from airflow_provider_genesys.sinks.objects.row_parts import Cut, RowParts, WrittenParts, joined
from airflow_provider_genesys.sinks.objects.settings import Fencing
from airflow_provider_genesys.sinks.objects.shards import joins, list_again
from airflow_provider_genesys.stores.base import ObjectStore, below, quoted
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
        total, damaged = Replayed(), Damaged()
        for folder, keys in self._folders():
            for key in keys:
                try:
                    facts = first_facts(self._store, key)
                    load = facts.load(contract_of(facts.kind), run_id)
                    latest = self._newest(load, folder)
                    load = _as_recorded(load, latest)
                except DeadLetterError as error:
                    log.warning("%s/%s is left as it is. %s", self._store.url, key, error)
                    total.strays += 1
                    continue
                except CheckpointError as error:
                    damaged[folder] = error
                    break
                if window.meets(load.facts):
                    with error_context(f"Export {load.export_id}, replaying its dead letters"):
                        total.add(self._replay(load, latest, damaged))
                break
        if damaged:
            first, *_ = damaged.values()
            raise AccountError(f"{first} {len(damaged)} such objects were left as they are, all others replayed.")
        return total

    def _folders(self) -> Iterator[tuple[str, Iterator[str]]]:
        """Yield the folders with letters, and the keys in each; letters that no longer count are included."""
        found = [stored.key for stored in self._store.list_objects(dead_letters_below(self._prefix))]
        return groupby(found, key=lambda key: f"{key.rpartition('/')[0]}/")

    def _newest(self, load: Load, folder: str) -> Entry | None:
        """Return the newest entry of the load's ledger.

        :raises DeadLetterError: letters of this load are not in ``folder``, or the load is of another kind.
        """
        if not folder.endswith(f"/{quoted(load.load_id)}/{load.shard:05}/"):
            raise DeadLetterError(f"It names load {load.load_id!r:.99}, whose letters are in another folder.")
        entry = self._ledger(load).latest()
        if entry and entry.kind not in {None, load.kind}:
            raise DeadLetterError(f"It names kind {load.kind!r:.99}, but its load is of another kind.")
        return entry

    def _ledger(self, load: Load) -> Ledger:
        return Ledger(self._store, Layout(self._prefix, load, "").ledger, self._fencing)

    def _replay(self, load: Load, latest: Entry | None, damaged: Damaged) -> Replayed:
        if latest is None or latest.state == "loading" or (load.shard and not self._is_joined(load, latest)):
            return Replayed(loads_skipped=1)
        if latest.state == "complete" and not self._has_open(latest, damaged):
            return Replayed()
        if latest.published:
            log.warning(
                "Load %s is in an Iceberg table, which a replay would not change. It is skipped: load its window "
                "again, with the corrected contract.",
                load.load_id,
            )
            return Replayed(loads_skipped=1)
        ledger, attempt = self._ledger(load), uuid.uuid4().hex
        try:
            claimed = ledger.claim(lambda latest: _claimed(latest, attempt))
        except _LoadingError:
            return Replayed(loads_skipped=1)
        return _LoadReplay(self._store, self._prefix, load, ledger, claimed).run(self._judge, damaged)

    def _is_joined(self, load: Load, entry: Entry) -> bool:
        """Whether the shard's load is complete. Until then a claim would stop its shards from being joined."""
        return joins(self._store, Layout(self._prefix, replace(load, shard=0), "", entry.partition)) > 0

    def _has_open(self, entry: Entry, damaged: Damaged) -> bool:
        return any(self._is_open(part, damaged) for part in entry.dead_letters)

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
        self._load = replace(load, export_id=entry.export_id)
        self._format = _format_of(entry)
        self._prefix = prefix
        self._ledger = ledger
        self._entry = entry
        self._layout = self._layout_of(load.shard)

    def run(self, judged: Judge, damaged: Damaged) -> Replayed:
        """Write rows and marks, commit them, list them in the manifest, and remove objects it no longer lists.

        :param damaged: is filled with the error of each damaged object of letters, by key; the object is left as it is.
        """
        for prefix in self._layout.own:
            self._store.abort_uploads(prefix)
        total = Replayed(loads=1)
        rows, letters = WrittenParts(self._entry.parts, self._entry.children), list[Part]()
        for part in self._entry.dead_letters:
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
        own_name, total = tag(self._entry.attempt), Replayed()
        rows = RowParts(
            self._store,
            self._layout,
            Cut(part.start, part.end, own_name),
            self._format,
            self._load,
            self._load.contract,
            child_files=bool(self._entry.children) or not self._entry.parts,
        )
        kept = PartWriter(self._store, self._layout.dead_letter(part.start, part.end, own_name), _Lines())
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


def _as_recorded(load: Load, entry: Entry | None) -> Load:
    """Return ``load`` as its ledger has it: what a letter says of it may be wrong."""
    if entry is None or entry.window_start is None or entry.window_end is None:
        return load
    facts = entry.facts
    return replace(load, window_start=facts.window_start, window_end=facts.window_end, submitted_at=facts.submitted_at)


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
