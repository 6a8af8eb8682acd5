"""An archive that exists only as a rule: any of its bytes can be asked for, none of them is stored."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cached_property, lru_cache
from hashlib import sha256
from typing import Any, Literal

import msgspec

from airflow_provider_genesys.testing.fake_genesys.broken import RULES, break_record
from airflow_provider_genesys.testing.fake_genesys.template import BLOCK_RECORDS, Template, template

FileFormat = Literal["ndjson", "json", "json-pretty"]
"""One record per line · one compact array · one indented array."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_RULES = tuple(RULES)
_ID_BYTES = 36
_MILLISECONDS = [b".%03dZ" % number for number in range(1000)]


@dataclass(frozen=True)
class _Framing:
    """The text before, between and after the records; ``closing`` takes the place of the last separator."""

    opening: bytes
    separator: bytes
    closing: bytes
    indent: int | None = None


_FRAMINGS = {
    "ndjson": _Framing(b"", b"\n", b"\n"),
    "json": _Framing(b"[", b",", b"]"),
    "json-pretty": _Framing(b"[\n", b",\n", b"\n]\n", indent=2),
}


@dataclass(frozen=True)
class Tally:
    """The counts that a load of one archive has to find.

    :param records: everything between the separators, whether it can be read or not.
    :param good: records that can be read and have an id.
    :param broken: number of the others by rule; see :data:`~.broken.RULES`.
    :param distinct_ids: different ``recordingId`` among the good ones.
    """

    records: int
    good: int
    broken: dict[str, int]
    distinct_ids: int


@dataclass(frozen=True)
class Archive:
    """The export of one window.

    The same arguments always give the same bytes; another window, seed or revision gives other ids and times.

    :param window_start: aware; the first timestamp that may occur.
    :param window_end: aware; no timestamp reaches it.
    :param records: number of records.
    :param broken: how many of them are broken, spread evenly.
    :param duplicates: how many carry the ``recordingId`` of the record before them; at most half.
    :param balanced: whether brackets stay balanced in broken records of an array; a truncated one cannot otherwise.
    :param revision: another number gives other bytes of the same length.
    """

    window_start: datetime
    window_end: datetime
    records: int
    seed: int = 1
    file_format: FileFormat = "ndjson"
    broken: int = 0
    duplicates: int = 0
    balanced: bool = True
    revision: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.broken <= self.records:
            raise ValueError(f"broken={self.broken} is not between 0 and the {self.records} records.")
        if not 0 <= self.duplicates <= self.records // 2:
            raise ValueError(f"duplicates={self.duplicates} is not between 0 and half of the {self.records} records.")

    @property
    def etag(self) -> str:
        """Strong ETag, quotes included."""
        return f'"{sha256(repr(self).encode()).hexdigest()[:32]}"'

    @cached_property
    def size(self) -> int:
        """Length in bytes."""
        if not self.records:
            return len(self._empty)
        blocks, rest = divmod(self.records, BLOCK_RECORDS)
        body = blocks * self._template.length + self._template.start(rest)
        return len(self._framing.opening) + body - len(self._framing.separator) + len(self._framing.closing)

    @cached_property
    def tally(self) -> Tally:
        """The counts of its records, by the same rules that write it."""
        broken = {rule: len(range(i, self.broken, len(_RULES))) for i, rule in enumerate(_RULES)}
        pairs = self._duplicates_in(0, self.records)
        lost = sum(1 for copy in pairs if self._broken_in(copy - 1, copy + 1))
        good = self.records - self.broken
        return Tally(self.records, good, {k: n for k, n in broken.items() if n}, good - self.duplicates + lost)

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """Return the bytes ``start <= offset < stop``."""
        return b"".join(self.chunks(start, stop))

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[memoryview]:
        """Yield the bytes ``start <= offset < stop`` in pieces of at most about 1.5 MB; nothing before is computed."""
        stop = self.size if stop is None else min(stop, self.size)
        if start >= stop:
            return
        opening = len(self._framing.opening)
        final = max(0, self.records - 1) // BLOCK_RECORDS
        first, last = (min(final, max(0, at - opening) // self._template.length) for at in (start, stop - 1))
        for number in range(first, last + 1):
            offset = opening + number * self._template.length if number else 0
            yield memoryview(self._block(number))[max(0, start - offset) : stop - offset]

    def send_to(self, connection: socket.socket, start: int, stop: int) -> None:
        """Write the bytes ``start <= offset < stop`` to ``connection``, as fast as it takes them."""
        for chunk in self.chunks(start, stop):
            connection.sendall(chunk)

    def good_records(self) -> Iterator[dict[str, Any]]:
        """Yield the records that are not broken, decoded, in their order."""
        separator = len(self._framing.separator)
        for first in range(0, self.records, BLOCK_RECORDS):
            block = self._records(first // BLOCK_RECORDS)
            broken = set(self._broken_in(first, first + BLOCK_RECORDS))
            for slot in range(min(BLOCK_RECORDS, self.records - first)):
                if first + slot not in broken:
                    yield msgspec.json.decode(block[self._template.start(slot) : self._template.ends[slot] - separator])

    @property
    def _framing(self) -> _Framing:
        return _FRAMINGS[self.file_format]

    @property
    def _empty(self) -> bytes:
        return b"" if self.file_format == "ndjson" else b"[]"

    @cached_property
    def _template(self) -> Template:
        return template(self.seed, self._framing.separator, self._framing.indent)

    def _block(self, number: int) -> bytes | bytearray:
        """Return the bytes of block ``number``, with what opens and closes the document."""
        if not self.records:
            return self._empty
        block = self._records(number)
        rest = self.records - number * BLOCK_RECORDS
        if rest <= BLOCK_RECORDS:
            del block[self._template.start(rest) - len(self._framing.separator) :]
            block += self._framing.closing
        if number == 0:
            block[:0] = self._framing.opening
        return block

    def _records(self, number: int) -> bytearray:
        """Return all records of block ``number``, also those behind the archive's end."""
        first = number * BLOCK_RECORDS
        window = f"{_milliseconds(self.window_start)}/{_milliseconds(self.window_end)}"
        key = f"{self.seed}/{self.revision}/{window}/{number}".encode()
        block = self._template.fill(key, self._timestamps(first))
        for index in self._duplicates_in(first, first + BLOCK_RECORDS):
            self._copy_id(block, index - first)
        for index, rule in self._broken_in(first, first + BLOCK_RECORDS).items():
            self._break(block, index - first, rule)
        return block

    def _timestamps(self, first: int) -> list[bytes]:
        """Spread the records over the window, ascending, except for neighbours that are swapped."""
        start, length = _milliseconds(self.window_start), _milliseconds(self.window_end - self.window_start + _EPOCH)
        places = max(self.records + self.records % 2, 1)
        moments = (
            divmod(start + (place ^ 1) * length // places, 1000) for place in range(first, first + BLOCK_RECORDS)
        )
        return [_second(second) + _MILLISECONDS[millisecond] for second, millisecond in moments]

    def _copy_id(self, block: bytearray, slot: int) -> None:
        here, there = (block.index(b"-", self._template.start(s)) - 8 for s in (slot, slot - 1))
        block[here : here + _ID_BYTES] = block[there : there + _ID_BYTES]

    def _break(self, block: bytearray, slot: int, rule: str) -> None:
        start, stop = self._template.start(slot), self._template.ends[slot] - len(self._framing.separator)
        balanced = self.balanced and self.file_format != "ndjson"
        block[start:stop] = break_record(bytes(block[start:stop]), rule, balanced=balanced)

    def _broken_in(self, first: int, stop: int) -> dict[int, str]:
        """Return index and rule of the broken records among ``first <= index < stop``."""
        places = _spread(self.broken, self.records, first, stop)
        return {index: _RULES[number % len(_RULES)] for number, index in places}

    def _duplicates_in(self, first: int, stop: int) -> list[int]:
        """Return the indices of the duplicates: the second of a pair of neighbours, in evenly spread pairs."""
        return [2 * pair + 1 for _, pair in _spread(self.duplicates, self.records // 2, first // 2, stop // 2)]


def _spread(count: int, places: int, first: int, stop: int) -> Iterator[tuple[int, int]]:
    """Spread ``count`` things evenly over ``places``; yield number and place of those in ``first <= place < stop``."""
    if not count:
        return
    number = max(0, (2 * first * count - places) // (2 * places))
    while number < count and (place := (2 * number + 1) * places // (2 * count)) < stop:
        if place >= first:
            yield number, place
        number += 1


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


@lru_cache(maxsize=4096)
def _second(second: int) -> bytes:
    return (_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S").encode()
