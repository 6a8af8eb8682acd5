"""What every sink promises to the pipeline.

A load is a sequence of batches that meet without gap or overlap. The sink makes each durable *together with* the
checkpoint at the end of it: after a crash at any moment, ``open`` returns the last checkpoint whose batches are all
there, and nothing written after it counts. Only ``finish`` makes a load complete.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.pipeline.worker import Packing


class Sink(Protocol):
    """One place to load into. Used by one thread, in the order open, write..., finish or abort."""

    cut_every: int | None
    """If not None, a batch ends with the first record that reaches a multiple of this many unpacked bytes. Parts are
    then cut by position alone: a part ends when ``batch.end // cut_every`` grows. So an attempt that rewrites a part
    writes the same bytes."""

    def open(self, load: Load, *, restart: bool) -> Checkpoint | None:
        """Take a new fence and return where to continue; None when there is nothing to continue.

        There is nothing to continue when ``restart`` is set, when the ledger has no entry of ``load``, when its entry
        is of another export, or when that load is already complete (a second call then loads it again). With
        ``restart`` the ``processed_at`` of the same export is kept: see :attr:`processed_at`.

        :raises CheckpointError: the ledger's checkpoint cannot be read.
        :raises SinkRefusedError: no such table or bucket, or no permission.
        :raises SinkUnavailableError: the sink cannot be reached.
        """

    @property
    def processed_at(self) -> str | None:
        """The ``processed_at`` that the ledger holds for this load's export; None before its first batch."""

    def write(self, batch: Batch) -> Checkpoint | None:
        """Take a batch. Return the newest committed checkpoint that no call has returned yet, or None.

        A sink may gather several batches into one commit, and make it in the background: then a later call returns its
        checkpoint, and an attempt that comes meanwhile may find it or not.

        :raises FencedError: a newer attempt has opened the same load; nothing of this batch was written.
        :raises SinkUnavailableError: retries are spent; the message names export id, offsets and batch.
        """

    def finish(self, certificate: Certificate) -> Certificate:
        """Commit what is gathered, check the counts against what the target really holds, and mark the load complete.

        Returns the certificate with what only the sink knows (:meth:`Certificate.accounted`): counts, location, parts,
        attempts. If the sink counts another number of records than were read, it fails before the load is marked
        complete.
        """

    def abort(self) -> None:
        """Close connections and drop unfinished uploads. What was committed stays. Never raises."""


@runtime_checkable
class AmendingSink(Protocol):
    """What a sink has beside :class:`Sink` where it keeps the certificate with the data."""

    def amend(self, certificate: Certificate) -> None:
        """After ``finish``: keep ``certificate``, which says more of the same load, in place of what that returned.

        Where a newer attempt has begun meanwhile, nothing is changed.

        :raises SinkUnavailableError: the sink cannot be reached. The load is complete all the same.
        """


@runtime_checkable
class PackingSink(Protocol):
    """What a sink has beside :class:`Sink` where other processes can pack rows for it."""

    def packing(self, contract: Contract) -> Packing | None:
        """Return what packs the rows of a load with ``contract``; None if the sink needs the rows themselves.

        ``write`` then gets batches with :attr:`.load.Batch.packed`, and others without.
        """


@runtime_checkable
class ChildSink(Protocol):
    """What a sink has beside :class:`Sink` where ``write`` makes the rows of a contract's children.

    PostgreSQL makes them later, for each commit. To hold what was decoded costs more there than to decode it again.
    """

    @property
    def writes_children(self) -> bool:
        """Whether it does. Rows then come with what :class:`.child_rows.ChildRows` else decodes once more."""


@runtime_checkable
class AligningSink(Protocol):
    """What a sink has beside :class:`Sink` where slices should be what it packs."""

    align_every: int | None
    """Where slices for this process end, in place of :attr:`Sink.cut_every`: the same, or a divisor of it. What the
    sink holds does not depend on it."""

    pack_every: int | None
    """If not None, slices for other processes end with the first record that reaches a multiple of this many unpacked
    bytes, however many records they have and however long that takes. What the sink holds does not depend on it."""


@runtime_checkable
class GatheringSink(Protocol):
    """What a sink has beside :class:`Sink` if it commits in the background, or if a commit may dead-letter rows."""

    def flush(self) -> Checkpoint | None:
        """Wait for a commit in progress, or make the next one, and return its checkpoint. None if nothing waits.

        Called until it returns None. A part of an object store that is not full may stay gathered.
        """


@runtime_checkable
class JoiningSink(Protocol):
    """A :class:`Sink` that also keeps one certificate over all shards of a load.

    While a shard is loaded again that certificate is withdrawn.
    """

    def join(self, load: Load, joined: Callable[[Sequence[Certificate]], Certificate]) -> Certificate | None:
        """Mark the load complete if all its shards are. Called after ``finish`` of a shard.

        Returns its certificate, or None while a shard is missing; the last shard joins them all.

        :param load: the load of the shard.
        :param joined: makes one certificate of all the shards', or raises.
        """


def writes_children(sink: Sink) -> bool:
    """Whether ``sink`` writes the rows of a contract's children."""
    return isinstance(sink, ChildSink) and sink.writes_children


def ends_of_slices(sink: Sink, *, shared: bool) -> tuple[int | None, int | None]:
    """Return the ``cut_every`` and the ``pack_every`` of slices for ``sink``; see :meth:`.source.base.Source.slices`.

    :param shared: whether other processes read them.
    """
    if not isinstance(sink, AligningSink):
        return sink.cut_every, None
    return (sink.cut_every, sink.pack_every) if shared else (sink.align_every, None)
