"""Splits NDJSON into records.

The last line needs no line end, but its record has to be complete. If a record begins there and is not closed, the
archive was cut off, and the records after it are missing.
"""

from __future__ import annotations

from collections import deque
from operator import sub
from typing import Literal

from airflow_provider_genesys.exceptions import NotAnArchiveError
from airflow_provider_genesys.source.records import (
    BOM,
    KEPT_OF_OVERSIZE,
    MAX_RECORD_BYTES,
    DeadLetter,
    Held,
    Pieces,
    Slice,
    oversize,
)
from airflow_provider_genesys.source.split.base import _WHITESPACE, fitting

_SMALL = 16 * 1024  # bytes
_LARGE = 1024 * 1024
"""More bytes are not joined until somebody reads them as one. Those that go to a worker never are."""


class LineSplitter:
    """Splits NDJSON: one record per line. Blank lines and a byte-order mark are not records.

    :param where: the archive, for errors.
    """

    shape: Literal["lines", "array"] = "lines"
    opener = None

    def __init__(self, offset: int = 0, *, where: str, max_record_bytes: int = MAX_RECORD_BYTES) -> None:
        self._where = where
        self._buffer = HeldBytes()
        self._base = offset  # offset of the buffer's first byte
        self._line_ends: list[int] = []  # offsets in the document where the buffer's whole lines end
        self._max = max_record_bytes
        self._oversize: tuple[int, bytes] | None = None  # start and kept bytes of the line that is being skipped
        self._brackets = _Brackets()  # brackets of that line
        self._refused: list[Slice] = []

    @property
    def pending(self) -> int:
        """Records that can be taken now."""
        return len(self._line_ends) + len(self._refused)

    @property
    def reached(self) -> int:
        """Offset of the end of the last whole line."""
        return self._line_ends[-1] if self._line_ends else self._base

    @property
    def buffered(self) -> int:
        """Bytes held."""
        return len(self._buffer)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the document."""
        if self._oversize:
            chunk = self._skip(chunk)
        position = self._base + len(self._buffer)
        self._buffer.add(chunk)
        ends, find, index = self._line_ends, chunk.find, chunk.find(b"\n") + 1
        while index:
            ends.append(position + index)
            index = find(b"\n", index) + 1
        if not ends and len(self._buffer) > self._max:  # the pipeline has taken the whole lines before it
            line = bytes(self._buffer)
            self._oversize = (self._base, self._kept(line))
            self._brackets = _Brackets(line)
            self._drop(max(0, len(self._buffer) - KEPT_OF_OVERSIZE))

    def close(self) -> None:
        """Note that the document has ended. Take the pending records first.

        :raises NotAnArchiveError: it ends inside a record.
        """
        end = self._base + len(self._buffer)
        brackets = self._brackets if self._oversize else _Brackets(bytes(self._buffer))
        if brackets.are_open:
            raise NotAnArchiveError(
                f"{self._where} ends at byte {end}, inside a record of its last line: it is cut off. Clear the create "
                "task to create the export again."
            )
        if self._oversize:
            self._refuse(end)
        elif self._buffer:
            self._line_ends.append(end)

    def take(self, limit: int, cut: int | None = None) -> Slice | None:
        """Return at most ``limit`` lines. The slice ends with the first that reaches the offset ``cut``."""
        if self._refused:
            return self._refused.pop(0)
        start = self._base
        count = fitting(start, self._line_ends, limit, cut)
        if not count:
            return None
        ends = self._line_ends[:count]
        del self._line_ends[:count]
        data = self._drop(ends[-1] - start)
        starts = [start, *ends[:-1]]
        refused: list[DeadLetter] = []
        if len(data) > self._max:
            starts, ends, refused = self._sorted_out(data, starts, ends)
        if start == 0 and data[: len(BOM)] == BOM and starts[:1] == [0]:
            starts[0] = len(BOM)
        if ends and min(map(sub, ends, starts)) <= len(b"\r\n"):
            data = data[:]
            filled = [i for i in range(len(ends)) if data[starts[i] - start : ends[i] - start].strip(_WHITESPACE)]
            starts, ends = [starts[i] for i in filled], [ends[i] for i in filled]
        return Slice(start, start + len(data), data, starts, ends, "lines", refused)

    def _sorted_out(
        self, data: bytes | Held, starts: list[int], ends: list[int]
    ) -> tuple[list[int], list[int], list[DeadLetter]]:
        """Return the starts and ends of the lines that are not oversize, and the dead letters of the others."""
        base, lines = starts[0], list(zip(starts, ends, strict=True))
        taken = [(start, end) for start, end in lines if end - start <= self._max]
        refused = [
            oversize(start, self._kept(data[start - base : end - base]), end - start, self._max)
            for start, end in lines
            if end - start > self._max
        ]
        return [start for start, _ in taken], [end for _, end in taken], refused

    def _kept(self, line: bytes) -> bytes:
        """Return the bytes to keep of an oversize line. They do not depend on the pieces in which it came."""
        return bytes(line[: min(self._max, KEPT_OF_OVERSIZE)])

    def _drop(self, length: int) -> bytes | Held:
        self._base += length
        return self._buffer.take(length)

    def _skip(self, chunk: bytes) -> bytes:
        """Skip to the end of an oversize line. Keep only the last bytes, for the checkpoint's proof."""
        index = chunk.find(b"\n") + 1
        self._buffer.add(chunk[: index or len(chunk)])
        self._brackets.feed(chunk[: index or len(chunk)])
        if index:
            self._refuse(self._base + len(self._buffer))
            return chunk[index:]
        self._drop(max(0, len(self._buffer) - KEPT_OF_OVERSIZE))
        return b""

    def _refuse(self, end: int) -> None:
        assert self._oversize is not None  # noqa: S101 - only called while skipping
        start, kept = self._oversize
        tail = self._drop(len(self._buffer))[-KEPT_OF_OVERSIZE:]
        letter = oversize(start, kept, end - start, self._max)
        self._refused.append(Slice(start, end, tail, [], [], "lines", [letter]))
        self._oversize = None


class _Brackets:
    """Counts the brackets of a line, in what was received of it."""

    def __init__(self, begin: bytes = b"") -> None:
        self._counts = begin.removeprefix(BOM).lstrip(_WHITESPACE)[:1] in (b"{", b"[")
        self._open = 0
        self._in_string = False
        self._cut_escape = b""
        self.feed(begin)

    @property
    def are_open(self) -> bool:
        """Whether the line begins an object or a list and does not close it."""
        return self._counts and (self._in_string or self._open > 0)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the line."""
        text = self._cut_escape + chunk
        backslashes = len(text) - len(text.rstrip(b"\\"))
        whole = len(text) - backslashes % 2
        self._cut_escape = text[whole:]
        parts = text[:whole].replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        outside = b"".join(parts[self._in_string :: 2])
        self._open += sum(map(outside.count, b"{[")) - sum(map(outside.count, b"}]"))
        self._in_string ^= len(parts) % 2 == 0


class HeldBytes:
    """Bytes that are added at the end and taken from the beginning. Most are copied only once, into their slice."""

    def __init__(self) -> None:
        self._pieces: deque[bytes | memoryview] = deque()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __bytes__(self) -> bytes:
        return b"".join(self._pieces)

    def add(self, piece: bytes) -> None:
        """Add ``piece``. Small ones are joined: millions of them would need many times their length."""
        self._length += len(piece)
        if self._pieces and len(self._pieces[-1]) + len(piece) <= _SMALL:
            piece = b"".join((self._pieces.pop(), piece))
        self._pieces.append(piece)

    def take(self, length: int) -> bytes | Pieces:
        """Remove and return the first ``length`` bytes, or all if there are fewer."""
        taken, missing = list[bytes | memoryview](), min(length, self._length)
        self._length -= missing
        while missing:
            piece = self._pieces.popleft()
            if len(piece) > missing:
                piece = memoryview(piece)
                self._pieces.appendleft(piece[missing:])
                piece = piece[:missing]
            missing -= len(piece)
            taken.append(piece)
        return b"".join(taken) if length < _LARGE else Pieces(taken)
