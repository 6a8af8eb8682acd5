"""Finds the records of one JSON array of many GB.

The fast way decodes a whole region of the buffer in one call. The region ends at the last place that looks like the
beginning of a record (``{"recordingId"``, learned from the first few). That is a guess, but a wrong guess does no harm.
A JSON object is never a proper prefix of another. So if a region begins at a boundary of records and decodes, it also
ends at one.

If a region does not decode, it is cut just before the broken record, and that record is examined alone.
:mod:`.broken` finds where it ends. The record is passed on as it is, and the contract rejects it. Commas are not
checked: one too many or too few loses no record.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import accumulate
from operator import add
from typing import Literal

import msgspec

from airflow_provider_genesys.exceptions import NotAnArchiveError
from airflow_provider_genesys.source.records import KEPT_OF_OVERSIZE, MAX_RECORD_BYTES, Slice, oversize
from airflow_provider_genesys.source.split.base import fitting
from airflow_provider_genesys.source.split.broken import (
    LONGEST_OPENER,
    REACH,
    balanced_end,
    broken_end,
    opener_after,
    opener_at,
    stripped,
    unclosed_end,
)

_GAP = re.compile(rb"[\s,]*")
_LONE_SURROGATE = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?:[^\\]|\\[^u])")
_LAST = re.compile(rb"\}([\s,]*)\]\s*\Z")
_BYTE = re.compile(r"\(byte (\d+)\)")
_DECIDING = 3  # this many valid records decide the opener: one of them may be odd
_LOOKED_INTO = 1000  # this many records decide whether records are nested: checking all takes a quarter of the time
_SMALL = 64 * 1024  # an unfinished record up to this length is checked whenever bytes come; a longer one ...
_GROWTH = 0.25  # ... when it has grown by this share
_array = msgspec.json.Decoder(list[msgspec.Raw])
_value = msgspec.json.Decoder(msgspec.Raw)


class ArraySplitter:
    """Splits one JSON array: each element is a record.

    :param offset: where to enter the document, between two records.
    :param opened: whether ``offset`` is after the opening bracket.
    :param where: the archive, for errors.
    :param opener: the opener that an earlier splitter of this document learned.
    :param alone: whether the array is the whole document, so that nothing may follow it.
    """

    shape: Literal["lines", "array"] = "array"

    def __init__(
        self,
        offset: int = 0,
        *,
        where: str,
        opened: bool = False,
        opener: str | None = None,
        max_record_bytes: int = MAX_RECORD_BYTES,
        alone: bool = True,
    ) -> None:
        self._alone = alone
        self.behind: bytes | None = None
        """Set when the array has ended and more JSON may follow: the bytes after its bracket. Feed no more then."""
        self._buffer = bytearray()
        self._base = offset  # offset of the buffer's first byte
        self._parsed = 0  # the buffer up to here is cut into records, or searched for the end of an oversize one
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._opened = opened
        self._closed = False
        self._where = where
        self._max = max_record_bytes
        self._opener = opener.encode() if opener else None
        self._openers: list[bytes] = []  # openers of the first valid records, until they decide which it is
        self._nested = False  # whether records hold objects that begin as records do
        self._looked_into = 0  # number of records checked for that
        self._alone_until = 0  # offset in the document: records before it are cut one by one
        self._look_at = 0  # length of the buffer at which an unfinished record is looked at again
        self._skipped: tuple[int, bytes, bytes | None] | None = None  # an oversize record: start, kept bytes, opener
        self._refused: list[Slice] = []

    @property
    def opener(self) -> str | None:
        """What records begin with; None until it is known."""
        opener = self._opener or next(iter(self._openers), None)
        return opener.decode(errors="ignore") if opener else None

    @property
    def pending(self) -> int:
        """Records that can be taken now."""
        return len(self._ends) + len(self._refused)

    @property
    def reached(self) -> int:
        """Offset of the end of the last element that can be taken now."""
        return self._ends[-1] if self._ends else self._base

    @property
    def buffered(self) -> int:
        """Bytes held."""
        return len(self._buffer)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the document."""
        if self._closed:
            self._check_rest(chunk)
            return
        self._buffer += chunk
        self._advance()

    def close(self) -> None:
        """Note that the document has ended. Take the pending records first."""
        self._look_at = 0
        self._advance(final=True)
        if self._skipped and (end := _LAST.search(self._buffer)):
            self._refuse(end.start(1))
            self._advance(final=True)
        if not self._closed:
            raise NotAnArchiveError(
                f"{self._where} ends at byte {self._base + len(self._buffer)} before its JSON array is closed: it is "
                "cut off. Clear the create task to create the export again."
            )

    def take(self, limit: int, cut: int | None = None) -> Slice | None:
        """Return at most ``limit`` elements. The slice ends with the first that reaches the offset ``cut``."""
        if self._refused:
            return self._refused.pop(0)
        start = self._base
        count = fitting(start, self._ends, limit, cut)
        if not count:
            return None
        starts, ends = self._starts[:count], self._ends[:count]
        del self._starts[:count], self._ends[:count]
        part = Slice(start, ends[-1], self._drop(ends[-1] - start), starts, ends, "array")
        if not self._ends:
            self._advance()  # an oversize record may have waited for this
        return part

    def _drop(self, length: int) -> bytes:
        with memoryview(self._buffer) as view:
            data = bytes(view[:length])
        del self._buffer[:length]
        self._base += length
        self._parsed -= length
        self._look_at -= length
        return data

    def _advance(self, *, final: bool = False) -> None:
        if self._skipped and not self._end_skip():
            return
        while not self._closed and len(self._buffer) >= self._look_at:
            begin = self._parsed = self._after_gap(self._parsed)
            if begin == len(self._buffer):
                self._check_gap(begin)
                return
            if not self._opened:
                self._parsed = self._buffer.find(b"[", begin) + 1
                self._opened = self._parsed > 0
                if not self._opened:
                    return
            elif self._buffer[begin] == ord("]"):
                self._close_at(begin)
            elif not self._region(begin) and not self._one(begin, final=final):
                return

    def _after_gap(self, position: int) -> int:
        return _GAP.match(self._buffer, position).end()  # type: ignore[union-attr]  # it matches nothing, too

    def _check_gap(self, length: int) -> None:
        if length > self._max and not self._ends:
            raise NotAnArchiveError(
                f"{self._where} has more than {self._max} bytes of white space from {self._base} on."
            )

    def _close_at(self, bracket: int) -> None:
        self._closed = True
        rest = bytes(self._buffer[bracket + 1 :])
        if self._alone:
            self._check_rest(rest)
            return
        self.behind = rest
        del self._buffer[bracket:]

    def _check_rest(self, rest: bytes) -> None:
        if rest.strip():
            raise NotAnArchiveError(
                f"{self._where} continues after its JSON array is closed. It is not one JSON document, and its other "
                "records would be missing. Clear the create task to create the export again, as NDJSON if possible."
            )

    def _region(self, begin: int) -> bool:
        """Cut the buffer from ``begin`` to its last opener into records in one call. Return False if that fails."""
        if self._opener is None or self._base + begin < self._alone_until or not begin:
            return False
        last = end = self._buffer.rfind(self._opener, begin + 1)
        while end > begin:
            stop = stripped(self._buffer, begin, end)
            try:
                lengths = self._lengths(begin, stop)
            except msgspec.MsgspecError as error:
                broken = _byte_of(error)
                end = self._buffer.rfind(self._opener, begin, begin + broken) if broken is not None else -1
            except RecursionError:
                break
            else:
                return self._place(begin, stop, end, lengths)
        self._alone_until = self._base + last
        return False

    def _lengths(self, begin: int, stop: int) -> list[int]:
        """Return the lengths of the records in ``[begin, stop)``, or raise the decoder's error.

        The two bytes around them are replaced by brackets meanwhile. A copy would cost as much as the decoding.
        """
        around = self._buffer[begin - 1], self._buffer[stop]
        self._buffer[begin - 1], self._buffer[stop] = b"[]"
        try:
            with memoryview(self._buffer) as view, view[begin - 1 : stop + 1] as array:
                return list(map(len, _array.decode(array)))
        finally:
            self._buffer[begin - 1], self._buffer[stop] = around

    def _place(self, begin: int, stop: int, end: int, lengths: list[int]) -> bool:
        """Note where the records in ``[begin, stop)`` start and end. Return False if one is too long."""
        self._note_nesting(begin, stop, len(lengths))
        if stop - begin > self._max and max(lengths) > self._max:
            return False
        if sum(lengths) + len(lengths) - 1 == stop - begin:  # one byte between two: it can only be the comma
            starts = list(accumulate((1 + length for length in lengths[:-1]), initial=self._base + begin))
            self._starts += starts
            self._ends += map(add, starts, lengths)
        else:
            position = begin
            for length in lengths:
                position = self._after_gap(position)
                self._starts.append(self._base + position)
                position += length
                self._ends.append(self._base + position)
        self._parsed = end
        return True

    def _one(self, begin: int, *, final: bool) -> bool:
        """Cut out the one record at ``begin``. Return False if that needs more bytes."""
        if (end := self._end_of(begin, final=final)) is not None:
            return self._add(begin, end)
        held = len(self._buffer) - begin
        self._look_at = begin + min(held + int(held * _GROWTH if held > _SMALL else 0), self._max) + 1
        if not final and (held <= self._max or self._ends):  # the pipeline takes the records before it first
            return False
        if final and self._nested:  # the next "record" may be inside this one, and the document be cut off
            return False
        opener = self._supposed(begin, begin + self._max)
        if (end := unclosed_end(self._buffer, begin, begin + self._max, opener)) is not None:
            return self._add(begin, end)
        return held > self._max and not self._ends and self._skip(begin, opener)

    def _learn(self, begin: int) -> None:
        """Note what the valid record at ``begin`` begins with. The first few records decide the opener."""
        if self._opener is None and (found := opener_at(self._buffer, begin)):
            self._openers.append(found)
            if len(self._openers) == _DECIDING:
                self._opener = Counter(self._openers).most_common(1)[0][0]

    def _supposed(self, begin: int, stop: int) -> bytes | None:
        """Return what records begin with; if none was seen yet, what the next object in ``[begin, stop)`` does."""
        return self._opener or next(iter(self._openers), None) or opener_after(self._buffer, begin, stop)

    def _add(self, begin: int, end: int) -> bool:
        self._note_nesting(begin, end, 1)
        self._starts.append(self._base + begin)
        self._ends.append(self._base + end)
        self._parsed, self._look_at = end, 0
        return True

    def _note_nesting(self, begin: int, end: int, records: int) -> None:
        if self._looked_into < _LOOKED_INTO and not self._nested and (opener := self._supposed(begin, begin)):
            self._nested = self._buffer.count(opener, begin, end) > records
            self._looked_into += records

    def _end_of(self, begin: int, *, final: bool) -> int | None:
        """Return where the element at ``begin`` ends; None if the buffer does not show it."""
        held, stop = len(self._buffer) - begin, begin + self._max
        try:
            with memoryview(self._buffer) as view:
                length = len(_value.decode(view[begin : stop + 1]))
        except msgspec.DecodeError as error:
            at, message = _byte_of(error), str(error)
        except RecursionError:
            return balanced_end(self._buffer, begin, stop, self._supposed(begin, begin))
        else:  # a number may continue
            whole = final or length < held or self._buffer[begin + length - 1] in b'}]"'
            if not whole or length > self._max:
                return None
            self._learn(begin)
            return begin + length
        if "trailing characters" in message:  # it counts from one here
            self._learn(begin)
            return stripped(self._buffer, begin, begin + (at or 0) - 1)
        if at is None:  # cut off so far; or a lone surrogate near the end, for which the decoder has the same message
            lone = _LONE_SURROGATE.search(self._buffer, max(begin, len(self._buffer) - 12)) if final else None
            at = lone.start() - begin if lone else held
        if at >= held - 1 or (held < min(at + REACH, self._max) and not final):
            return None
        opener = self._supposed(begin, min(begin + at + REACH, stop))
        return broken_end(self._buffer, begin, begin + at, stop, opener)

    def _skip(self, begin: int, opener: bytes | None) -> bool:
        """Begin to skip an oversize record."""
        kept = bytes(self._buffer[begin : begin + min(self._max, KEPT_OF_OVERSIZE)])
        self._skipped = (self._base + begin, kept, opener)
        self._parsed = max(begin + 1, begin + self._max - (len(opener) - 1 if opener else 0))
        self._look_at = 0
        return self._end_skip()

    def _end_skip(self) -> bool:
        """Skip an oversize record up to the next opener. Return False if that is not in the buffer yet."""
        assert self._skipped is not None  # noqa: S101 - only called while skipping
        opener = self._skipped[2] or opener_after(self._buffer, self._parsed, len(self._buffer))
        end = self._buffer.find(opener, self._parsed) if opener else -1
        if end >= 0:
            self._refuse(stripped(self._buffer, 0, end))
            return True
        self._parsed = max(self._parsed, len(self._buffer) - LONGEST_OPENER)
        self._drop(max(0, len(self._buffer) - KEPT_OF_OVERSIZE))
        return False

    def _refuse(self, end: int) -> None:
        assert self._skipped is not None  # noqa: S101 - only called while skipping
        start, kept, _ = self._skipped
        tail = self._drop(end)[-KEPT_OF_OVERSIZE:]
        letter = oversize(start, kept, self._base - start, self._max)
        self._refused.append(Slice(start, self._base, tail, [], [], "array", [letter]))
        self._parsed = 0
        self._skipped = None


def _byte_of(error: Exception) -> int | None:
    """Return the place in a decoder's message, in bytes."""
    match = _BYTE.search(str(error))
    return int(match.group(1)) if match else None
