"""Make batches: rows, dead letters, and the checkpoint that stands behind them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime

from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, FailedBatch, Identity, Position, Proof
from airflow_provider_genesys.pipeline.compile import Path
from airflow_provider_genesys.pipeline.split import Slice
from airflow_provider_genesys.pipeline.transform import Rows, Transform
from airflow_provider_genesys.sinks.base import Batch, Load

MOST_NAMES = 500
"""So many fields that the contract does not name are counted each; then all others together, as :data:`OTHERS`."""
LONGEST_NAME = 200
OTHERS = "(other fields)"


class Batcher:
    """Turns slices into batches, and carries the running sums from checkpoint to checkpoint.

    :param start: the checkpoint that the load goes on from; its sums are taken over.
    """

    def __init__(self, load: Load, start: Checkpoint) -> None:
        self._contract = load.contract
        self._transform = Transform(load.contract, datetime.fromisoformat(start.processed_at))
        self.last = start
        """The newest checkpoint, committed or not."""
        self.committed = start
        """The newest checkpoint that the sink has committed; whoever writes to the sink sets it."""
        self.read = start.counts.read
        """Records read so far, those before ``start`` included."""
        self.dead_letters = start.counts.dead_letters
        """Records set aside so far, those before ``start`` included, those that only the sink refuses not."""

    def batch(self, part: Slice, position: Position, proof: Proof, source: Identity) -> Batch:
        """Return the batch of ``part``, which ends at ``position``."""
        rows, begin = self._transform.apply(part), self.last.position.record_offset
        self.read += len(rows.rows) + len(rows.dead_letters)
        self.dead_letters += len(rows.dead_letters)
        failed = _resolved(self.last.failed_batches, position.record_offset)
        self.last = replace(self._added(rows), position=position, proof=proof, source=source, failed_batches=failed)
        return Batch(rows.rows, rows.offsets, rows.dead_letters, begin, part.end, self.last, self._contract, part)

    def _added(self, rows: Rows) -> Checkpoint:
        last = self.last
        span = self._transform.span(rows)
        times = [] if span is None else [moment.isoformat() for moment in span]
        return replace(
            last,
            digest=(last.digest + self._transform.digest(rows)) % 2**63,
            rules=_sum(last.rules, Counter(letter.rule for letter in rows.dead_letters)),
            drift=_drifted(last.drift, rows.drift),
            min_timestamp=min(filter(None, [last.min_timestamp, *times]), default=None),
            max_timestamp=max(filter(None, [last.max_timestamp, *times]), default=None),
            last_record_id=self._transform.last_key(rows) or last.last_record_id,
        )


def _resolved(failed_batches: list[FailedBatch], offset: int) -> list[FailedBatch]:
    """Return them as they stand in a checkpoint at ``offset``: what ends before it was taken up again."""
    return [replace(failed, resolved=failed.end <= offset) for failed in failed_batches]


def _drifted(before: dict[str, int], more: Counter[Path]) -> dict[str, int]:
    """Return the sums by name; a checkpoint has no room for records that use ids as field names."""
    sums = dict(before)
    for path, count in sorted(more.items()):
        name = ".".join(path)[:LONGEST_NAME].replace("\0", "\ufffd")  # PostgreSQL's JSON has no NUL
        if name not in sums and len(sums) >= MOST_NAMES:
            name = OTHERS
        sums[name] = sums.get(name, 0) + count
    return sums


def _sum(before: dict[str, int], more: Counter[str]) -> dict[str, int]:
    return dict(Counter(before) + more) if more else before
