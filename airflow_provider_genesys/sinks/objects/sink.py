"""The sink that all object stores share.

A part becomes visible first, and counts only once it has a ledger entry (:mod:`.attempt`, :mod:`.ledger`). A part
without one is written again under the same key, with the same bytes, or removed when the load is complete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.exceptions import FencedError, SinkUnavailableError, error_context
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.pipeline.worker import Packing
from airflow_provider_genesys.sinks.objects.attempt import Attempt
from airflow_provider_genesys.sinks.objects.ndjson import BLOCK, SLICE
from airflow_provider_genesys.sinks.objects.raw_landing import RawLanding
from airflow_provider_genesys.sinks.objects.row_groups import ROW_GROUP
from airflow_provider_genesys.sinks.objects.row_parts import packing_of
from airflow_provider_genesys.sinks.objects.settings import ObjectSettings
from airflow_provider_genesys.sinks.objects.shards import Shards
from airflow_provider_genesys.stores.base import ObjectStore


class ObjectSink:
    """Implements :class:`.sink.Sink` on an :class:`.stores.base.ObjectStore`.

    :param connect: makes the store; called by each ``open``.
    """

    def __init__(self, connect: Callable[[], ObjectStore], settings: ObjectSettings) -> None:
        self.cut_every: int | None = settings.part_size
        # Where slices end with gzip's members, or with Parquet's record batches, nothing is cut and joined again.
        aligned = settings.output_format in ("ndjson.gz", "parquet") and settings.part_size % BLOCK == 0
        self.align_every: int | None = BLOCK if aligned else self.cut_every
        self.pack_every = {"ndjson.gz": SLICE, "parquet": ROW_GROUP}.get(settings.output_format)
        self._connect = connect
        self._settings = settings
        self._attempt: Attempt | None = None
        self._finished: Attempt | None = None

    def open(self, load: Load, *, restart: bool) -> Checkpoint | None:
        """Claim the ledger and return the checkpoint of its last part."""
        self.abort()
        with error_context(f"Export {load.export_id}, opening the load"):
            self._attempt = Attempt(load, self._settings, self._connect(), restart=restart)
        return self._attempt.entry.checkpoint

    @property
    def writes_children(self) -> bool:
        """See :class:`.sink.ChildSink`."""
        return self._settings.child_files

    @property
    def processed_at(self) -> str | None:
        """The value in the ledger; None before the first part."""
        return self._opened.entry.processed_at

    def packing(self, contract: Contract) -> Packing | None:
        """See :meth:`.sink.PackingSink.packing`. Rows whose children have separate files are needed as they are."""
        has_children = self._settings.child_files and contract.children
        return None if has_children else packing_of(self._settings.form)

    def write(self, batch: Batch) -> Checkpoint | None:
        """Add a batch to the part. If the part is full then, begin to commit it.

        Returns the checkpoint of a commit that has ended since the last call. All rows of a part have the same columns:
        if the contract evolves, the part before this batch is committed early.
        """
        with self._working() as attempt:
            known = attempt.ended_commit()
            if attempt.evolves(batch):
                known = attempt.commit() or known
            with error_context(f"Export {attempt.load.export_id}, bytes {batch.start} to {batch.end}"):
                is_full = attempt.gather(batch)
            return (attempt.commit() if is_full else None) or known

    def flush(self) -> Checkpoint | None:
        """Wait for the commit in progress and return its checkpoint. A part that is not full stays gathered."""
        if self._attempt is None:
            return None  # an error has ended the attempt
        with self._working() as attempt:
            return attempt.settled()

    def finish(self, certificate: Certificate) -> Certificate:
        """Commit the last part and close the load; see :meth:`.Attempt.finish`."""
        with self._working() as attempt:
            attempt.commit()
            attempt.settled()
            with error_context(f"Export {attempt.load.export_id}, finishing the load"):
                closed = attempt.finish(certificate)
        self._attempt, self._finished = None, attempt
        return closed

    def amend(self, certificate: Certificate) -> None:
        """See :meth:`.sink.AmendingSink.amend`: the manifest is written once more, with the same lists."""
        if self._finished:
            with error_context(f"Export {certificate.export_id}, adding to its manifest"), suppress(FencedError):
                self._finished.amend(certificate)

    def join(self, load: Load, joined: Callable[[Sequence[Certificate]], Certificate]) -> Certificate | None:
        """See :meth:`.sink.JoiningSink.join`."""
        with error_context(f"Export {load.export_id}, joining its shards"):
            return Shards(load, self._settings, self._connect()).join(joined)

    def landing(self) -> RawLanding:
        """Return the landing of unchanged archives in the same place."""
        return RawLanding(self._connect, self._settings)

    def reading(self) -> tuple[ObjectStore, ObjectSettings]:
        """Return the store, and the settings that name the objects in it."""
        return self._connect(), self._settings

    def abort(self) -> None:
        """Discard what is gathered and not committed."""
        attempt, self._attempt = self._attempt, None
        if attempt:
            attempt.abort()

    @property
    def _opened(self) -> Attempt:
        if self._attempt is None:
            raise RuntimeError("The sink is not open. After finish, abort or an error it has to be opened again.")
        return self._attempt

    @contextmanager
    def _working(self) -> Iterator[Attempt]:
        attempt = self._opened
        try:
            yield attempt
        except BaseException as error:
            # Half a batch may be in the part: continuing would write it twice.
            self.abort()
            if isinstance(error, SinkUnavailableError):
                attempt.check_fence()
            raise
