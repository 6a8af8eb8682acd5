"""Find arrays of records inside one JSON document, such as ``{"total": 3, "entities": [{...}, {...}, {...}]}``.

Where they lie, a path says in the notation of ijson, which reads what lies around them. What is in them it never sees:
that is split as any other array is, as fast, with the offset of every record, and around records that are broken.

ijson tells no offsets. It is therefore given the bytes up to each ``[`` at a time: where that opens an array of
records, they begin behind it. To go on in the middle of an array it is given the brackets and keys that lead there.
"""

from __future__ import annotations

import json
from collections import deque
from itertools import chain
from typing import Any, Literal

import ijson

from airflow_provider_genesys.exceptions import NotAnArchiveError
from airflow_provider_genesys.source.records import BOM, KEPT_OF_OVERSIZE, MAX_RECORD_BYTES, MAX_SLICE_BYTES, Slice
from airflow_provider_genesys.source.split.array import ArraySplitter

ITEM = "item"
"""Stands in a path for any element of an array, as in ijson."""
_DEEPEST = 500
"""Levels of nesting around the records."""


class PathSplitter:
    """One JSON document with arrays of records in it: one record an element.

    :param path: where the arrays are: keys, and ``item`` for the elements of a list, joined by dots.
    :param offset: where the document is entered, between two records.
    :param opened: whether that is inside an array of records.
    :param where: the archive, for errors.
    :param opener: see :class:`.array.ArraySplitter`.
    """

    shape: Literal["lines", "array"] = "array"

    def __init__(
        self,
        path: str,
        offset: int = 0,
        *,
        where: str,
        opened: bool = False,
        opener: str | None = None,
        max_record_bytes: int = MAX_RECORD_BYTES,
    ) -> None:
        self._where = where
        self._max = max_record_bytes
        self._around = _Around(path, where=where, inside=opened, longest=max_record_bytes)
        self._length = offset  # of the document, as far as it came
        self._position = offset  # where the last slice ended
        self._way = b""  # what was read since the last array; of that the end, as much as a proof covers
        self._opener = opener
        self._array: ArraySplitter | None = None
        self._parts: deque[ArraySplitter | _Way] = deque()
        self._next: Slice | None = None  # it came out of its part, and did not fit to those before it
        if opened:
            self._open(offset)

    @property
    def opener(self) -> str | None:
        """What records begin with, as far as that is known."""
        return self._array.opener if self._array else self._opener

    @property
    def pending(self) -> int:
        """Records, and ways between arrays, that can be taken now."""
        return sum(part.pending for part in self._parts) + (self._next is not None)

    @property
    def buffered(self) -> int:
        """Bytes held."""
        return sum(part.buffered for part in self._parts)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the document."""
        self._length += len(chunk)
        if self._array:
            self._array.feed(chunk)
        else:
            self._walk(chunk)
        self._leave()

    def close(self) -> None:
        """Say that the document has ended. What was pending has to be taken first."""
        if self._array:
            self._array.close()
            self._leave()
        self._around.close()

    def take(self, limit: int, cut: int | None = None) -> Slice | None:
        """Return at most ``limit`` elements, and what lies between them where that is short."""
        joined: list[Slice] = []
        while part := self._taken(limit - sum(len(part.starts) for part in joined), cut):
            if not _fits(joined, part):
                self._next = part
                break
            joined.append(part)
            self._position = part.end
            if sum(len(part.starts) for part in joined) == limit or (cut is not None and part.end >= cut):
                break
        self._leave()
        return _join(joined)

    def _taken(self, limit: int, cut: int | None) -> Slice | None:
        """Return the next slice of one array, or the way to the next array as one without records."""
        if self._next:
            part, self._next = self._next, None
            return part
        while self._parts:
            first = self._parts[0]
            if isinstance(first, _Way):
                self._parts.popleft()
                return first.slice(self._position)
            taken = first.take(limit, cut)
            if taken or first is self._parts[-1]:
                return taken
            self._parts.popleft()
        return None

    def _leave(self) -> None:
        """Go on behind each array that has ended."""
        while self._array and self._array.behind:
            self._way, rest = self._array.behind
            self._opener, self._array = self._array.opener, None
            self._walk(b"]" + rest)

    def _walk(self, chunk: bytes) -> None:
        """Read on around the records, up to the next array of them, and give that what is left."""
        length = self._around.feed(chunk)
        self._way = (self._way + chunk[:length])[-KEPT_OF_OVERSIZE:]
        if self._around.inside:
            begin = self._length - (len(chunk) - length)
            self._parts.append(_Way(begin, self._way))
            self._open(begin).feed(chunk[length:])

    def _open(self, begin: int) -> ArraySplitter:
        self._array = ArraySplitter(
            begin, where=self._where, opened=True, opener=self._opener, max_record_bytes=self._max, alone=False
        )
        self._parts.append(self._array)
        return self._array


class _Way:
    """What lies between two arrays: bytes without records, of which the last are kept for the checkpoint's proof."""

    pending = 1

    def __init__(self, end: int, last_bytes: bytes) -> None:
        self._end = end
        self._last_bytes = last_bytes
        self.buffered = len(last_bytes)

    def slice(self, start: int) -> Slice:
        return Slice(start, self._end, self._last_bytes[start - self._end :], [], [], "array")


def _fits(joined: list[Slice], part: Slice) -> bool:
    """Tell whether ``part`` can be in one slice with those before it: all bytes have to be there, and not too many."""
    if not joined:
        return True
    return _is_whole(joined[-1]) and _is_whole(part) and part.end - joined[0].start <= MAX_SLICE_BYTES


def _is_whole(part: Slice) -> bool:
    return len(part.data) == part.end - part.start and not part.refused


def _join(parts: list[Slice]) -> Slice | None:
    if len(parts) < 2:  # noqa: PLR2004 - nothing to join
        return parts[0] if parts else None
    starts, ends = (list(chain.from_iterable(lists)) for lists in ([p.starts for p in parts], [p.ends for p in parts]))
    return Slice(parts[0].start, parts[-1].end, b"".join(part.data for part in parts), starts, ends, "array")


class _Around:
    """What lies around the arrays of records.

    :param inside: begin inside an array of records.
    :param longest: bytes without a whole token at most, so that one cannot take all memory.
    """

    def __init__(self, path: str, *, where: str, inside: bool, longest: int) -> None:
        self._path = path
        self._where = where
        self._longest = longest
        self._wanted: list[Any] = [_LIST if key == ITEM else key for key in path.split(".")]
        self._events = ijson.sendable_list()
        self._parser = ijson.basic_parse_coro(self._events)
        self._place: list[Any] = []  # of the containers that are open: the key that was met last, or _LIST
        self._found = False
        self._begun = False
        self._unread = 0
        self.inside = False
        """Whether an array of records is open."""
        if inside:
            self._send(self._lead())

    def feed(self, chunk: bytes) -> int:
        """Read up to the next array of records; return how many bytes that were: all, where none begins."""
        self.inside = False
        begin = 0 if self._begun else len(chunk) - len(chunk.lstrip(BOM))
        while begin < len(chunk):
            end = chunk.find(b"[", begin) + 1 or len(chunk)
            self._send(chunk[begin:end])
            begin = end
            if self.inside:
                break
        return begin

    def close(self) -> None:
        """Say that the document has ended."""
        try:
            self._parser.close()
        except Exception as error:
            raise self._wrong("it is cut off, or damaged") from error
        if not self._found:
            raise self._wrong("there is no array")

    def _lead(self) -> bytes:
        """Return what leads to an array of records, and nothing else."""
        steps = [b"[" if key is _LIST else b"{" + json.dumps(key).encode() + b":" for key in self._wanted]
        return b"".join(steps) + b"["

    def _send(self, piece: bytes) -> None:
        self._begun = True
        try:
            self._parser.send(piece)
        except Exception as error:
            raise self._wrong("it is no JSON document, or has a number that is too long") from error
        self._unread = 0 if self._events else self._unread + len(piece)
        if self._unread > self._longest:
            raise self._wrong(f"a key or a value is longer than {self._longest} bytes")
        for event, value in self._events:
            self._note(event, value)
        del self._events[:]

    def _note(self, event: str, value: Any) -> None:
        if event == "map_key":
            self._place[-1] = value
            return
        if event in ("end_map", "end_array"):
            self._place.pop()
            return
        here = self._place == self._wanted
        if event in ("start_map", "start_array"):
            self._place.append(_LIST if event == "start_array" else None)
            if len(self._place) > _DEEPEST:
                raise self._wrong(f"it is nested deeper than {_DEEPEST} levels")
        if here:
            self._found = True
            self.inside = event == "start_array"
            if event not in ("start_array", "null"):
                raise self._wrong("what is there is no array")

    def _wrong(self, what: str) -> NotAnArchiveError:
        return NotAnArchiveError(
            f"{self._where} has no records at {self._path!r} that can be read: {what}. Compare the contract's "
            "records_path with the document; it is written as ijson writes paths. Where the document is damaged, clear "
            "the create task to have the export made again."
        )


class _List:
    """Equal to nothing but itself, so that a key called ``item`` is not taken for a list."""


_LIST = _List()
