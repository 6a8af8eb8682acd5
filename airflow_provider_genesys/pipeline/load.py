"""One load, its batches, and the facts of it that ledgers keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.contracts.pii import ProtectRecord
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.resolved import resolved
from airflow_provider_genesys.source.records import BOM, DeadLetter, Slice
from airflow_provider_genesys.source.shards import WHOLE, Shard
from airflow_provider_genesys.times import iso_time


@resolved
@dataclass(frozen=True)
class LoadFacts:
    """The facts of a load that ledgers, dead letters and certificates keep. See :class:`Load` for the fields."""

    load_id: str
    shard: int
    export_id: str
    kind: str
    window_start: datetime
    window_end: datetime
    submitted_at: datetime | None
    contract: str = ""
    """``name@version#fingerprint``; empty if not needed."""
    run_id: str = ""
    """The task of the newest attempt: ``dag_id/run_id/task_id``; empty if not needed."""

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> LoadFacts:
        """Read them from ``fields``; other fields are ignored, and a time may be ISO 8601 text.

        :raises msgspec.ValidationError: one is missing or of the wrong type.
        """
        return msgspec.convert(fields, cls)

    def as_json(self) -> dict[str, Any]:
        """Return them with times as ISO 8601 text in UTC."""
        return {name: iso_time(value) if isinstance(value, datetime) else value for name, value in vars(self).items()}

    def load(self, contract: Contract, run_id: str) -> Load:
        """Return the load, as ``run_id`` reads it through ``contract``."""
        return Load(**{**vars(self), "contract": contract, "run_id": run_id})


@dataclass(frozen=True)
class Load:
    """One window of one kind, read with one contract. ``load_id`` is its hash."""

    load_id: str
    """Hash of kind, window, filters and contract: the same for every retry, clear and re-run."""
    export_id: str
    kind: str
    window_start: datetime
    window_end: datetime
    submitted_at: datetime | None
    """When the export was requested, by Genesys' answer or the clock of the task that requested it; None if not known.
    If two loads hold the same key, the row of the later request wins."""
    contract: Contract
    run_id: str
    """The task that loads, ``dag_id/run_id/task_id``; kept with dead letters."""
    shard: int = 0
    """Number of the shard, from 1; 0 for the whole archive."""
    range: Shard = WHOLE
    """The bytes of the archive that are loaded. Not set in a replay, which knows only the shard's number."""
    self_asked: bool = False
    """Whether the load makes the requests itself, as for a listing. Then the load's beginning is the time of the
    request: an attempt that continues takes it from the ledger, one that begins takes :attr:`submitted_at`."""

    @property
    def facts(self) -> LoadFacts:
        """The facts that ledgers keep."""
        return LoadFacts(
            self.load_id,
            self.shard,
            self.export_id,
            self.kind,
            self.window_start,
            self.window_end,
            self.submitted_at,
            str(self.contract),
            self.run_id,
        )


@dataclass(frozen=True)
class Batch:
    """Whole records in the range ``[start, end)`` of unpacked bytes, and the checkpoint after them.

    ``rows`` hold one value per column of ``contract.columns``, in that order; ``offsets`` hold the offset of each row's
    record. ``contract`` is ``load.contract`` until it evolves; a batch ends before the record that makes it evolve.
    ``dead_letters`` are the rejected records of the same range. The sink fills in ``checkpoint.counts`` and
    ``checkpoint.committed_at`` (:meth:`Checkpoint.at`), since only it knows what it wrote.
    """

    rows: Sequence[tuple[Any, ...]]
    offsets: list[int]
    dead_letters: list[DeadLetter]
    start: int
    end: int
    checkpoint: Checkpoint
    contract: Contract
    source: Slice | None = None
    """What the rows were read from; None for a batch that was not read from bytes."""
    packed: bytes | None = None
    """The rows as :attr:`.sink.PackingSink.packing` makes them; None if nobody has packed them."""
    protect: ProtectRecord | None = None
    """Removes personal data from a dead letter's bytes as the contract says; None if the contract protects none."""

    @property
    def records(self) -> int:
        """Number of records read, rejected ones included."""
        return len(self.rows) + len(self.dead_letters)

    def raw(self) -> list[bytes | None]:
        """Return the original bytes of each row's record; None where there is no :attr:`source`."""
        if self.source is None:
            return [None] * len(self.rows)
        ends = dict(zip(self.source.starts, self.source.ends, strict=True))
        return [self.source.raw(start, ends[start]).strip().removeprefix(BOM) for start in self.offsets]


@dataclass(frozen=True)
class Previous:
    """What a ledger holds of the attempt before."""

    export_id: str
    state: str
    """``loading`` until the load is complete."""
    checkpoint: object | None
    form: str | None = None
    """The form in which the sink writes rows, e.g. its file format; None if the ledger does not say."""


def is_later(submitted_at: datetime | None, other: datetime | None, by: datetime | None) -> bool | None:
    """Whether one export was requested later than another one; None if that is not known.

    :param submitted_at: when the one was requested; None if not known.
    :param other: when the other one was requested; None if not known.
    :param by: a time at which the other one had been requested, e.g. at which its load began.
    """
    if submitted_at is None or submitted_at == other:
        return None
    if other is None:
        return True if by and by < submitted_at else None
    return submitted_at > other


def continues(previous: Previous | None, export_id: str, form: str | None = None, *, restart: bool) -> bool:
    """Whether an attempt continues from the checkpoint of the one before. If not, it begins at the start.

    It begins at the start if the export is another one, if the load is complete, or if rows are written in another
    form: a load never mixes two forms.

    :param form: the form in which this attempt writes rows.
    :param restart: begin at the start in any case.
    """
    if previous is None or previous.checkpoint is None or restart:
        return False
    return (previous.export_id, previous.state) == (export_id, "loading") and previous.form in {None, form}
