"""Loads and batches as the pipeline makes them, from numbers alone: record ``i`` begins at byte ``i * LENGTH``."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_provider_genesys.contracts.contract import RECORDINGS, Contract
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, Counts
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.pipeline.sink import GatheringSink, Sink
from airflow_provider_genesys.source.position import Identity, Position, Proof
from airflow_provider_genesys.source.records import DeadLetter
from airflow_provider_genesys.testing.sink_conformance.place import Contents
from airflow_provider_genesys.times import iso_time

LENGTH = 1200
"""Bytes of one record in the imagined archive."""

PART_SIZE = 18 * LENGTH
"""For a sink that cuts parts: so few records to a part that the suite's loads have several."""

RECORDS = 64
DEAD = frozenset({3, 17, 41, 62})
"""Of the suite's loads: how many records they have, and the numbers of those that are rejected. The last part is not
full, so that something is left for ``finish`` to commit."""

DAY = datetime(2026, 11, 1, tzinfo=timezone.utc)
PROCESSED_AT = DAY + timedelta(days=1, hours=3)


def make_load(
    export_id: str = "export-1",
    *,
    load_id: str = "load-1",
    submitted_at: datetime | None = DAY + timedelta(days=1),
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

    :param dead: numbers of the dead letters.
    :param row: makes the row of a number; equal keys are duplicates.
    """
    numbers = range(records) if isinstance(records, int) else records
    for first in range(numbers.start, numbers.stop, size):
        yield make_batch(load, range(first, min(first + size, numbers.stop)), dead=dead, row=row)


def cut_batches(
    load: Load, begin: int, *, until: int = RECORDS, size: int = 7, cut_every: int | None = None
) -> Iterator[Batch]:
    """Cut the suite's records from byte ``begin`` on, ending a batch where a part has to end, as the pipeline does."""
    number = begin // LENGTH
    while number < until:
        stop = min(number + size, until)
        if cut_every:
            cut = (number * LENGTH // cut_every + 1) * cut_every
            stop = min(stop, -(-cut // LENGTH))
        yield make_batch(load, range(number, stop), dead=DEAD)
        number = stop


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
        contract=load.contract,
    )


def make_dead_letter(number: int) -> DeadLetter:
    """Record ``number``, rejected for a missing field."""
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
        submitted_at=iso_time(load.submitted_at),
        contract=str(load.contract),
        source=checkpoint.source,
        bytes_read=checkpoint.position.record_offset,
        counts=Counts(read=checkpoint.counts.read or checkpoint.digest),
        digest=f"{checkpoint.digest:016x}",
        rules=checkpoint.rules,
    )


def written(sink: Sink, batch: Batch) -> Checkpoint | None:
    """Write ``batch``. If a part ends with it, wait for the part's commit, which may be made in the background."""
    committed, every = sink.write(batch), sink.cut_every
    if every and batch.end // every > batch.start // every and isinstance(sink, GatheringSink):
        return sink.flush() or committed
    return committed


def write_all(
    sink: Sink, load: Load, start: Checkpoint | None, *, until: int = RECORDS, size: int = 7
) -> list[Checkpoint]:
    """Write from ``start`` to record ``until``; return every checkpoint that was committed on the way."""
    begin = start.position.record_offset if start else 0
    committed = [
        written(sink, batch) for batch in cut_batches(load, begin, until=until, size=size, cut_every=sink.cut_every)
    ]
    return [checkpoint for checkpoint in committed if checkpoint]


def write_until_committed(sink: Sink, load: Load, start: Checkpoint | None, *, size: int = 7) -> Checkpoint | None:
    """Write from ``start`` until a commit, and one batch more; return the newest checkpoint, None at the end."""
    begin = start.position.record_offset if start else 0
    committed = None
    for batch in cut_batches(load, begin, size=size, cut_every=sink.cut_every):
        newest, before = written(sink, batch), committed
        committed = newest or committed
        if before:
            break
    return committed


def finish(sink: Sink, load: Load) -> Certificate:
    """Finish a load whose records are all written."""
    return sink.finish(make_certificate(load, make_checkpoint(load, RECORDS)))


def write_last_and_finish(sink: Sink, load: Load) -> None:
    """Write the last record and finish, where all others are written."""
    sink.write(make_batch(load, range(RECORDS - 1, RECORDS)))
    finish(sink, load)


def assert_goes_on(start: Checkpoint | None, committed: Checkpoint | None) -> None:
    """Check that an attempt goes on from the last checkpoint that was reported, or from one that was under way."""
    if start and committed and start.position.record_offset > committed.position.record_offset:
        return
    found, reported = (checkpoint and replace(checkpoint, fence=0) for checkpoint in (start, committed))
    assert found == reported  # noqa: S101 - the suite's own check


def load_all(sink: Sink, load: Load, *, restart: bool = False, size: int = 7) -> Certificate:
    """Load everything from where ``open`` says, to the end."""
    write_all(sink, load, sink.open(load, restart=restart), size=size)
    return finish(sink, load)


def expected(load: Load) -> Contents:
    """Return what a complete load of the suite's records holds."""
    names = [column.name for column in load.contract.columns]
    whole = make_batch(load, range(RECORDS), dead=DEAD)
    rows = [dict(zip(names, row, strict=True)) for row in whole.rows]
    return Contents(rows, [{"offset": letter.offset, "rule": letter.rule} for letter in whole.dead_letters])
