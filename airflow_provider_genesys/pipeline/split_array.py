"""Find the records of one multi-GB JSON array.

The fast way decodes a whole region of the buffer in one call. Where it ends is a guess: the last place that looks
like the beginning of a record (``{"recordingId"``, learned from the first one). The guess needs no trust: a JSON
value is never a proper prefix of another, so a region that begins at a known boundary and decodes, ends on one.

Where a region does not decode, it is cut just before the record that breaks it, and that record alone is looked at.
A record that is no JSON ends where its brackets balance or where the next one begins; it is handed on as it is, and
the contract sets it aside. Commas are not checked: one too many or too few loses no record.
"""

from __future__ import annotations

import re
from contextlib import suppress
from itertools import accumulate
from typing import Literal

import msgspec

from airflow_provider_genesys.exceptions import NotAnArchiveError
from airflow_provider_genesys.pipeline.dead_letter import DeadLetter
from airflow_provider_genesys.pipeline.split import KEPT_OF_OVERSIZE, MAX_RECORD_BYTES, Slice, fitting, oversize

_GAP = re.compile(rb"[\s,]*")
_OPENER = re.compile(rb'\{\s*"[^"\\]+"')
_STRING_OR_BRACKET = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|["{}\[\]]', re.DOTALL)
_BYTE = re.compile(r"\(byte (\d+)\)")
_GROWTH = 1.25  # a record that is not whole yet is looked at again when the buffer has grown by so much
_array = msgspec.json.Decoder(list[msgspec.Raw])
_value = msgspec.json.Decoder(msgspec.Raw)


class ArraySplitter:
    """One JSON array: one record an element.

    :param offset: where the document is entered, between two records; 0 is before the opening bracket.
    :param where: the archive, for errors.
    """

    shape: Literal["lines", "array"] = "array"

    def __init__(self, offset: int = 0, *, where: str, max_record_bytes: int = MAX_RECORD_BYTES) -> None:
        self._buffer = bytearray()
        self._base = offset  # of the buffer's first byte
        self._parsed = 0  # the buffer up to here is cut into records
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._opened = offset > 0
        self._closed = False
        self._where = where
        self._max = max_record_bytes
        self._opener: bytes | None = None
        self._look_at = 0  # length of the buffer at which an unfinished record is looked at again
        self._skipped: tuple[int, bytes] | None = None  # start and kept bytes of an oversize record
        self._refused: list[Slice] = []

    @property
    def pending(self) -> int:
        """Records that can be taken now."""
        return len(self._ends) + len(self._refused)

    @property
    def buffered(self) -> int:
        """Bytes held."""
        return len(self._buffer)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the document."""
        self._buffer += chunk
        self._advance()

    def close(self) -> None:
        """Say that the document has ended; its array must be closed, or the last record be so broken as to hide it."""
        if not self._closed:
            self._look_at = 0
            self._advance(final=True)
        if self._skipped:
            self._refuse(len(self._buffer))
        elif not self._closed:
            raise NotAnArchiveError(
                f"{self._where} ends at byte {self._base + len(self._buffer)} before its JSON array is closed: it is "
                "cut off. Clear the create task to have the export made again."
            )
        elif rest := bytes(self._buffer[self._parsed :]):
            self._refuse_rest(rest)

    def take(self, limit: int, cut: int | None = None) -> Slice | None:
        """Return at most ``limit`` elements, the last of them the first that reaches the offset ``cut``."""
        if not self._ends:
            return self._refused.pop(0) if self._refused else None
        count = fitting(self._starts[0], self._ends, limit, cut)
        if not count:
            return None
        starts, ends = self._starts[:count], self._ends[:count]
        del self._starts[:count], self._ends[:count]
        start = self._base
        return Slice(start, ends[-1], self._drop(ends[-1] - start), starts, ends, "array")

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
            begin = _GAP.match(self._buffer, self._parsed).end()  # type: ignore[union-attr]  # matches the empty too
            if begin == len(self._buffer):
                return
            if not self._opened:
                self._opened = True
                self._parsed = self._buffer.index(b"[", begin) + 1
            elif self._buffer[begin] == ord("]"):
                self._closed = True
                self._parsed = begin + 1
            elif not self._region(begin) and not self._one(begin, final=final):
                return

    def _region(self, begin: int) -> bool:
        """Cut the buffer from ``begin`` to its last opener into records in one call; False where that fails."""
        if self._opener is None:
            return False
        end = self._buffer.rfind(self._opener, begin + 1)
        while end > begin:
            try:
                with memoryview(self._buffer) as view:
                    raws = _array.decode(b"".join((b"[", bytes(view[begin:end]).rstrip(b", \t\r\n"), b"]")))
            except msgspec.MsgspecError as error:
                broken = _byte_of(error)
                end = self._buffer.rfind(self._opener, begin, begin + broken) if broken is not None else -1
            except RecursionError:
                return False
            else:
                self._place(begin, end, raws)
                return True
        return False

    def _place(self, begin: int, end: int, raws: list[msgspec.Raw]) -> None:
        """Note where each of ``raws`` starts and ends; they fill the buffer from ``begin`` to ``end``."""
        lengths = list(map(len, raws))
        if sum(lengths) + len(lengths) == end - begin:  # one byte between two: it can only be the comma
            starts = list(accumulate((1 + length for length in lengths[:-1]), initial=self._base + begin))
            self._starts += starts
            self._ends += map(int.__add__, starts, lengths)
        else:
            position = begin
            for length in lengths:
                position = _GAP.match(self._buffer, position).end()  # type: ignore[union-attr]  # matches the empty too
                self._starts.append(self._base + position)
                position += length
                self._ends.append(self._base + position)
        self._parsed = end

    def _one(self, begin: int, *, final: bool) -> bool:
        """Cut out the one record at ``begin``; False where more bytes are needed."""
        end = self._end_of(begin, final=final)
        if end is None:
            return self._wait(begin)
        if self._opener is None and (match := _OPENER.match(self._buffer, begin, end)):
            self._opener = match.group()
        self._starts.append(self._base + begin)
        self._ends.append(self._base + end)
        self._parsed = end
        return True

    def _end_of(self, begin: int, *, final: bool) -> int | None:
        """Return where the element at ``begin`` ends; None where the buffer ends before that is known."""
        try:
            with memoryview(self._buffer) as view:
                _value.decode(view[begin:])
        except msgspec.DecodeError as error:
            at, message = _byte_of(error), str(error)
        except RecursionError:
            at, message = None, "too deep"
        else:
            return None  # it reaches to the buffer's end: only the next byte tells whether it is whole
        if at is not None and "trailing characters" in message:
            return begin + len(bytes(self._buffer[begin : begin + at - 1]).rstrip())  # it counts from one here
        if at is not None and begin + at < len(self._buffer) - 1 and self._opener:
            following = self._next_record(begin, begin + max(at, 1))
            if following >= 0:
                return begin + len(bytes(self._buffer[begin:following]).rstrip(b", \t\r\n"))
        return self._balanced(begin, final=final)

    def _next_record(self, begin: int, broken: int) -> int:
        """Return where the record after the one that breaks at ``broken`` begins; -1 where that is not in the buffer.

        A quote that is missing shows only inside the next record, so openers before ``broken`` count too, if a whole
        record begins there.
        """
        assert self._opener is not None  # noqa: S101 - only called once it is learned
        opener = self._buffer.find(self._opener, begin + 1)
        while 0 <= opener < broken:
            with memoryview(self._buffer) as view, suppress(RecursionError):
                try:
                    _value.decode(view[opener:])
                except msgspec.DecodeError as error:
                    if "trailing characters" in str(error):
                        return opener
            opener = self._buffer.find(self._opener, opener + 1)
        return opener

    def _balanced(self, begin: int, *, final: bool) -> int | None:
        """Return where brackets and quotes balance; where ``final``, else the document's last bracket."""
        depth = 0
        for token in _STRING_OR_BRACKET.finditer(self._buffer, begin):
            if token.group() == b'"':
                break  # a string that the buffer's end cuts
            depth += token.group() in (b"{", b"[")
            depth -= token.group() in (b"}", b"]")
            if depth <= 0 and token.end() < len(self._buffer):
                return token.end() if depth == 0 else max(token.start(), begin + 1)
        last = self._buffer.rfind(b"]", begin + 1) if final else -1
        return last if last > begin else None

    def _wait(self, begin: int) -> bool:
        """Wait for more bytes of the record at ``begin``, unless it is too long already; then begin to skip it."""
        held = len(self._buffer) - begin
        self._look_at = begin + int(held * _GROWTH) + 1
        if held > self._max and not self._ends:  # the pipeline has taken the records before it
            self._skipped = (self._base + begin, bytes(self._buffer[begin : begin + KEPT_OF_OVERSIZE]))
            self._look_at = 0
            return self._end_skip()
        return False

    def _end_skip(self) -> bool:
        """Throw away an oversize record up to the next opener; False where that is not in the buffer yet."""
        end = self._buffer.find(self._opener, self._parsed + 1) if self._opener else -1
        if end >= 0:
            self._refuse(end)
            return True
        self._drop(max(0, len(self._buffer) - KEPT_OF_OVERSIZE))
        self._parsed = max(self._parsed, 0)
        return False

    def _refuse(self, end: int) -> None:
        assert self._skipped is not None  # noqa: S101 - only called while skipping
        start, kept = self._skipped
        tail = self._drop(end)[-KEPT_OF_OVERSIZE:]
        letter = oversize(start, kept, self._base - start, self._max)
        self._refused.append(Slice(start, self._base, tail, [], [], "array", [letter]))
        self._parsed = 0
        self._skipped = None

    def _refuse_rest(self, rest: bytes) -> None:
        if not rest.strip():
            return
        start = self._base + self._parsed
        letter = DeadLetter(start, rest.strip()[:KEPT_OF_OVERSIZE], "split", "after-the-end", "Bytes follow the array.")
        self._refused.append(Slice(start, start + len(rest), rest, [], [], "array", [letter]))


def _byte_of(error: Exception) -> int | None:
    """Return the place that a decoder's message names, in bytes."""
    match = _BYTE.search(str(error))
    return int(match.group(1)) if match else None
