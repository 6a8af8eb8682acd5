"""A sink in memory that keeps every promise of the protocol, and can be made to break down."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from airflow_provider_genesys.exceptions import SinkUnavailableError
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, Counts
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.source.records import DeadLetter


@dataclass
class Shelf:
    """What outlives the process: committed rows and dead letters, the ledger's checkpoint, the certificate."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    checkpoint: Checkpoint | None = None
    certificate: Certificate | None = None
    processed_at: dict[str, str] = field(default_factory=dict)
    """By export."""
    spans: list[tuple[int, int]] = field(default_factory=list)
    """Places of the batches that were committed."""
    commits: list[int] = field(default_factory=list)
    """The offsets at which a commit ended."""


class MemorySink:
    """Implements :class:`airflow_provider_genesys.pipeline.sink.Sink` on a :class:`Shelf`.

    :param cut_every: gather batches into parts of so many bytes and commit those, as an object store does.
    :param fail_at: number of the batch at which the sink breaks down, counted from 0 in each attempt.
    :param answered: whether it breaks down before it writes that batch, or after (and its answer is lost).
    :param refuse: ids of rows that only the sink refuses.
    """

    def __init__(
        self,
        shelf: Shelf,
        *,
        cut_every: int | None = None,
        fail_at: int | None = None,
        answered: bool = True,
        refuse: frozenset[str] = frozenset(),
    ) -> None:
        self.shelf = shelf
        self.cut_every = cut_every
        self.aborted = False
        self.batches = 0
        self._fail_at, self._answered, self._refuse = fail_at, answered, refuse
        self._gathered: list[Batch] = []
        self._load: Load | None = None

    def open(self, load: Load, *, restart: bool) -> Checkpoint | None:
        self._load, shelf, last = load, self.shelf, self.shelf.checkpoint
        if restart or last is None or shelf.certificate is not None or last.export_id != load.export_id:
            shelf.rows, shelf.offsets, shelf.letters, shelf.spans, shelf.commits = [], [], [], [], []
            shelf.checkpoint = shelf.certificate = None
            return None
        return last

    @property
    def processed_at(self) -> str | None:
        return self.shelf.processed_at.get(self._load.export_id) if self._load else None

    def write(self, batch: Batch) -> Checkpoint | None:
        number, self.batches = self.batches, self.batches + 1
        if number == self._fail_at and self._answered:
            raise SinkUnavailableError("broken down before it wrote")
        self._gathered.append(batch)
        if self.cut_every and batch.end // self.cut_every == batch.start // self.cut_every:
            committed = None
        else:
            committed = self._commit()
        if number == self._fail_at:
            raise SinkUnavailableError("broken down before it answered")
        return committed

    def finish(self, certificate: Certificate) -> Certificate:
        last = self._commit() or self.shelf.checkpoint
        self.shelf.certificate = certificate.accounted(last.counts if last else Counts())
        return self.shelf.certificate

    def abort(self) -> None:
        self.aborted, self._gathered = True, []

    def _commit(self) -> Checkpoint | None:
        for batch in self._gathered:
            self._add(batch)
        self._gathered = []
        if self.shelf.spans:
            self.shelf.commits.append(self.shelf.spans[-1][1])
        return self.shelf.checkpoint

    def _add(self, batch: Batch) -> None:
        shelf = self.shelf
        before = shelf.checkpoint.counts if shelf.checkpoint else Counts()
        shelf.processed_at[batch.checkpoint.export_id] = batch.checkpoint.processed_at
        taken = [(row, at) for row, at in zip(batch.rows, batch.offsets, strict=True) if row[0] not in self._refuse]
        refused = len(batch.rows) - len(taken)
        counts = before + Counts(batch.records, len(taken), len(batch.dead_letters) + refused)
        shelf.rows += [row for row, _ in taken]
        shelf.offsets += [at for _, at in taken]
        shelf.letters += batch.dead_letters
        shelf.spans.append((batch.start, batch.end))
        now = datetime.now(timezone.utc)
        shelf.checkpoint = batch.checkpoint.at(now, counts, where=f"bytes {batch.start} to {batch.end}")
