"""Cut an unpacked document into whole records, with the exact byte offset of each.

A document is NDJSON (*lines*) or one JSON *array*; which, its first byte says. What is inside a record is not looked
at here: the splitter finds where records begin and end, also around records that are broken.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from operator import sub
from typing import Literal, Protocol

from airflow_provider_genesys.exceptions import NotAnArchiveError
from airflow_provider_genesys.pipeline.dead_letter import DeadLetter

MAX_RECORD_BYTES = 16 * 1024 * 1024
"""A longer record is set aside, so that one record cannot take all memory."""
MAX_SLICE_BYTES = 8 * 1024 * 1024
"""A slice ends before it grows past this, whatever the number of records; one record alone may be longer."""
KEPT_OF_OVERSIZE = 64 * 1024
"""So many bytes of an oversize record are kept in its dead letter."""
RECORD_TOO_LARGE = "record-too-large"
"""The rule that an oversize record breaks."""
BOM = b"\xef\xbb\xbf"
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")
_WHITESPACE = b" \t\r\n"
_PACKED = (b"\x1f\x8b", b"PK\x03\x04", b"\x28\xb5\x2f\xfd")  # gzip, zip and Zstandard
_TELLING = 4  # so many bytes tell the encoding
_MAX_BLANK = 64 * 1024


@dataclass(frozen=True)
class Slice:
    """A run of whole records: the bytes ``[start, end)`` of the document.

    ``starts`` and ``ends`` are the records' offsets in the document, one each per record; ``data`` begins at
    ``start``. An oversize record is not among them: its dead letter is in ``refused``. Where it came in pieces it has a
    slice of its own, with ``data`` cut to the bytes just before ``end``.
    """

    start: int
    end: int
    data: bytes
    starts: list[int]
    ends: list[int]
    shape: Literal["lines", "array"]
    refused: list[DeadLetter] = field(default_factory=list)

    def raw(self, start: int, end: int) -> bytes:
        """Return the record's own bytes."""
        return self.data[start - self.start : end - self.start]

    def record(self, start: int) -> bytes:
        """Return the bytes of the record that begins at ``start``, without the line end."""
        return self.raw(start, self.ends[bisect_left(self.starts, start)]).rstrip()


class Splitter(Protocol):
    """Takes the document in pieces of any size and gives whole records."""

    shape: Literal["lines", "array"]

    @property
    def opener(self) -> str | None:
        """What records of an array begin with, as far as that is known."""

    @property
    def pending(self) -> int:
        """Records that can be taken now."""

    @property
    def buffered(self) -> int:
        """Bytes held."""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the document."""

    def close(self) -> None:
        """Say that the document has ended; what is left becomes available, or raises :class:`NotAnArchiveError`."""

    def take(self, limit: int, cut: int | None = None) -> Slice | None:
        """Return at most ``limit`` records, the last of them the first that reaches the offset ``cut``."""


def oversize(start: int, kept: bytes, length: int, limit: int) -> DeadLetter:
    """Return the dead letter of a record of ``length`` bytes."""
    message = f"The record has {length} bytes; the limit is {limit}. The first {len(kept)} are kept."
    return DeadLetter(start, kept, "split", RECORD_TOO_LARGE, message)


def shape_of(head: bytes, *, where: str, ended: bool = False) -> Literal["lines", "array"] | None:
    """Tell the shape of the document that begins with ``head``; None where more bytes are needed.

    :param ended: whether ``head`` is all there is.
    :raises NotAnArchiveError: it is HTML, XML, UTF-16, packed twice, or blank for longer than any archive.
    """
    body = head.removeprefix(BOM).lstrip(_WHITESPACE)
    if len(head) < _TELLING and not (ended and body):
        return None
    if head.startswith(_PACKED):
        raise NotAnArchiveError(f"{where} is packed twice; unpack it once before it is loaded.")
    if head.startswith(_WIDE_BOMS) or b"\0" in head[:_TELLING]:
        raise NotAnArchiveError(f"{where} is UTF-16 or UTF-32; an archive is UTF-8.")
    if body.startswith(b"<"):
        raise NotAnArchiveError(
            f"{where} is HTML or XML, not an archive; it begins {_excerpt(body)!r}. Open the export in Genesys Cloud, "
            "or clear the create task to make it again."
        )
    if not body and len(head) > _MAX_BLANK:
        raise NotAnArchiveError(f"{where} begins with more than {_MAX_BLANK} bytes of white space.")
    return ("array" if body.startswith(b"[") else "lines") if body else None


def _excerpt(body: bytes) -> str:
    return body[:120].decode("ascii", "replace")


def fitting(start: int, ends: list[int], limit: int, cut: int | None) -> int:
    """Return how many of the records that end at ``ends``, the first from ``start``, make up the next slice."""
    count = min(limit, len(ends))
    if cut is not None:
        count = min(count, bisect_left(ends, cut, hi=count) + 1)
    if count and ends[count - 1] - start > MAX_SLICE_BYTES:
        count = max(1, bisect_right(ends, start + MAX_SLICE_BYTES, hi=count))
    return count


class LineSplitter:
    """NDJSON: one record a line. Blank lines and a byte-order mark are no records."""

    shape: Literal["lines", "array"] = "lines"
    opener = None

    def __init__(self, offset: int = 0, *, max_record_bytes: int = MAX_RECORD_BYTES) -> None:
        self._buffer = bytearray()
        self._base = offset  # of the buffer's first byte
        self._line_ends: list[int] = []  # in the document, of the whole lines in the buffer
        self._max = max_record_bytes
        self._oversize: tuple[int, bytes] | None = None  # start and kept bytes of the line that is being skipped
        self._refused: list[Slice] = []

    @property
    def pending(self) -> int:
        """Records that can be taken now."""
        return len(self._line_ends) + len(self._refused)

    @property
    def buffered(self) -> int:
        """Bytes held."""
        return len(self._buffer)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the document."""
        if self._oversize:
            chunk = self._skip(chunk)
        position = self._base + len(self._buffer)
        self._buffer += chunk
        ends, find, index = self._line_ends, chunk.find, chunk.find(b"\n") + 1
        while index:
            ends.append(position + index)
            index = find(b"\n", index) + 1
        if not ends and len(self._buffer) > self._max:  # the pipeline has taken the whole lines before it
            self._oversize = (self._base, self._kept(self._buffer))
            self._drop(max(0, len(self._buffer) - KEPT_OF_OVERSIZE))

    def close(self) -> None:
        """Say that the document has ended: the last line needs no newline."""
        end = self._base + len(self._buffer)
        if self._oversize:
            self._refuse(end)
        elif self._buffer and (not self._line_ends or self._line_ends[-1] != end):
            self._line_ends.append(end)

    def take(self, limit: int, cut: int | None = None) -> Slice | None:
        """Return at most ``limit`` lines, the last of them the first that reaches the offset ``cut``."""
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
        if start == 0 and data.startswith(BOM) and starts[:1] == [0]:
            starts[0] = len(BOM)
        if ends and min(map(sub, ends, starts)) <= len(b"\r\n"):
            filled = [i for i in range(len(ends)) if data[starts[i] - start : ends[i] - start].strip(_WHITESPACE)]
            starts, ends = [starts[i] for i in filled], [ends[i] for i in filled]
        return Slice(start, start + len(data), data, starts, ends, "lines", refused)

    def _sorted_out(
        self, data: bytes, starts: list[int], ends: list[int]
    ) -> tuple[list[int], list[int], list[DeadLetter]]:
        """Return where the lines begin and end that are not oversize, and the dead letters of those that are."""
        base, lines = starts[0], list(zip(starts, ends, strict=True))
        taken = [(start, end) for start, end in lines if end - start <= self._max]
        refused = [
            oversize(start, self._kept(data[start - base : end - base]), end - start, self._max)
            for start, end in lines
            if end - start > self._max
        ]
        return [start for start, _ in taken], [end for _, end in taken], refused

    def _kept(self, line: bytes | bytearray) -> bytes:
        """Return what is kept of an oversize line: as much, however the line came."""
        return bytes(line[: min(self._max, KEPT_OF_OVERSIZE)])

    def _drop(self, length: int) -> bytes:
        with memoryview(self._buffer) as view:
            data = bytes(view[:length])
        del self._buffer[:length]
        self._base += length
        return data

    def _skip(self, chunk: bytes) -> bytes:
        """Throw away up to the end of an oversize line, but for the bytes that the checkpoint's proof needs."""
        index = chunk.find(b"\n") + 1
        self._buffer += chunk[: index or len(chunk)]
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
