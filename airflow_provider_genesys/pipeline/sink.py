"""What every sink promises to the pipeline.

A load is a sequence of batches that meet without gap or overlap. The sink makes each durable *together with* the
checkpoint at the end of it: after a crash at any moment, ``open`` returns the last checkpoint whose batches are
all there, and nothing that lies after it counts. ``finish`` alone makes a load complete.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.pipeline.load import Batch, Load


class Sink(Protocol):
    """One place to load into. Used by one thread, in the order open, write..., finish or abort."""

    cut_every: int | None
    """Where not None, a batch ends with the first record that reaches a multiple of this many unpacked bytes, so that
    parts are cut by position alone: a part is over when ``batch.end // cut_every`` has grown. An attempt that rewrites
    a part writes the same bytes."""

    def open(self, load: Load, *, restart: bool) -> Checkpoint | None:
        """Take a new fence and return where to continue; None when there is nothing to continue.

        There is nothing to continue when ``restart`` is set, when the ledger knows nothing of ``load``, when what it
        knows is of another export, or when that load is complete already (anyone who asks again wants it loaded again).
        With ``restart`` the ``processed_at`` of the same export is kept: see :attr:`processed_at`.

        :raises CheckpointError: the ledger's checkpoint cannot be read.
        :raises SinkRefusedError: no such table or bucket, or no permission.
        :raises SinkUnavailableError: the sink cannot be reached.
        """

    @property
    def processed_at(self) -> str | None:
        """The ``processed_at`` that the ledger holds for this load's export; None before its first batch."""

    def write(self, batch: Batch) -> Checkpoint | None:
        """Take a batch. Return the newest committed checkpoint where this call committed one, else None.

        A sink may gather several batches into one commit; nothing of them counts until it returns the checkpoint.

        :raises FencedError: a newer attempt has opened the same load; nothing of this batch was written.
        :raises SinkUnavailableError: retries are spent; the message names export id, offsets and batch.
        """

    def finish(self, certificate: Certificate) -> Certificate:
        """Commit what is gathered, check the account against what is really there, and mark the load complete.

        Returns the certificate with what the sink alone knows (:meth:`Certificate.accounted`): counts, location,
        parts, attempts. An account that is not that of the records read fails before the load is marked complete.
        """

    def abort(self) -> None:
        """Let go of connections and unfinished uploads. What was committed stays. Never raises."""


@runtime_checkable
class JoiningSink(Protocol):
    """What a sink has beside :class:`Sink` where it holds the one certificate over the shards of a load.

    While a shard is loaded again that certificate is withdrawn.
    """

    def join(self, load: Load, joined: Callable[[Sequence[Certificate]], Certificate]) -> Certificate | None:
        """After ``finish`` of a shard: where all shards are complete, mark their load complete.

        Returns its certificate, or None while another shard is missing; that one will join them.

        :param load: of the shard.
        :param joined: makes one certificate of all, or raises.
        """
