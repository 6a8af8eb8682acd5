"""One attempt at a load into an object store: parts, a ledger entry after each, and a manifest at the end."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.exceptions import AccountError, ConfigurationError, SinkUnavailableError, error_context
from airflow_provider_genesys.failpoints import (
    CHECKED,
    CLAIMED,
    CLEANED,
    COMMITTING,
    GATHERED,
    LEDGER_WRITTEN,
    MANIFEST_WRITTEN,
    PART_UPLOADED,
    WRITING,
    failpoint,
)
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, Counts
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.sinks.dead_letters import DeadLetterLines, DeadLetterRows, RawBytes
from airflow_provider_genesys.sinks.objects.layout import Layout, cut_name, partition_of, tag
from airflow_provider_genesys.sinks.objects.ledger import Ledger
from airflow_provider_genesys.sinks.objects.manifest import write_manifest
from airflow_provider_genesys.sinks.objects.parts import Part, PartWriter
from airflow_provider_genesys.sinks.objects.publish import Columns, Publication
from airflow_provider_genesys.sinks.objects.row_parts import ChildTable, RowParts, WrittenParts, joined, rows_of
from airflow_provider_genesys.sinks.objects.settings import ObjectSettings
from airflow_provider_genesys.sinks.objects.shards import withdraw
from airflow_provider_genesys.sinks.objects.successor import check_other_shards, ledger_keys, successor
from airflow_provider_genesys.sinks.objects.warehouse_lists import (
    ROWS,
    WrittenLists,
    check_warehouses,
    keys_of,
    write_lists_of,
)
from airflow_provider_genesys.stores.base import ObjectStore, Stored, at_once, below
from airflow_provider_genesys.stores.read_through import read_through
from airflow_provider_genesys.times import now, parse_time

log = logging.getLogger(__name__)


@dataclass
class _Gathered:
    """The rows and dead letters of the next commit, of the records in ``[start, end)``."""

    start: int
    end: int
    cut: int
    contract: Contract
    rows: RowParts
    letters: PartWriter[Batch]
    checkpoint: Checkpoint

    def close(self) -> tuple[WrittenParts, list[Part]]:
        """Make the objects visible, except those without rows."""
        rows, letters = self.rows.close(self.start, self.end), self.letters.close(self.start, self.end)
        return rows, [letters] if letters else []


class Attempt:
    """Holds the newest ledger entry, which it wrote itself, and what is gathered after it.

    Creating one claims the ledger: from then on every earlier attempt is fenced.
    """

    def __init__(self, load: Load, settings: ObjectSettings, store: ObjectStore, *, restart: bool) -> None:
        self._settings = settings
        self._store = store
        _check_whole(store.url, settings, load)
        rows_of(settings.form, load, load.contract)  # an unusable format is an error before anything is read
        if settings.publisher:
            settings.publisher.check(self._columns(load.contract))
        named = settings.prefix, load, settings.output_format
        partition, name = partition_of(load, settings.partition_format), uuid.uuid4().hex
        writes = settings.writes(load.contract)
        layout = Layout(*named, partition)
        keys = ledger_keys(store, layout)
        check_other_shards(store, layout, load, keys)
        self._ledger = Ledger(store, layout.ledger, settings.fencing)
        self.entry = self._ledger.claim(
            lambda latest: successor(latest, load, name, restart=restart, partition=partition, writes=writes), keys
        )
        self.load = replace(load, submitted_at=parse_time(self.entry.submitted_at))
        self._letters = DeadLetterRows(self.load, RawBytes(settings.dead_letter_raw, settings.encrypt))
        self._layout = Layout(*named, self.entry.partition)
        failpoint(CLAIMED)
        at_once(partial(self._ledger.prove, self.entry), *self._aborts())
        if load.shard and self.entry.checkpoint is None:
            withdraw(store, Layout(settings.prefix, replace(load, shard=0), settings.output_format))
        self._gathered: _Gathered | None = None
        self._committing: Future[Checkpoint] | None = None
        self._handed: _Gathered | None = None  # what is being committed, or could not be
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="genesys-commit")
        self._next = self.entry.checkpoint.position.record_offset if self.entry.checkpoint else None

    def evolves(self, batch: Batch) -> bool:
        """Whether ``batch`` has other columns than the gathered rows, so that it begins a new part."""
        return self._gathered is not None and self._gathered.contract != batch.contract

    def gather(self, batch: Batch) -> bool:
        """Add ``batch``. Return whether it reaches the cut, so that the part has to be committed."""
        failpoint(WRITING)
        if self._next not in {None, batch.start}:
            raise AccountError(
                f"Export {self.load.export_id}: a batch starts at byte {batch.start}, but the load has come to byte "
                f"{self._next}. Please report this as a bug."
            )
        gathered = self._gathered = self._gathered or self._begin(batch)
        gathered.rows.write(batch)
        gathered.letters.write(batch, len(batch.dead_letters))
        gathered.checkpoint = batch.checkpoint
        gathered.end = self._next = batch.end
        failpoint(GATHERED)
        return batch.end >= gathered.cut

    def commit(self) -> Checkpoint | None:
        """Begin to commit what is gathered, in a thread. First wait for the commit before; return its checkpoint.

        A store answers each request after some hundredths of a second, and a commit needs at least three. Meanwhile the
        next part is filled. At most one commit is in progress, so the ledger keeps its order.
        """
        before = self.settled()
        gathered, self._gathered = self._gathered, None
        if gathered:
            self._handed = gathered
            self._committing = self._thread.submit(self._commit, gathered)
        return before

    def ended_commit(self) -> Checkpoint | None:
        """Return the checkpoint of a commit that has ended since the last call, or raise its error."""
        return self.settled() if self._committing and self._committing.done() else None

    def settled(self) -> Checkpoint | None:
        """Wait for the commit in the thread and return its checkpoint, or raise its error. None if there is none."""
        committing, self._committing = self._committing, None
        if committing is None or self._handed is None:
            return None
        with error_context(f"Export {self.load.export_id}, bytes {self._handed.start} to {self._handed.end}"):
            checkpoint = committing.result()
        self._handed = None
        return checkpoint

    def _commit(self, gathered: _Gathered) -> Checkpoint:
        """Make the gathered objects visible, then commit them in the ledger."""
        self._ledger.confirm(self.entry)
        failpoint(COMMITTING)
        rows, letters = gathered.close()
        failpoint(PART_UPLOADED)
        checkpoint = self._committed(gathered)
        self._append(
            processed_at=checkpoint.processed_at,
            checkpoint=checkpoint,
            parts=[*self.entry.parts, *rows.parts],
            children=joined(self.entry.children, rows.children),
            dead_letters=[*self.entry.dead_letters, *letters],
        )
        return checkpoint

    def finish(self, certificate: Certificate) -> Certificate:
        """Compare the ledger with the store, write the manifest, remove objects it does not list.

        Called when the last commit has settled.

        :raises SinkRefusedError: a load of a later export has begun meanwhile, in shards or in one piece.
        """
        self._thread.shutdown()
        self._check_account()
        stored = below(self._store, self._layout.objects)
        listed = self.entry.listed
        for part in listed:
            self._check(part, stored.get(part.key))
        # Stale objects were listed before this, so objects of a newer attempt cannot be among them.
        at_once(
            partial(self._ledger.confirm, self.entry), partial(check_other_shards, self._store, self._layout, self.load)
        )
        failpoint(CHECKED)
        tables = {ROWS: self.entry.parts, **self.entry.children}
        lists = write_lists_of(self._store, self._layout.load, tables, self._settings.lists)
        closed = self._landed(certificate, lists, self._published(certificate))
        self._write_manifest(closed)
        failpoint(MANIFEST_WRITTEN)
        kept = {self._layout.manifest, *keys_of(self._store.url, lists), *self.entry.kept}
        for key in stored.keys() - {part.key for part in listed} - kept:
            self._store.delete(key)
        at_once(*self._aborts())
        failpoint(CLEANED)
        self._append(state="complete", kept=[key for key in self.entry.kept if key in stored])
        return closed

    def amend(self, certificate: Certificate) -> None:
        """Write the manifest of the finished load once more.

        :raises FencedError: another attempt has begun to change the load and now writes the manifest.
        """
        self._append()
        self._write_manifest(certificate)

    def abort(self) -> None:
        """Discard what is gathered, after a commit in progress has ended. Never raises."""
        committing, self._committing = self._committing, None
        if committing:
            wait([committing])
            self._handed = self._handed if committing.exception() else None
        self._thread.shutdown()
        discarded = [gathered for gathered in (self._handed, self._gathered) if gathered]
        self._handed = self._gathered = None
        for writer in (writer for gathered in discarded for writer in (*gathered.rows.writers, gathered.letters)):
            try:
                writer.abort()
            except Exception as error:  # noqa: BLE001 - the error that led to the abort is the one to report
                log.warning("The unfinished upload of %s is left to the next attempt: %s", writer.key, error)

    def check_fence(self) -> None:
        """Raise :class:`FencedError` if a newer attempt has taken over; return if the store cannot say.

        For use after an error: a newer attempt aborts our uploads, and then the store does not know them.
        """
        with suppress(SinkUnavailableError):
            self._ledger.confirm(self.entry)

    def _aborts(self) -> Iterator[Callable[[], None]]:
        """Return what discards unfinished uploads, below each prefix."""
        return (partial(self._store.abort_uploads, prefix) for prefix in self._layout.objects)

    def _begin(self, batch: Batch) -> _Gathered:
        start, size = batch.start, self._settings.part_size
        cut = (start // size + 1) * size
        same_bytes = tag(self.load.export_id, batch.checkpoint.processed_at, *self._settings.packed_as)
        # Encryption gives other bytes each time, so the keys of dead letters differ in each attempt.
        own_bytes = tag(self.entry.attempt)
        rows = RowParts(
            self._store,
            self._layout,
            cut_name(start, cut, same_bytes),
            self._settings.form,
            self.load,
            batch.contract,
            child_files=self._settings.child_files,
        )
        lines = DeadLetterLines(self._letters)
        letters = PartWriter(self._store, self._layout.dead_letter(cut_name(start, cut, own_bytes)), lines)
        return _Gathered(start, start, cut, batch.contract, rows, letters, batch.checkpoint)

    def _committed(self, gathered: _Gathered) -> Checkpoint:
        written, dead_letters = gathered.rows.rows, gathered.letters.rows
        before = self.entry.checkpoint.counts if self.entry.checkpoint else Counts()
        counts = before + Counts(read=written + dead_letters, written=written, dead_letters=dead_letters)
        where = f"export {self.load.export_id}, byte {gathered.end}"
        return replace(gathered.checkpoint.at(now(), counts, where=where), fence=self.entry.fence)

    def _append(self, **changes: Any) -> None:
        entry = replace(self.entry, number=self.entry.number + 1, written_at=now().isoformat(), **changes)
        self._ledger.append(entry)
        failpoint(LEDGER_WRITTEN)
        self.entry = entry

    def _check_account(self) -> None:
        counts = self.entry.checkpoint.counts if self.entry.checkpoint else Counts()
        listed = (_rows(self.entry.parts), _rows(self.entry.dead_letters))
        if listed != (counts.written, counts.dead_letters):
            raise AccountError(
                f"Export {self.load.export_id}: the parts hold {listed[0]} rows and {listed[1]} dead letters, but the "
                f"account says {counts.written} and {counts.dead_letters}. Unless somebody edited the ledger this is a "
                "bug: please report it, and clear the task with on_clear='restart'."
            )

    def _check(self, part: Part, found: Stored | None) -> None:
        if found and (found.size, found.etag) == (part.bytes, part.etag):
            return
        # A different ETag does not mean different bytes: with KMS each write gives a new one.
        if found and found.size == part.bytes and self._is_same(part):
            return
        state = f"has {found.size} bytes" if found else "is not there"
        raise AccountError(
            f"Export {self.load.export_id}: {self._store.url}/{part.key} should have {part.bytes} bytes with SHA-256 "
            f"{part.sha256}, but it {state}{' and other contents' if found else ''}. Something else writes to or "
            "expires objects below this prefix: find it, then clear the task with on_clear='restart'."
        )

    def _is_same(self, part: Part) -> bool:
        found = read_through(self._store, part.key, size=part.bytes)
        return found is not None and found.sha256 == part.sha256

    def _write_manifest(self, certificate: Certificate) -> None:
        lists = {"children": self.entry.children, "dead_letters": self.entry.dead_letters}
        write_manifest(self._store, self._layout.manifest, certificate, **lists, replayed=self.entry.replayed)

    def _published(self, certificate: Certificate) -> dict[str, str]:
        """Commit the parts to the tables; return the snapshot of each, by its name."""
        publisher = self._settings.publisher
        if publisher is None:
            return {}
        self._append(published=True)  # before the commit: from then on older versions of the table may need them
        columns = self._columns(self.load.contract.evolved(certificate.evolved))
        publication = Publication(self.load, self.entry.fence, columns, {"": self.entry.parts, **self.entry.children})
        return publisher.publish(self._store, publication, lambda: self._ledger.confirm(self.entry))

    def _columns(self, contract: Contract) -> Columns:
        children = contract.children if self._settings.child_files else ()
        return {"": contract.columns, **{child.name: ChildTable(contract, child).columns for child in children}}

    def _landed(self, certificate: Certificate, lists: WrittenLists, iceberg: dict[str, str]) -> Certificate:
        return certificate.accounted(
            self.entry.checkpoint.counts if self.entry.checkpoint else Counts(),
            location=f"{self._store.url}/{self._layout.load}",
            parts=[asdict(part) for part in self.entry.parts],
            submitted_at=self.entry.submitted_at,
            attempts=self.entry.attempts,
            lists=lists if self._settings.lists else {},
            iceberg=iceberg,
        )


def _check_whole(url: str, settings: ObjectSettings, load: Load) -> None:
    if settings.lists and load.shard:
        raise ConfigurationError(
            "lists are of a whole load. Leave them out of the shards, and let GenesysWriteListsOperator follow them."
        )
    if settings.lists:
        check_warehouses(url, settings.lists)
    if settings.publisher and load.shard:
        raise ConfigurationError(
            "publish_to_iceberg commits a whole load. Leave it out of the shards, or load the export in one piece."
        )


def _rows(parts: Iterable[Part]) -> int:
    return sum(part.rows for part in parts)
