"""Loads and batches as the pipeline makes them, from numbers alone: record ``i`` lies at byte ``i * LENGTH``."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, Identity, Position, Proof
from airflow_provider_genesys.pipeline.contract import RECORDINGS, Contract
from airflow_provider_genesys.pipeline.dead_letter import DeadLetter
from airflow_provider_genesys.sinks.base import Batch, Load

LENGTH = 1200
"""Bytes of one record in the imagined archive."""

DAY = datetime(2026, 11, 1, tzinfo=timezone.utc)
PROCESSED_AT = DAY + timedelta(days=1, hours=3)


def make_load(
    export_id: str = "export-1",
    *,
    load_id: str = "load-1",
    submitted_at: datetime = DAY + timedelta(days=1),
    contract: Contract = RECORDINGS,
    run_id: str = "dag/run/task",
    shard: int = 0,
) -> Load:
    """One day of recordings."""
    return Load(
        load_id=load_id,
        export_id=export_id,
        kind="recordings",
        window_start=DAY,
        window_end=DAY + timedelta(days=1),
        submitted_at=submitted_at,
        contract=contract,
        run_id=run_id,
        shard=shard,
    )


def recording_row(number: int, **columns: Any) -> tuple[Any, ...]:
    """Row ``number`` of the recordings contract, about 1.2 KB; ``columns`` replace values by column name."""
    participant = {"id": f"user-{number % 97}", "purpose": "agent", "notes": "x" * 240}
    values: dict[str, Any] = {
        "recordingId": f"recording-{number:07}",
        "conversationId": f"conversation-{number:07}",
        "timestamp": DAY + timedelta(milliseconds=number * 100),
        "durationMs": number * 7,
        "queueId": f"queue-{number % 5}" if number % 3 else None,
        "queueName": "Claims" if number % 3 else None,
        "mediaType": "audio",
        "direction": "inbound",
        "participants": json.dumps([participant, participant]).encode(),
        "media": json.dumps({"type": "audio", "codec": "opus", "url": "m" * 150}).encode(),
        "metadata": json.dumps({"number": number, "tags": ["a", "b"], "text": "y" * 120}).encode(),
        "processedAt": PROCESSED_AT,
        **columns,
    }
    return tuple(values[column.name] for column in RECORDINGS.columns)


def make_batches(
    load: Load,
    records: int | range,
    *,
    size: int = 500,
    dead: Collection[int] = (),
    row: Callable[[int], tuple[Any, ...]] = recording_row,
) -> Iterator[Batch]:
    """Cut records (a number of them, or a range of numbers) into batches of ``size``.

    :param dead: numbers of the records that were set aside.
    :param row: makes the row of a number; equal keys are duplicates.
    """
    numbers = range(records) if isinstance(records, int) else records
    for first in range(numbers.start, numbers.stop, size):
        yield make_batch(load, range(first, min(first + size, numbers.stop)), dead=dead, row=row)


def make_batch(
    load: Load,
    numbers: range,
    *,
    dead: Collection[int] = (),
    row: Callable[[int], tuple[Any, ...]] = recording_row,
) -> Batch:
    """Make one batch of the records ``numbers``."""
    good = [number for number in numbers if number not in dead]
    return Batch(
        rows=[row(number) for number in good],
        offsets=[number * LENGTH for number in good],
        dead_letters=[make_dead_letter(number) for number in numbers if number in dead],
        start=numbers.start * LENGTH,
        end=numbers.stop * LENGTH,
        checkpoint=make_checkpoint(load, numbers.stop),
    )


def make_dead_letter(number: int) -> DeadLetter:
    """Record ``number``, set aside for a missing field."""
    return DeadLetter(
        offset=number * LENGTH,
        raw=json.dumps({"recordingId": f"recording-{number:07}"}).encode(),
        stage="contract",
        rule="missing-required",
        message="durationMs is missing",
    )


def make_checkpoint(load: Load, records: int) -> Checkpoint:
    """Make the checkpoint after ``records`` records, as the pipeline hands it over: without counts."""
    end = records * LENGTH
    return Checkpoint(
        load_id=load.load_id,
        export_id=load.export_id,
        processed_at=PROCESSED_AT.isoformat(),
        position=Position(end, end, end),
        proof=Proof(length=64, sha256=f"{end:064x}"),
        source=Identity(length=1_000_000_000, etag='"archive"'),
        digest=records,
        last_record_id=f"recording-{records - 1:07}",
    )


def make_certificate(load: Load, checkpoint: Checkpoint) -> Certificate:
    """Describe a load that ended at ``checkpoint``, as the pipeline hands it to ``finish``."""
    return Certificate(
        load_id=load.load_id,
        export_id=load.export_id,
        kind=load.kind,
        window_start=load.window_start.isoformat(),
        window_end=load.window_end.isoformat(),
        contract=str(load.contract),
        source=checkpoint.source,
        bytes_read=checkpoint.position.record_offset,
        counts=checkpoint.counts,
        digest=f"{checkpoint.digest:016x}",
        rules=checkpoint.rules,
    )
