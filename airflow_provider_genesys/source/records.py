"""Records as they are cut out of a document: a slice of whole records, and the records that were rejected."""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Literal, Protocol

from airflow_provider_genesys.source.position import Place

MAX_RECORD_BYTES = 16 * 1024 * 1024
"""A longer record is dead-lettered, so that one record cannot use all memory."""

MAX_SLICE_BYTES = 9 * 1024 * 1024
"""A slice ends before it grows past this, even with few records. A single record may be longer. A row group of Parquet
fits in, with the record that ends it."""

ENOUGH = 256 * 1024
"""Where a sink commits batches, a slice of this many bytes does not wait for more, nor is one of a page longer: its
first records came long ago, and what is made of it fits into the processor's cache."""

KEPT_OF_OVERSIZE = 64 * 1024
"""This many bytes of an oversize record are kept in its dead letter."""

RECORD_TOO_LARGE = "record-too-large"
"""The rule that an oversize record breaks."""

BOM = b"\xef\xbb\xbf"


class Held(Protocol):
    """The bytes of a slice, wherever they are. Those that are asked for are copied."""

    def __len__(self) -> int:
        """Return their number."""

    def __getitem__(self, piece: slice, /) -> bytes:
        """Return some of them."""


class Pieces:
    """Implements :class:`Held` for bytes as they came, in pieces that nobody has joined."""

    def __init__(self, pieces: Sequence[bytes | memoryview]) -> None:
        self.pieces = pieces
        self._begins = list(accumulate(map(len, pieces), initial=0))

    def __len__(self) -> int:
        return self._begins[-1]

    def __getitem__(self, piece: slice, /) -> bytes:
        begin, end, _ = piece.indices(len(self))
        first = max(0, bisect_right(self._begins, begin) - 1)
        last = bisect_left(self._begins, end)
        found = zip(self.pieces[first:last], self._begins[first:last], strict=True)
        return b"".join(memoryview(one)[max(0, begin - at) : end - at] for one, at in found)


class Places(Protocol):
    """The places inside a slice from which a load can continue: each end of a record."""

    def at(self, end: int) -> Place:
        """Return the place just after the record that ends at ``end``."""


@dataclass(frozen=True)
class Slice:
    """A run of whole records: the bytes ``[start, end)`` of the document.

    ``starts`` and ``ends`` are the records' offsets in the document, one each per record. ``held`` begins at
    ``start``. An oversize record is not among them: its dead letter is in ``refused``. If it came in pieces, it has a
    separate slice, whose ``held`` has only the bytes just before ``end``.
    """

    start: int
    end: int
    held: bytes | Held
    starts: list[int]
    ends: list[int]
    shape: Literal["lines", "array"]
    refused: list[DeadLetter] = field(default_factory=list)
    places: Places | None = None
    """Set by the source; None for bytes from which no load continues, such as those of a dead letter."""

    @cached_property
    def data(self) -> bytes:
        """All that is held, as one."""
        return self.held if isinstance(self.held, bytes) else self.held[:]

    def raw(self, start: int, end: int) -> bytes:
        """Return the exact bytes of a record."""
        return self.held[start - self.start : end - self.start]

    def pieces(self, count: int, every: int = sys.maxsize) -> Iterator[Slice]:
        """Yield it in slices of at most ``count`` records, which also end at each multiple of ``every`` bytes."""
        begin, first, total = self.start, 0, len(self.starts)
        while first < max(total, 1):
            multiple = (begin // every + 1) * every
            last = min(first + count, max(bisect_left(self.starts, multiple, first), first + 1))
            starts, ends = self.starts[first:last], self.ends[first:last]
            end, first = ends[-1] if last < total else self.end, last
            yield Slice(
                begin,
                end,
                self.held[begin - self.start : end - self.start] if starts else self.held,
                starts,
                ends,
                self.shape,
                [letter for letter in self.refused if begin <= letter.offset < end],
                self.places,
            )
            begin = end

    def record(self, start: int) -> bytes:
        """Return the bytes of the record that begins at ``start``, without the line end."""
        return self.raw(start, self.ends[bisect_left(self.starts, start)]).rstrip()


def oversize(start: int, kept: bytes, length: int, limit: int) -> DeadLetter:
    """Return the dead letter of a record of ``length`` bytes."""
    message = f"The record has {length} bytes; the limit is {limit}. The first {len(kept)} are kept."
    return DeadLetter(start, kept, "split", RECORD_TOO_LARGE, message)


@dataclass(frozen=True)
class DeadLetter:
    """A record that could not be read or breaks the contract.

    ``raw`` has its exact bytes (up to the limit of a record's size), ``offset`` the place of its first byte in the
    unpacked archive. ``stage`` is ``source`` (Genesys itself reports a failure), ``split``, ``decode``, ``contract`` or
    ``sink``. ``rule`` is a short stable name. ``message`` has no values of the record.
    """

    offset: int
    raw: bytes
    stage: str
    rule: str
    message: str
