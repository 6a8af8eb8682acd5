"""Cuts one archive into ranges of whole records, so that several tasks load it at the same time.

Only plain NDJSON can be entered in its middle without reading what comes before. A range begins with the first record
that begins at or after a multiple of the requested size. A :class:`.position.Proof` covers the bytes before it. So a
shard starts like a resumed load: it first compares these bytes with the archive that was cut.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise

from airflow_provider_genesys.resolved import resolved
from airflow_provider_genesys.source.base import Archive
from airflow_provider_genesys.source.position import PROVEN, Identity, Proof
from airflow_provider_genesys.source.split.base import shape_of
from airflow_provider_genesys.source.unpack.unpacked import Unpacked

log = logging.getLogger(__name__)


NO_END = 2**63 - 1
"""The end of a whole archive of unknown length: greater than any offset, and the largest ``bigint``."""


@resolved
@dataclass(frozen=True)
class Shard:
    """The records in the bytes ``[start, end)`` of an archive: shard ``number`` of ``count``, from 1."""

    number: int
    count: int
    start: int
    end: int
    proof: Proof = field(default_factory=Proof)
    """Proof of the bytes just before ``start``."""
    source: Identity = field(default_factory=Identity)
    """Identity of the archive that was cut."""
    planned_at: str = ""
    """The ``processed_at`` of all shards: ISO 8601, UTC."""


WHOLE = Shard(number=0, count=0, start=0, end=NO_END)
"""The whole export: the range of a load without shards."""


def plan_shards(
    open_archive: Callable[[Identity], Archive], export_id: str, *, shard_size: int, max_shards: int, now: str
) -> list[Shard]:
    """Cut an archive into at most ``max_shards`` ranges of ``shard_size`` bytes or more.

    Reads the archive's first bytes and, at each cut, from 64 KiB before it to the end of the record there.

    :param open_archive: opens the archive with an identity.
    :param now: ISO 8601, UTC.
    :return: nothing where the archive has to be loaded in one piece: it is packed, or an array, or too short to cut, or
        its length is not documented.
    """
    known = _cuttable(open_archive(Identity()), export_id)
    if known is None or known.length is None:
        return []
    count = min(max_shards, known.length // shard_size)
    cuts = {0: Proof(), known.length: Proof()}
    for number in range(1, count):
        cut, proof = _cut(open_archive(known), known.length * number // count)
        cuts.setdefault(cut, proof)
    ranges = list(pairwise(sorted(cuts)))
    if len(ranges) < 2:  # noqa: PLR2004 - one range is the whole
        return []
    return [
        Shard(number, len(ranges), start, end, cuts[start], known, now)
        for number, (start, end) in enumerate(ranges, start=1)
    ]


def _cuttable(archive: Archive, export_id: str) -> Identity | None:
    """Return the archive's identity if it can be entered in its middle, else None."""
    where = f"The archive of export {export_id}"
    unpacked, head, shape = Unpacked(archive.read(0), where=where), b"", None
    with closing(iter(unpacked)) as chunks:
        for chunk in chunks:
            head += chunk
            if unpacked.packing != "plain" or (shape := shape_of(head, where=where)):
                break
    if unpacked.packing == "plain" and shape == "lines":
        return archive.identity
    log.warning("%s is loaded in one piece: it is %s, and only plain NDJSON is cut.", where, shape or unpacked.packing)
    return None


def _cut(archive: Archive, at: int) -> tuple[int, Proof]:
    """Return the start of the first record that begins at ``at`` or later, and the proof of that place."""
    first = max(0, at - PROVEN)
    data = bytearray()
    with closing(archive.read(first)) as chunks:
        for chunk in chunks:
            data += chunk
            line_end = data.find(b"\n", at - 1 - first)
            if line_end >= 0:
                del data[line_end + 1 :]
                break
    return first + len(data), Proof.of(data)
