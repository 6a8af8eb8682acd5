"""Land one archive as it is. Only its first bytes are looked at, to see that it is an archive.

Works like :mod:`.run`, with bytes in place of records: from the checkpoint to the end, in pieces.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any, Protocol

from airflow_provider_genesys.exceptions import NotAnArchiveError
from airflow_provider_genesys.failpoints import COMMITTED, COMPLETE, FINISHING, OPENED, REPORTED, WRITING, failpoint
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.pipeline.memory import MemoryLimit
from airflow_provider_genesys.pipeline.progress import Progress
from airflow_provider_genesys.pipeline.run import Options
from airflow_provider_genesys.source.base import Archive
from airflow_provider_genesys.source.landed import RAW
from airflow_provider_genesys.source.position import Identity, proven
from airflow_provider_genesys.source.read_ahead import Handover
from airflow_provider_genesys.source.response import changed
from airflow_provider_genesys.times import now

log = logging.getLogger(__name__)

_PATIENCE = 60.0
"""Seconds to wait for bytes before looking again. The download itself limits how long it may stall."""
_AHEAD = 2 * 2**20
"""Bytes that are read ahead. More would only wait where the store is slower: two pieces are on their way already."""


class Landing(Protocol):
    """A place for one archive, byte for byte. Used by one thread, in the order open, write..., finish."""

    def open(self, load: Load, *, restart: bool) -> Checkpoint | None:
        """Take a new fence and return where to continue; None when there is nothing to continue."""

    def write(self, data: bytes, source: Identity) -> Checkpoint | None:
        """Take the next bytes; return the checkpoint where they are committed."""

    def finish(self, certificate: Certificate, handle: dict[str, Any]) -> Certificate:
        """Make the archive visible and mark the landing complete. Return the closed certificate."""

    def close(self) -> None:
        """Send no more, after what is being sent. Called at the end, also after an error. Never raises."""


def land(
    load: Load,
    handle: dict[str, Any],
    archive: Callable[[Checkpoint], Archive],
    landing: Landing,
    options: Options,
    watch: Callable[[Checkpoint], None] = lambda _: None,
) -> Certificate:
    """Land the export's archive, from the ledger's checkpoint to the end.

    :param handle: the handle by which the archive is loaded from there later; JSON-serialisable, kept in the manifest.
    :param archive: opens the archive for the checkpoint that the landing goes on from.
    :param options: of these ``restart``, ``allow_empty`` and ``max_memory_mb``.
    :param watch: is called with every committed checkpoint, first the one that the landing goes on from.
    :raises GenesysError: see :mod:`airflow_provider_genesys.exceptions`; the next attempt goes on from the checkpoint.
    """
    with closing(landing):
        return _land(load, handle, archive, landing, options, watch)


def _land(
    load: Load,
    handle: dict[str, Any],
    archive: Callable[[Checkpoint], Archive],
    landing: Landing,
    options: Options,
    watch: Callable[[Checkpoint], None],
) -> Certificate:
    start = landing.open(load, restart=options.restart)
    failpoint(OPENED)
    if start:
        log.info("Export %s: landing goes on at byte %s", load.export_id, f"{start.position.source_offset:,}")
        watch(start)
    start = start or Checkpoint(load.load_id, load.export_id, now().replace(microsecond=0).isoformat())
    source, progress, memory = archive(start), Progress(start), MemoryLimit(options.max_memory_mb)
    with Handover(lambda: _rest(source, start), stop=source.stop, limit=_AHEAD) as handover:
        while (chunk := handover.take(_PATIENCE)) != b"":
            failpoint(WRITING)
            committed = landing.write(chunk or b"", source.identity)
            memory.check(f"Export {load.export_id}")
            if committed is not None:
                failpoint(COMMITTED)
                progress.committed(committed)
                watch(committed)
                failpoint(REPORTED)
    if source.identity.length == 0 and not options.allow_empty:
        raise _empty(load)
    failpoint(FINISHING)
    certificate = landing.finish(_described(load, source.identity, progress), handle)
    failpoint(COMPLETE)
    log.info("Export %s: %s bytes landed at %s", load.export_id, f"{certificate.bytes_read:,}", certificate.location)
    return certificate


def _rest(archive: Archive, start: Checkpoint) -> Iterator[bytes]:
    """Yield the archive from ``start`` on, after re-reading the bytes just before it and comparing them."""
    length = start.proof.length
    chunks = archive.read(start.position.source_offset - length)
    return proven(chunks, skip=0, length=length, check=partial(_check, start))


def _check(start: Checkpoint, before: bytes) -> None:
    if not start.proof.holds(before):
        raise changed(start.export_id, f"the bytes before byte {start.position.source_offset} have changed")


def _empty(load: Load) -> NotAnArchiveError:
    return NotAnArchiveError(
        f"The archive of export {load.export_id} is empty, for {load.window_start} to {load.window_end}. Check the "
        "window and the filters; where a window without records is normal, set allow_empty=True."
    )


def _described(load: Load, source: Identity, progress: Progress) -> Certificate:
    return Certificate.of(load, source, contract=RAW, seconds=round(progress.seconds, 3))
