"""Turn raw records into rows as the contract says.

The fast way decodes a whole slice in one call into structs that are compiled from the contract. They know every
field of every object that the contract names, so a field that nobody named makes the call fail: then the slice is
read record by record (:mod:`.examine`), the new field is noted, and the structs are compiled anew to know and count
it. So drift is counted exactly, on every record, and costs next to nothing once it has been seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from operator import itemgetter
from typing import Any
from zlib import crc32

import msgspec

from airflow_provider_genesys.exceptions import RecordError
from airflow_provider_genesys.pipeline.compile import MOST_KNOWN, Compiled, Path, compiled
from airflow_provider_genesys.pipeline.contract import Contract
from airflow_provider_genesys.pipeline.dead_letter import DeadLetter
from airflow_provider_genesys.pipeline.examine import examine
from airflow_provider_genesys.pipeline.split import Slice


@dataclass
class Rows:
    """What one slice became. ``offsets`` has one entry per row."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    drift: Counter[Path] = field(default_factory=Counter)


class Transform:
    """One contract, applied to one load.

    :param processed_at: the value of the ``processed_at`` column, aware.
    """

    def __init__(self, contract: Contract, processed_at: datetime) -> None:
        self._contract = contract
        self._processed_at = processed_at.astimezone(timezone.utc)
        self._known: frozenset[Path] = frozenset()  # fields that are not in the contract but were seen
        self._compiled: Compiled = compiled(contract, self._known)
        self._key: Callable[[tuple[Any, ...]], str] = itemgetter(contract.index(contract.key))
        self._timestamp: Callable[[tuple[Any, ...]], datetime] = itemgetter(contract.index(contract.timestamp))

    def apply(self, part: Slice) -> Rows:
        """Return the rows of ``part``; records that cannot be rows come as dead letters, none is lost."""
        result = self._at_once(part) or self._one_by_one(part)
        result.dead_letters[:0] = part.refused
        return result

    def digest(self, result: Rows) -> int:
        """Return the sum of CRC-32 over (offset, id), or (offset, raw bytes) for what was set aside."""
        ids = (self._key(row).encode() for row in result.rows)
        read = sum(crc32(key, offset & 0xFFFFFFFF) for key, offset in zip(ids, result.offsets, strict=True))
        return read + sum(crc32(letter.raw, letter.offset & 0xFFFFFFFF) for letter in result.dead_letters)

    def last_key(self, result: Rows) -> str | None:
        """Return the id of the last row."""
        return self._key(result.rows[-1]) if result.rows else None

    def span(self, result: Rows) -> tuple[datetime, datetime] | None:
        """Return the least and the greatest timestamp."""
        times = list(map(self._timestamp, result.rows))
        return (min(times), max(times)) if times else None

    def _at_once(self, part: Slice) -> Rows | None:
        """Decode the whole slice in one call; None where a record in it needs a closer look."""
        if not part.starts or not _is_plain(part.data):
            return None
        body = part.data[part.starts[0] - part.start : part.ends[-1] - part.start]
        try:
            records = self._compiled.decode(body, part.shape)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
            return None
        if len(records) != len(part.starts):
            return None
        return Rows(self._compiled.rows(records, self._processed_at), part.starts, [], self._compiled.drift(records))

    def _one_by_one(self, part: Slice) -> Rows:
        result = Rows()
        seen: set[Path] = set()
        for start, end in zip(part.starts, part.ends, strict=True):
            raw = part.raw(start, end)
            if not raw.strip():
                continue
            try:
                row, unknown = self._record(raw)
            except RecordError as error:
                result.dead_letters.append(DeadLetter(start, raw.strip(), "contract", error.rule, str(error)))
                continue
            result.rows.append(row)
            result.offsets.append(start)
            result.drift.update(unknown)
            seen.update(unknown)
        self._learn(seen)
        return result

    def _record(self, raw: bytes) -> tuple[tuple[Any, ...], Iterable[Path]]:
        if _is_plain(raw):
            try:
                records = self._compiled.decode(raw, "lines")
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
                pass
            else:
                if len(records) == 1:
                    return self._compiled.rows(records, self._processed_at)[0], self._compiled.drift(records)
        return examine(raw, self._contract, self._processed_at)

    def _learn(self, seen: set[Path]) -> None:
        new = seen - self._known
        if new and len(self._known | new) <= MOST_KNOWN:
            self._known = self._known | new
            self._compiled = compiled(self._contract, self._known)


def _is_plain(data: bytes) -> bool:
    """Whether ``data`` is UTF-8 without a NUL escape, which PostgreSQL refuses; lone surrogates never decode."""
    if b"\\u0000" in data:
        return False
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
