"""The closed account of a load."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import msgspec

from airflow_provider_genesys.contracts.column import Column
from airflow_provider_genesys.contracts.drift import Drift
from airflow_provider_genesys.exceptions import AccountError
from airflow_provider_genesys.pipeline.checkpoint import Counts
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.pipeline.memory import peak_memory_mb
from airflow_provider_genesys.resolved import resolved
from airflow_provider_genesys.source.position import Identity
from airflow_provider_genesys.source.shards import Shard
from airflow_provider_genesys.times import iso_time


@resolved
@dataclass(frozen=True)
class Certificate:
    """What was loaded, from where, to where, and that the sums agree. Times are ISO 8601 in UTC."""

    load_id: str
    export_id: str
    kind: str
    window_start: str
    window_end: str
    contract: str
    """``name@version#fingerprint``."""
    source: Identity
    bytes_read: int
    """Length of the unpacked document, in bytes."""
    counts: Counts
    """Only ``read`` is set until the sink adds its own counts (:meth:`accounted`)."""
    digest: str
    """See :attr:`Checkpoint.digest`; 16 hex digits. Equal sources have equal digests, in any order of reading."""
    submitted_at: str | None = None
    """When the export was asked for, or when the walk over a listing began; None if not known."""
    min_timestamp: str | None = None
    max_timestamp: str | None = None
    location: str = ""
    shard: Shard | None = None
    """The part of the archive that was loaded; None for the whole."""
    shards: list[Shard] = field(default_factory=list)
    """The shards that the archive was loaded in, in order, without gap or overlap. Empty if it was loaded in one
    piece."""
    parts: list[dict[str, Any]] = field(default_factory=list)
    lists: dict[str, dict[str, Any]] = field(default_factory=dict)
    """URLs of the lists for warehouses, by table and warehouse; ``rows`` is the number of the table's rows. Empty
    unless lists were asked for."""
    iceberg: dict[str, str] = field(default_factory=dict)
    """Id of the snapshot with this load, by the name of the Iceberg table. Empty unless that was asked for."""
    rules: dict[str, int] = field(default_factory=dict)
    """Dead letters by rule."""
    drift: list[Drift] = field(default_factory=list)
    """How records differ from the contract, in the order of their first occurrences."""
    unused: list[str] = field(default_factory=list)
    """Paths of the contract at which no record has a value."""
    evolved: list[Column] = field(default_factory=list)
    """Columns that were added, or became optional, during the load."""
    incomplete: bool = False
    """True if Genesys did not yet have all data of the window; see ``source.available_until``."""
    delivery: Literal["exactly-once", "at-least-once"] = "exactly-once"
    """``at-least-once``: the target may hold a record more than once, with the same id. Repeats are not counted."""
    duplicates: Literal["counted", "not computed"] = "not computed"
    """Whether ``counts.duplicates`` was counted: only a sink that keeps one row per key can do that."""
    snapshot: dict[str, int] | None = None
    """For a listing in a table: how many entities are ``present``, and how many are ``new``, ``changed``, ``returned``
    or ``deleted`` since the snapshot before. None for other loads."""
    attempts: int = 1
    """How often the load was opened: 1, and one more for each resume."""
    expected_records: int | None = None
    """Number of records that Genesys reports; None if it reports none. See :mod:`.budget`."""
    reconciliation: dict[str, Any] | None = None
    """The comparison of the sink with Genesys' aggregates when the load was complete. None if nothing was compared."""
    started_at: str | None = None
    ended_at: str | None = None
    """When the last attempt began, and when it had read everything."""
    seconds: float = 0.0
    """Wall time of the last attempt."""
    phases: dict[str, float] = field(default_factory=dict)
    """Seconds of each phase; see :data:`.progress.Phase`."""
    peak_memory_mb: float = 0.0

    @classmethod
    def of(cls, load: Load, source: Identity, **facts: Any) -> Certificate:
        """Return the certificate of a load that has read ``source``; ``facts`` are further fields."""
        own = {"bytes_read": 0, "counts": Counts(), "digest": "", "contract": str(load.contract), **facts}
        return cls(
            load_id=load.load_id,
            export_id=load.export_id,
            kind=load.kind,
            window_start=load.window_start.isoformat(),
            window_end=load.window_end.isoformat(),
            submitted_at=iso_time(load.submitted_at),
            source=source,
            peak_memory_mb=round(peak_memory_mb(), 1),
            **own,
        )

    def accounted(self, counts: Counts, **facts: Any) -> Certificate:
        """Return the certificate with the sink's counts and the other facts that only the sink knows.

        :raises AccountError: the account does not close, or the sink counts another number of records than were read.
        """
        counts.check(f"the end of export {self.export_id}")
        if counts.read != self.counts.read:
            raise AccountError(
                f"{self.counts.read} records of export {self.export_id} were read, but the sink accounts for "
                f"{counts.read}. The load is not complete; please report this as a bug."
            )
        return replace(self, counts=counts, **facts)

    def to_json(self) -> bytes:
        """Serialise, keys in the order above."""
        return msgspec.json.encode(asdict(self))

    def summary(self) -> dict[str, Any]:
        """Return the certificate for an XCom, in JSON types only, with the number of parts in place of their list."""
        whole: dict[str, Any] = msgspec.json.decode(self.to_json())
        return {**whole, "parts": len(whole["parts"])}
