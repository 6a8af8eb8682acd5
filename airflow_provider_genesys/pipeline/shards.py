"""One certificate over the shards of an archive: their ranges are checked to meet, and their counts are added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain

from airflow_provider_genesys.contracts.drift import summed
from airflow_provider_genesys.exceptions import AccountError
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import DIGEST_RANGE, Checkpoint, Counts
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.pipeline.sink import JoiningSink, Sink
from airflow_provider_genesys.source.position import Position
from airflow_provider_genesys.source.shards import NO_END, Shard
from airflow_provider_genesys.times import now

_SAME = ("load_id", "export_id", "kind", "window_start", "window_end", "contract", "source", "delivery")


def beginning_of(shard: Shard, load: Load, processed_at: str | None) -> Checkpoint:
    """Return the checkpoint at which a load of ``shard`` (or of the whole archive) begins."""
    return Checkpoint(
        load_id=load.load_id,
        export_id=load.export_id,
        processed_at=processed_at or shard.planned_at or now().replace(microsecond=0).isoformat(),
        first=shard.start,
        position=_position(shard),
        proof=shard.proof,
        source=shard.source,
    )


def _position(shard: Shard) -> Position:
    if shard.number == 0:
        return Position()
    entry = shard.start - shard.proof.length
    return Position(shard.start, entry, entry, packing="plain", shape="lines")


def holds(shard: Shard, checkpoint: Checkpoint) -> bool:
    """Whether ``checkpoint`` belongs to this range, and not to another cut's range of the same number."""
    return checkpoint.first == shard.start and checkpoint.position.record_offset <= shard.end


def check_end(shard: Shard, last: Checkpoint) -> None:
    """Raise :class:`AccountError` unless ``last`` is at the end of the shard."""
    if shard.end not in (NO_END, last.position.record_offset):
        raise AccountError(
            f"Shard {shard.number} of export {last.export_id} was read to byte {last.position.record_offset}, and "
            f"ends at byte {shard.end}. The load is not complete; please report this as a bug."
        )


def join_shards(load: Load, sink: Sink, judge: Callable[[Certificate], Certificate]) -> Certificate | None:
    """If all shards are loaded now, make the certificate of the whole.

    :param load: the load of the shard; nothing is done for a load of the whole.
    :param judge: checks the certificate of the whole and returns it, or raises if the load must not be complete.
    :return: the certificate; None if a shard is missing, or the sink keeps no certificates.
    :raises AccountError: the shards do not make one whole.
    """

    def joined(certificates: Sequence[Certificate]) -> Certificate:
        return judge(join_certificates(certificates))

    return sink.join(load, joined) if load.shard and isinstance(sink, JoiningSink) else None


def join_certificates(certificates: Sequence[Certificate]) -> Certificate:
    """Return the certificate of the whole.

    :param certificates: of all its shards, in any order.
    :raises AccountError: one is missing or belongs to another load, or the ranges do not cover the archive without gap
        or overlap.
    """
    ordered = sorted(certificates, key=lambda certificate: _shard(certificate).number)
    first, shards = ordered[0], [_shard(certificate) for certificate in ordered]
    for other in ordered[1:]:
        if differing := [name for name in _SAME if getattr(other, name) != getattr(first, name)]:
            raise _apart(first, f"shard {_shard(other).number} belongs to another load: it differs in {differing}")
    _check_meeting(first, shards)
    return replace(
        first,
        shard=None,
        shards=shards,
        bytes_read=shards[-1].end,
        counts=sum((certificate.counts for certificate in ordered), Counts()),
        digest=f"{sum(int(certificate.digest, 16) for certificate in ordered) % DIGEST_RANGE:016x}",
        min_timestamp=_most(min, (certificate.min_timestamp for certificate in ordered)),
        max_timestamp=_most(max, (certificate.max_timestamp for certificate in ordered)),
        rules=dict(sum((Counter(certificate.rules) for certificate in ordered), Counter())),
        unused=[path for path in first.unused if all(path in certificate.unused for certificate in ordered)],
        drift=summed([], chain.from_iterable(certificate.drift for certificate in ordered)),
        parts=[part for certificate in ordered for part in certificate.parts],
        started_at=_most(min, (certificate.started_at for certificate in ordered)),
        ended_at=_most(max, (certificate.ended_at for certificate in ordered)),
        phases=dict(sum((Counter(certificate.phases) for certificate in ordered), Counter())),
        attempts=sum(certificate.attempts for certificate in ordered),
        seconds=max(certificate.seconds for certificate in ordered),
        peak_memory_mb=max(certificate.peak_memory_mb for certificate in ordered),
    )


def whole_of(certificates: Sequence[Certificate]) -> Certificate:
    """Return the certificate of the whole from those of its shards, or that of the one task that loaded it all.

    :raises AccountError: as :func:`join_certificates`.
    """
    alone = len(certificates) == 1 and certificates[0].shard is None
    return certificates[0] if alone else join_certificates(certificates)


def _check_meeting(first: Certificate, shards: list[Shard]) -> None:
    numbers, count = [shard.number for shard in shards], shards[0].count
    if numbers != list(range(1, len(shards) + 1)) or {shard.count for shard in shards} != {len(shards)}:
        raise _apart(first, f"there are the shards {numbers}, and they should be 1 to {count}")
    ends, starts = [0, *(shard.end for shard in shards)], [*(shard.start for shard in shards), first.source.length]
    for end, start in zip(ends, starts, strict=True):
        if end != start:
            raise _apart(first, f"between the bytes {end} and {start} there is a gap or an overlap")


def _shard(certificate: Certificate) -> Shard:
    if certificate.shard is None:
        raise _apart(certificate, "one of the certificates belongs to no shard")
    return certificate.shard


def _apart(certificate: Certificate, how: str) -> AccountError:
    return AccountError(
        f"The shards of export {certificate.export_id} do not make one whole: {how}. Clear the task that plans "
        "them, and all tasks downstream of it."
    )


def _most(choose: Callable[[list[str]], str], values: Iterable[str | None]) -> str | None:
    known = [value for value in values if value]
    return choose(known) if known else None
