"""What one load is, the batches that it is made of, and what is written down of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.contracts.pii import ProtectRecord
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.source.records import BOM, DeadLetter, Slice
from airflow_provider_genesys.source.shards import WHOLE, Shard
from airflow_provider_genesys.times import iso_time


@dataclass(frozen=True)
class LoadFacts:
    """A load as it is written down: in ledgers, dead letters and certificates. See :class:`Load` for the fields."""

    load_id: str
    shard: int
    export_id: str
    kind: str
    window_start: datetime
    window_end: datetime
    submitted_at: datetime | None
    contract: str = ""
    """``name@version#fingerprint``; empty where it does not matter."""
    run_id: str = ""
    """The task of the newest attempt: ``dag_id/run_id/task_id``; empty where it does not matter."""

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> LoadFacts:
        """Read them from ``fields``, which may have others, too; a time may be ISO 8601 text.

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
    """When the export was asked for, as Genesys or the clock of who asked says; None where there is no evidence. Of two
    loads that hold the same key, the later one wins."""
    contract: Contract
    run_id: str
    """Who loads, e.g. ``dag_id/run_id/task_id``; kept with dead letters."""
    shard: int = 0
    """Number of the shard, from 1; 0 where the load is the whole."""
    range: Shard = WHOLE
    """Which part of the archive the shard is. A replay knows only the shard's number, and leaves this as it is."""
    self_asked: bool = False
    """Whether the load itself asks for what it reads, as of a listing. It was asked for when the load began: an attempt
    that goes on keeps the time that the ledger holds, and :attr:`submitted_at` is that of one that begins."""

    @property
    def facts(self) -> LoadFacts:
        """What is written down of it."""
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
    """A run of whole records ``[start, end)`` in unpacked bytes, and the checkpoint after them.

    ``rows`` hold one value per column of ``contract.columns``, in that order; ``offsets`` the records' places, one per
    row. ``contract`` is ``load.contract`` until it evolves; a batch ends before the record that makes it evolve.
    ``dead_letters`` are the records of the same run that were set aside. ``checkpoint.counts`` and
    ``checkpoint.committed_at`` are the sink's to fill in (:meth:`Checkpoint.at`): only it knows what it wrote.
    """

    rows: list[tuple[Any, ...]]
    offsets: list[int]
    dead_letters: list[DeadLetter]
    start: int
    end: int
    checkpoint: Checkpoint
    contract: Contract
    source: Slice | None = None
    """What the rows were read from; None for a batch that was not read from bytes."""
    protect: ProtectRecord | None = None
    """Takes personal data out of a dead letter's bytes as the contract says; None where it says nothing of any."""

    @property
    def records(self) -> int:
        """Number of records read, whatever became of them."""
        return len(self.rows) + len(self.dead_letters)

    def raw(self) -> list[bytes | None]:
        """Return the records that became rows, as they came, one per row; None where there is no :attr:`source`."""
        if self.source is None:
            return [None] * len(self.rows)
        ends = dict(zip(self.source.starts, self.source.ends, strict=True))
        return [self.source.raw(start, ends[start]).strip().removeprefix(BOM) for start in self.offsets]


@dataclass(frozen=True)
class Previous:
    """What a ledger has of the attempt before."""

    export_id: str
    state: str
    """``loading`` until the load is complete."""
    checkpoint: object | None
    form: str | None = None
    """How the sink writes rows, in its own words; None where the ledger does not say."""


def continues(previous: Previous | None, export_id: str, form: str | None = None, *, restart: bool) -> bool:
    """Whether an attempt goes on from the checkpoint of the one before; if not, it begins.

    It begins with another export, after a complete load, and where rows are written in another form: a load never
    mixes two.

    :param form: how this attempt writes rows.
    :param restart: begin in any case.
    """
    if previous is None or previous.checkpoint is None or restart:
        return False
    return (previous.export_id, previous.state) == (export_id, "loading") and previous.form in {None, form}
