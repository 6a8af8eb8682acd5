"""Make batches: rows, dead letters, and the checkpoint at the end of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from zlib import crc32

from airflow_provider_genesys.contracts.column import Column
from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.contracts.drift import summed
from airflow_provider_genesys.contracts.pii import record_protection
from airflow_provider_genesys.contracts.transform import Known, Rows, Transform
from airflow_provider_genesys.contracts.unused import Unused
from airflow_provider_genesys.limits import LONGEST_KEY
from airflow_provider_genesys.pipeline.checkpoint import DIGEST_RANGE, Checkpoint, Counts
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.source.records import Slice


class Batcher:
    """Turns slices into batches, and carries the running sums from checkpoint to checkpoint.

    :param start: the checkpoint that the load goes on from; its sums are continued.
    :param pii_key: the key that personal data is hashed with.
    :param children_follow: see :class:`.transform.Transform`.
    """

    def __init__(
        self, load: Load, start: Checkpoint, pii_key: bytes | None = None, *, children_follow: bool = False
    ) -> None:
        self._load = load
        contract = load.contract.evolved(start.evolved) if start.evolved else load.contract
        processed_at = datetime.fromisoformat(start.processed_at)
        self._protect = record_protection((*load.contract.columns, *load.contract.dropped), pii_key)
        where = f"Export {load.export_id}"
        self._transform = Transform(contract, processed_at, pii_key, where=where, children_follow=children_follow)
        # A checkpoint of an older release does not say which places are unused: then nothing is looked for.
        self._unused = Unused(load.contract, start.unused if start.unused is not None or not start.counts.read else [])
        self.last = start
        """The newest checkpoint, committed or not."""
        self.committed = start
        """The newest checkpoint that the sink has committed; set by the loop after each write."""
        self.read = start.counts.read
        """Records read so far, counted from the load's beginning."""
        self.dead_letters = start.counts.dead_letters
        """Records rejected so far, counted from the load's beginning. Rows that only the sink refuses are not
        counted."""

    @property
    def account(self) -> Checkpoint:
        """The newest checkpoint. Once all is committed, its counts are the sink's, with the rows that it refused."""
        if self.committed.position == self.last.position:
            return self.committed
        return replace(self.last, counts=Counts(read=self.read, dead_letters=self.dead_letters))

    @property
    def contract(self) -> Contract:
        """The contract as it has evolved so far."""
        return self._transform.contract

    @property
    def known(self) -> Known:
        """What the contract has learned from the records so far."""
        return self._transform.known

    def rows(self, part: Slice, ready: Rows | None = None) -> Iterator[tuple[Slice, Rows]]:
        """Return the rows of ``part``, cut before each record that makes the contract evolve.

        :param ready: what another process has made of ``part``. It counts only if the contract is the same still.
        :raises ContractFrozenError: a record differs from the contract in a way that it does not allow.
        """
        if ready and ready.contract is self.contract:
            return iter([(part, self._transform.later(part, ready))])
        return self._transform.read(part)

    def batch(self, part: Slice, rows: Rows) -> Batch:
        """Return the batch of ``part`` and its ``rows``; move on to its checkpoint."""
        assert part.places is not None  # noqa: S101 - a source gives them to all its slices
        place = part.places.at(part.end)
        begin = self.last.position.record_offset
        self.read += len(rows.rows) + len(rows.dead_letters)
        self.dead_letters += len(rows.dead_letters)
        self.last = replace(
            self._added(part, rows),
            position=place.position,
            proof=place.proof,
            source=place.identity,
            read_share=place.share,
            media_bytes=self.last.media_bytes + place.media_bytes,
        )
        return Batch(
            rows=rows.rows,
            offsets=rows.offsets,
            dead_letters=rows.dead_letters,
            start=begin,
            end=part.end,
            checkpoint=self.last,
            contract=rows.contract,
            source=part,
            packed=rows.packed,
            protect=self._protect,
        )

    def _added(self, part: Slice, rows: Rows) -> Checkpoint:
        facts = self._transform.facts(rows)
        self._unused.take(part, facts.empty)
        last = self.last
        times = [] if facts.span is None else [moment.isoformat() for moment in facts.span]
        rejected = sum(crc32(letter.raw, letter.offset) for letter in rows.dead_letters)
        return replace(
            last,
            digest=(last.digest + facts.digest + rejected) % DIGEST_RANGE,
            rules=_sum(last.rules, Counter(letter.rule for letter in rows.dead_letters)),
            drift=summed(last.drift, rows.drift),
            evolved=self._evolved(rows.contract) if rows.contract is not self._load.contract else [],
            unused=self._unused.paths,
            min_timestamp=min(filter(None, [last.min_timestamp, *times]), default=None),
            max_timestamp=max(filter(None, [last.max_timestamp, *times]), default=None),
            last_record_id=(facts.last_key or last.last_record_id or "")[:LONGEST_KEY] or None,
        )

    def _evolved(self, contract: Contract) -> list[Column]:
        return [column for column in contract.columns if column not in self._load.contract.columns]


def _sum(before: dict[str, int], more: Counter[str]) -> dict[str, int]:
    return dict(Counter(before) + more) if more else before
