"""What a load reads from: records in order, each with its place, entered at a checkpoint.

There are two: the document inside an archive (:mod:`.document`), and the pages of a job's results (:mod:`.pages`).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, Identity, Position, Proof
from airflow_provider_genesys.pipeline.document import Document
from airflow_provider_genesys.pipeline.download import Download
from airflow_provider_genesys.pipeline.pages import Pages
from airflow_provider_genesys.pipeline.split import Slice


class Source(Protocol):
    """Records from a checkpoint on, in slices that meet without gap or overlap."""

    length: int
    """Bytes of records seen so far; at the end, of all."""

    @property
    def known(self) -> Identity:
        """What is known of the whole by now."""

    def slices(self, limit: int, *, cut_every: int | None, flush_interval: float) -> Generator[Slice, None, None]:
        """Yield slices of ``limit`` records, or fewer; see :attr:`.base.Sink.cut_every` for ``cut_every``."""

    def standing(self, part: Slice) -> tuple[Position, Proof]:
        """Return the position at the end of ``part``, and its proof.

        To be called for each slice, or for each piece of it that is a batch, in order.
        """


def entered(result: Download | Pages, start: Checkpoint, *, max_record_bytes: int) -> Source:
    """Return the records of an export's ``result``, from ``start`` on; longer ones than the limit are set aside."""
    if isinstance(result, Pages):
        return result.entered(start, max_record_bytes=max_record_bytes)
    return Document(result, start, max_record_bytes=max_record_bytes)
