"""What a load reads from: records in order, each with its place, entered at a checkpoint.

There are two: the document inside an archive (:mod:`.document`), and the pages of a job's results (:mod:`.pages`).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.pipeline.archive import Archive, Until
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, Identity, Position, Proof
from airflow_provider_genesys.pipeline.document import Document
from airflow_provider_genesys.pipeline.pages import Pages
from airflow_provider_genesys.pipeline.split import Slice
from airflow_provider_genesys.sinks.base import Load


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


def entered(result: Archive | Pages, load: Load, start: Checkpoint, *, max_record_bytes: int) -> Source:
    """Return the records of an export's ``result``, from ``start`` on; longer ones than the limit are set aside.

    :param load: of an archive, its shard tells to where records are read, and its contract where they are.
    :raises ConfigurationError: the contract has a ``records_path``, and the result is pages, or cut into shards.
    """
    path = load.contract.records_path
    if path and (load.range or isinstance(result, Pages)):
        what = "a shard of an archive" if load.range else f"{load.kind}, which comes as pages,"
        raise ConfigurationError(
            f"Export {load.export_id}: contract {load.contract.name} has records_path={path!r}, but {what} has its "
            "records in the one place that is known. Load it by a contract without records_path, or in one piece."
        )
    if isinstance(result, Pages):
        return result.entered(start, max_record_bytes=max_record_bytes)
    archive = Until(result, load.range.end) if load.range else result
    return Document(archive, start, max_record_bytes=max_record_bytes, records_path=path)
