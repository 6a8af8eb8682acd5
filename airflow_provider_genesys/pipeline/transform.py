"""Turn raw records into rows as the contract says.

The fast way decodes a whole slice in one call into structs that are compiled from the contract. They know every
field of every object that the contract names, so a field that nobody named makes the call fail: then the slice is
read record by record (:mod:`.examine`), the new field is noted, and the structs are compiled anew to know and count
it. So drift is counted exactly, on every record, and costs next to nothing once it has been seen.
"""

from __future__ import annotations

from codecs import utf_8_decode
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from operator import itemgetter
from typing import Any, Literal
from zlib import crc32

import msgspec

from airflow_provider_genesys.exceptions import RecordError
from airflow_provider_genesys.pipeline.compile import MOST_KNOWN, Compiled, Path, compiled, nameable
from airflow_provider_genesys.pipeline.contract import Contract
from airflow_provider_genesys.pipeline.dead_letter import DeadLetter
from airflow_provider_genesys.pipeline.examine import examine
from airflow_provider_genesys.pipeline.split import BOM, Slice

_PIECE = 64 * 1024
"""Bytes decoded at a time: the text of a whole slice leaves the processor's cache, at five times the cost."""
_OPENING, _CLOSING, _RETURN = set(b"{"), set(b"}"), set(b"\r")


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
        self._timestamp: Callable[[tuple[Any, ...]], datetime | None] = itemgetter(contract.index(contract.timestamp))

    def apply(self, part: Slice) -> Rows:
        """Return the rows of ``part``; records that cannot be rows come as dead letters, none is lost."""
        result = self._at_once(part) or self._one_by_one(part)
        result.dead_letters[:0] = part.refused
        return result

    def digest(self, result: Rows) -> int:
        """Return the sum of CRC-32 over (offset, id), or (offset, raw bytes) for what was set aside.

        The offset is what the CRC begins with; its lowest 32 bits count.
        """
        read = sum(map(crc32, map(str.encode, map(self._key, result.rows)), result.offsets))
        return read + sum(crc32(letter.raw, letter.offset) for letter in result.dead_letters)

    def last_key(self, result: Rows) -> str | None:
        """Return the id of the last row."""
        return self._key(result.rows[-1]) if result.rows else None

    def span(self, result: Rows) -> tuple[datetime, datetime] | None:
        """Return the least and the greatest timestamp."""
        times = [moment for moment in map(self._timestamp, result.rows) if moment is not None]
        return (min(times), max(times)) if times else None

    def _at_once(self, part: Slice) -> Rows | None:
        """Decode the whole slice in one call; None where a record in it needs a closer look."""
        if not part.starts or part.refused or not _is_plain(part.data):
            return None
        body = part.data[part.starts[0] - part.start : part.ends[-1] - part.start]
        if part.shape == "lines" and not _is_one_a_line(part):
            return None
        decoded = self._decoded(body, part.shape, len(part.starts))
        return None if decoded is None else Rows(decoded.rows, part.starts, [], decoded.drift)

    def _decoded(self, body: bytes, shape: Literal["lines", "array"], count: int) -> Rows | None:
        """Return the rows and the drift of ``count`` records; None where they are not exactly as compiled."""
        try:
            records = self._compiled.decode(body, shape)
            rows = self._compiled.rows(records, self._processed_at)
        except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError):
            return None
        return Rows(rows, drift=self._compiled.drift(records)) if len(records) == count else None

    def _one_by_one(self, part: Slice) -> Rows:
        result = Rows()
        seen: set[Path] = set()
        for start, end in zip(part.starts, part.ends, strict=True):
            raw = part.raw(start, end).rstrip()
            record = raw.removeprefix(BOM)  # files that were joined have one at every seam
            if not record.strip():
                continue
            try:
                row, unknown = self._record(record)
            except RecordError as error:
                result.dead_letters.append(DeadLetter(start, raw, "contract", error.rule, str(error)))
                continue
            result.rows.append(row)
            result.offsets.append(start)
            result.drift.update(unknown)
            seen.update(unknown)
        self._learn(seen)
        return result

    def _record(self, raw: bytes) -> tuple[tuple[Any, ...], Iterable[Path]]:
        if _is_plain(raw) and (decoded := self._decoded(raw, "lines", 1)):
            return decoded.rows[0], decoded.drift
        return examine(raw, self._contract, self._processed_at)

    def _learn(self, seen: set[Path]) -> None:
        new = set(filter(nameable, seen)) - self._known
        if new and len(self._known | new) <= MOST_KNOWN:
            self._known = self._known | new
            self._compiled = compiled(self._contract, self._known)


def _is_one_a_line(part: Slice) -> bool:
    """Whether each line looks like an object; the decoder would also take two on a line, or one on two.

    Where a closing brace, a line end and an opening brace follow each other, no JSON value can go on.
    """
    at, base = part.data.__getitem__, part.start
    firsts = set(map(at, [start - base for start in part.starts]))
    lasts = set(map(at, [end - base - 2 for end in part.ends[:-1]]))
    if lasts == _RETURN:
        lasts = set(map(at, [end - base - 3 for end in part.ends[:-1]]))
    return firsts == _OPENING and lasts <= _CLOSING


def _is_plain(data: bytes) -> bool:
    """Whether ``data`` is UTF-8 without a NUL escape, which PostgreSQL refuses; lone surrogates never decode."""
    # From behind: the search then begins with the backslash, which is rare, and takes half the time.
    return data.rfind(b"\\u0000") < 0 and (data.isascii() or _is_utf8(data))


def _is_utf8(data: bytes) -> bool:
    view, at = memoryview(data), 0
    try:
        while at < len(view):
            at += utf_8_decode(view[at : at + _PIECE], "strict", at + _PIECE >= len(view))[1]
    except UnicodeDecodeError:
        return False
    return True
