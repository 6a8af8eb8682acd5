"""Batches that the sink did not take: kept in its ledger, so that they can be found, and seen to be taken up again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone

from airflow_provider_genesys.exceptions import SinkError, SinkRefusedError, SinkUnavailableError
from airflow_provider_genesys.pipeline.batch import Batcher
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, FailedBatch
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.pipeline.sink import Sink

log = logging.getLogger(__name__)

MOST = 20
"""This many are kept of one load; of more, the newest."""


@contextmanager
def keeping_failures(load: Load, batcher: Batcher, sink: Sink, watch: Callable[[Checkpoint], None]) -> Iterator[None]:
    """Where the body fails because of the sink, keep in the ledger what was not taken, as well as that can be done.

    :param batcher: knows what was read, and the last checkpoint that the sink has committed.
    :param watch: is called with the checkpoint that says so.
    """
    try:
        yield
    except (SinkUnavailableError, SinkRefusedError) as error:
        if batcher.read > batcher.committed.counts.read:
            _keep(with_failure(batcher, load, error), sink, watch)
        raise


def with_failure(batcher: Batcher, load: Load, error: SinkError) -> Checkpoint:
    """Return the last committed checkpoint, with all that was read since as a failed batch."""
    committed = batcher.committed
    failed = FailedBatch(
        start=committed.position.record_offset,
        end=batcher.last.position.record_offset,
        records=batcher.read - committed.counts.read,
        error=type(error).__name__,
        code=error.code,
        run_id=load.run_id,
        failed_at=datetime.now(timezone.utc).isoformat(),
    )
    return replace(committed, failed_batches=[*committed.failed_batches, failed][-MOST:])


def _keep(checkpoint: Checkpoint, sink: Sink, watch: Callable[[Checkpoint], None]) -> None:
    failed = checkpoint.failed_batches[-1]
    try:
        watch(checkpoint)
        sink.keep(checkpoint)
    except Exception as error:  # noqa: BLE001 - what made the batch fail is the error to report
        log.warning(
            "That bytes %d to %d of export %s failed could not be kept in the ledger (%s); the log has it.",
            failed.start,
            failed.end,
            checkpoint.export_id,
            type(error).__name__,
        )
