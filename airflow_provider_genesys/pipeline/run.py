"""Load one export into one sink. This is the product: everything else serves these lines.

The loop reads a source from the checkpoint on, in slices of whole records. The contract turns the records into rows.
The sink gets them batch by batch, each batch together with the checkpoint after it. A record that cannot be a row is
dead-lettered. When the source has ended, the counts are checked, and the sink marks the load complete.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from airflow_provider_genesys.contracts.unused import judge_unused
from airflow_provider_genesys.exceptions import (
    ConfigurationError,
    FencedError,
    GenesysError,
    NotAnArchiveError,
    SinkRefusedError,
    SinkUnavailableError,
)
from airflow_provider_genesys.failpoints import COMMITTED, COMPLETE, FINISHING, OPENED, REPORTED, SPLIT, failpoint
from airflow_provider_genesys.pipeline.batch import Batcher
from airflow_provider_genesys.pipeline.budget import Budget, Completeness
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, Counts
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.pipeline.memory import MemoryLimit, keep_freed_memory
from airflow_provider_genesys.pipeline.progress import Phases, Progress
from airflow_provider_genesys.pipeline.shards import beginning_of, check_end, holds, join_shards
from airflow_provider_genesys.pipeline.sink import GatheringSink, PackingSink, Sink, ends_of_slices, writes_children
from airflow_provider_genesys.pipeline.worker import Job
from airflow_provider_genesys.pipeline.workers import Processes, Workers, worker_count
from airflow_provider_genesys.source.base import Archive, Source, Until
from airflow_provider_genesys.source.document import Document
from airflow_provider_genesys.source.pages import Pages
from airflow_provider_genesys.source.records import MAX_RECORD_BYTES, Slice
from airflow_provider_genesys.times import now

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """How a load is run.

    :param batch_size: records in a batch, at most.
    :param flush_interval: seconds after which a batch goes to the sink even if it is not full.
    :param max_dead_letters: dead letters allowed before the load fails; None for any number.
    :param max_dead_letter_ratio: share of the records that may become dead letters, 0 to 1; None for any share.
    :param allow_empty: whether an export without records is a success.
    :param restart: load from the beginning, even if the sink has a checkpoint.
    :param max_record_bytes: a longer record is rejected.
    :param completeness: the number of records that Genesys reports, and what happens if it differs.
    :param allow_unused_protected: whether a load is a success if no record has a value at a path that the contract
        protects.
    :param pii_key: the key that personal data is hashed with.
    :param max_memory_mb: memory that the process may hold, in MB (10**6 bytes); None for any amount.
    :param processes: processes that read and pack records; 1 for the task's process alone, ``auto`` for as many as it
        has cores.
    """

    batch_size: int = 500
    flush_interval: float = 0.05
    max_dead_letters: int | None = None
    max_dead_letter_ratio: float | None = 0.1
    allow_empty: bool = False
    restart: bool = False
    max_record_bytes: int = MAX_RECORD_BYTES
    completeness: Completeness = field(default_factory=Completeness)
    allow_unused_protected: bool = False
    pii_key: bytes | None = field(default=None, repr=False)
    max_memory_mb: float | None = None
    processes: Processes = 1


def run(
    load: Load,
    result: Callable[[Checkpoint], Archive | Pages],
    sink: Sink,
    options: Options,
    watch: Callable[[Checkpoint], None] = lambda _: None,
) -> Certificate:
    """Load the export, from the sink's checkpoint to the end.

    :param load: what is loaded.
    :param result: opens the export's result, an archive or pages, for the checkpoint that the load goes on from.
    :param sink: opened here, and closed in any case.
    :param watch: is called with every committed checkpoint, first the one that the load goes on from.
    :raises GenesysError: see :mod:`airflow_provider_genesys.exceptions`; what is committed stays, and only a complete
        load is marked complete.
    """
    own = _of_shard(options) if load.shard else options
    keep_freed_memory()
    try:
        start = _opened(load, sink, restart=options.restart)
        failpoint(OPENED)
        _announce(load, start)
        if start.committed_at is not None:
            watch(start)
        _budget(own).check(start)  # before anything is downloaded
        source = open_at(result(start), load, start, max_record_bytes=options.max_record_bytes)
        batcher = Batcher(load, start, own.pii_key, children_follow=writes_children(sink))
        attempt = _Attempt(load, start, source, sink, own, watch, batcher, Progress(start, own.completeness.reported))
        _load_records(attempt)
        _check_whole(attempt)
        certificate = _finished(attempt)
    except BaseException:
        sink.abort()
        raise
    join_shards(load, sink, partial(_judged_whole, load, options))
    return certificate


@dataclass(frozen=True)
class _Attempt:
    """One attempt to load an export: from where to where records go, by which options, and what is counted."""

    load: Load
    start: Checkpoint
    source: Source
    sink: Sink
    options: Options
    watch: Callable[[Checkpoint], None]
    batcher: Batcher
    progress: Progress
    phases: Phases = field(default_factory=Phases)

    @property
    def budget(self) -> Budget:
        """How much may be rejected."""
        return _budget(self.options)

    def report(self, committed: Checkpoint) -> None:
        """Say what the sink has committed."""
        self.batcher.committed = committed
        failpoint(COMMITTED)
        self.budget.check(committed)
        self.progress.committed(committed)
        self.watch(committed)
        failpoint(REPORTED)


def _load_records(attempt: _Attempt) -> None:
    """Give all records to the sink, in batches, from the checkpoint to the source's end."""
    batcher, sink, phases = attempt.batcher, attempt.sink, attempt.phases
    memory = MemoryLimit(attempt.options.max_memory_mb)
    workers = _workers(attempt)
    slices = _slices(attempt, workers)
    with _naming_failed(attempt), closing(slices), _gathered_committed(attempt), workers:
        for part, ready in workers.ahead(slices, lambda: batcher.known):
            failpoint(SPLIT)
            phases.ended("source")
            memory.check(f"Export {attempt.load.export_id}, byte {part.end}")
            for piece, rows in batcher.rows(part, ready):
                batch = batcher.batch(piece, rows)
                phases.ended("contract")
                memory.check(f"Export {attempt.load.export_id}, byte {piece.end}")
                committed = sink.write(batch)
                phases.ended("sink")
                memory.check(f"Export {attempt.load.export_id}, byte {piece.end}")
                if committed is not None:
                    attempt.report(committed)
            del part, ready, piece, rows, batch  # holding them while the next rows are made costs 7 % of all CPU time


def _slices(attempt: _Attempt, workers: Workers) -> Generator[Slice, None, None]:
    options, sink = attempt.options, attempt.sink
    cut, packed = ends_of_slices(sink, shared=workers.are_running)
    return attempt.source.slices(
        options.batch_size, cut_every=cut, flush_interval=options.flush_interval, pack_every=packed
    )


def _check_whole(attempt: _Attempt) -> None:
    """Check that the source was read to its end, and that neither too much was rejected nor anything is missing."""
    load, batcher, options = attempt.load, attempt.batcher, attempt.options
    check_end(load.range, batcher.last)
    if not batcher.read and not options.allow_empty:
        raise NotAnArchiveError(
            f"Export {load.export_id} holds no record ({attempt.source.length} bytes) for {load.window_start} to "
            f"{load.window_end}. Check the window and the filters; where a window without records is normal, set "
            "allow_empty=True."
        )
    attempt.budget.check(batcher.account, ended=True)
    options.completeness.check(load.export_id, batcher.read, attempt.source.length)


def _finished(attempt: _Attempt) -> Certificate:
    """Mark the load complete. Return its certificate."""
    load, batcher, options = attempt.load, attempt.batcher, attempt.options
    described = _described(attempt)
    if not load.shard:
        described = _with_unused(load, options, described, batcher.read - batcher.dead_letters)
    attempt.phases.ended("source")
    failpoint(FINISHING)
    with _naming_failed(attempt):
        reported = options.completeness.reported
        certificate = attempt.sink.finish(replace(described, expected_records=reported, phases=attempt.phases.seconds))
    failpoint(COMPLETE)
    done = batcher.last.at(now(), certificate.counts, where="the end")
    attempt.watch(done)
    log.info(attempt.progress.line(done))
    _warn(attempt, certificate)
    return certificate


def _warn(attempt: _Attempt, certificate: Certificate) -> None:
    export_id = attempt.load.export_id
    if certificate.incomplete:
        until = attempt.source.identity.available_until
        log.warning("Export %s: Genesys had data until %s only. Load the window again later.", export_id, until)
    for drift in certificate.drift:
        log.warning("Export %s: %s", export_id, drift)


def _workers(attempt: _Attempt) -> Workers:
    load, start, sink, options = attempt.load, attempt.start, attempt.sink, attempt.options
    count = worker_count(options.processes)
    packing = sink.packing(load.contract) if isinstance(sink, PackingSink) else None
    if packing is None or not count:
        if count:
            log.info("Export %s: the sink takes rows from one process only; processes has no effect.", load.export_id)
        return Workers(None, 0)
    log.info("Export %s: %d worker processes read and pack its records.", load.export_id, count)
    job = Job(load.contract, datetime.fromisoformat(start.processed_at), packing, options.pii_key)
    return Workers(job, count, limit=options.batch_size)


@contextmanager
def _gathered_committed(attempt: _Attempt) -> Iterator[None]:
    """Commit what the sink has gathered at the end; also where reading fails: the next try goes on behind it."""
    try:
        yield
    except (SinkUnavailableError, SinkRefusedError, FencedError):
        raise
    except GenesysError:
        with suppress(GenesysError):
            _commit_gathered(attempt)
        raise
    _commit_gathered(attempt)


def _commit_gathered(attempt: _Attempt) -> None:
    while isinstance(attempt.sink, GatheringSink) and (committed := attempt.sink.flush()) is not None:
        attempt.report(committed)


@contextmanager
def _naming_failed(attempt: _Attempt) -> Iterator[None]:
    """Add to a sink's error which bytes follow the last known commit."""
    try:
        yield
    except (SinkUnavailableError, SinkRefusedError) as error:
        batcher = attempt.batcher
        start, end = batcher.committed.position.record_offset, batcher.last.position.record_offset
        if start == end:
            raise
        left = (
            f"Not committed of export {attempt.load.export_id}: bytes {start} to {end}. The next try continues there."
        )
        raise type(error)(f"{error} {left}", code=error.code, failed=(start, end)) from error


def _judged_whole(load: Load, options: Options, joint: Certificate) -> Certificate:
    """Check the limits that hold for all shards together."""
    _budget(options).check(joint, ended=True)
    options.completeness.check(joint.export_id, joint.counts.read, joint.bytes_read)
    return _with_unused(load, options, joint, joint.counts.read - joint.counts.dead_letters)


def _with_unused(load: Load, options: Options, certificate: Certificate, rows: int) -> Certificate:
    """Add to the drift the paths of the contract at which no record has a value."""
    allowed = options.allow_unused_protected
    unused = judge_unused(load.contract, certificate.unused, rows, allow_protected=allowed)
    if certificate.unused and rows:
        log.info("Export %s: no record has a value at %s", load.export_id, ", ".join(certificate.unused))
    return replace(certificate, drift=[*certificate.drift, *unused])


def _budget(options: Options) -> Budget:
    return Budget(options.max_dead_letters, options.max_dead_letter_ratio)


def _of_shard(options: Options) -> Options:
    """Return the options of one shard: without the limits that hold for all shards together."""
    unjudged = replace(options.completeness, expect="ignore")
    return replace(options, max_dead_letter_ratio=None, allow_empty=True, completeness=unjudged)


def _opened(load: Load, sink: Sink, *, restart: bool) -> Checkpoint:
    start = sink.open(load, restart=restart)
    if start and not holds(load.range, start):
        start = sink.open(load, restart=True)  # the checkpoint is of another cut of the archive
    return start or beginning_of(load.range, load, sink.processed_at)


def _announce(load: Load, start: Checkpoint) -> None:
    how = f"with contract {load.contract}"
    if load.shard:
        how = f"shard {load.shard} of {load.range.count}, bytes {load.range.start:,} to {load.range.end:,}, {how}"
    if start.position.record_offset > start.first:
        how = f"going on at byte {start.position.record_offset:,}, after {start.counts.read:,} records"
    log.info("Export %s (%s to %s): %s", load.export_id, load.window_start, load.window_end, how)


def _described(attempt: _Attempt) -> Certificate:
    load, source, last = attempt.load, attempt.source, attempt.batcher.last
    until = source.identity.available_until
    return Certificate.of(
        load,
        source.identity,
        bytes_read=source.length - last.first,
        counts=Counts(read=attempt.batcher.read),
        digest=f"{last.digest:016x}",
        min_timestamp=last.min_timestamp,
        max_timestamp=last.max_timestamp,
        rules=last.rules,
        drift=last.drift,
        unused=last.unused or [],
        evolved=last.evolved,
        shard=load.range if load.shard else None,
        incomplete=until is not None and datetime.fromisoformat(until) < load.window_end,
        started_at=attempt.progress.started_at,
        ended_at=now().isoformat(),
        seconds=round(attempt.progress.seconds, 3),
    )


def open_at(result: Archive | Pages, load: Load, start: Checkpoint, *, max_record_bytes: int) -> Source:
    """Return the records of an export's ``result``, from ``start`` on; a record longer than the limit is dead-lettered.

    :param load: its range says up to where an archive is read, and its contract under which path the records are.
    :raises ConfigurationError: the contract has a ``records_path``, and the result is pages, or cut into shards.
    """
    path = load.contract.records_path
    if path and (load.shard or isinstance(result, Pages)):
        what = "a shard of an archive" if load.shard else f"{load.kind}, which comes as pages,"
        raise ConfigurationError(
            f"Export {load.export_id}: contract {load.contract.name} has records_path={path!r}, but {what} cannot "
            "be read by a path. Use a contract without records_path, or load the archive in one piece."
        )
    if isinstance(result, Pages):
        return result.open_at(start, max_record_bytes=max_record_bytes)
    archive = Until(result, load.range.end)
    return Document(archive, start, max_record_bytes=max_record_bytes, records_path=path)
