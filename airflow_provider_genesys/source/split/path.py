"""Finds the array of records inside one JSON document, such as ``{"total": 3, "entities": [{...}, {...}, {...}]}``.

ijson parses what is around the array, but never the records. They are split like those of any other array: as fast,
with the offset of each record, and around broken ones.

ijson reports no offsets. So it gets the bytes up to each ``[`` that may open the array; if one opens it, the records
begin after that byte. It gets only whole tokens, because with each piece it reads a cut token from its beginning
again. To continue in the middle of the array, it gets the brackets and keys that lead there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import ijson

from airflow_provider_genesys.exceptions import NotAnArchiveError
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.source.records import BOM, MAX_RECORD_BYTES, Slice
from airflow_provider_genesys.source.split.array import ArraySplitter

_DEEPEST = 500
"""Most levels of nesting around the records."""
_FEW = 10
"""Most keys that an error names."""
_REST_OF_STRING = rb'[^"\\]*(?:\\.[^"\\]*)*("?)'
_STRING = re.compile(_REST_OF_STRING, re.DOTALL)
_TOKEN = re.compile(rb'"' + _REST_OF_STRING + rb"|[\[\]{}]", re.DOTALL)


class PathSplitter:
    """Splits a JSON document with an array of records in it: each element is a record.

    :param path: where the array is: keys joined by dots.
    :param offset: where to enter the document, between two records.
    :param opened: whether ``offset`` is inside the array.
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
        self._around = _Around(path, where=where, longest=max_record_bytes)
        self._begin: Callable[[int], ArraySplitter] = partial(
            ArraySplitter, where=where, opened=True, opener=opener, max_record_bytes=max_record_bytes, alone=False
        )
        self._array: ArraySplitter | None = None
        self._length = offset  # bytes of the document that came so far
        if opened:
            self._around.feed(b"".join(b"{" + json.dumps(key).encode() + b":" for key in path.split(".")) + b"[")
            self._array = self._begin(offset)

    @property
    def opener(self) -> str | None:
        """What records begin with; None until it is known."""
        return self._array.opener if self._array else None

    @property
    def pending(self) -> int:
        """Records that can be taken now."""
        return self._array.pending if self._array else 0

    @property
    def reached(self) -> int:
        """Offset of the end of the last record that can be taken now."""
        return self._array.reached if self._array else 0

    @property
    def buffered(self) -> int:
        """Bytes of records held."""
        return self._array.buffered if self._array else 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the document."""
        self._length += len(chunk)
        if not self._around.inside:
            self._around.feed(chunk)
            if not self._around.inside:
                return
            chunk = self._around.rest()
            self._array = self._begin(self._length - len(chunk))
        if self._array:
            self._array.feed(chunk)
            self._leave()

    def close(self) -> None:
        """Say that the document has ended. What was pending has to be taken first."""
        if self._array:
            self._array.close()
            self._leave()
        self._around.close()

    def take(self, limit: int, cut: int | None = None) -> Slice | None:
        """Return at most ``limit`` elements. The slice ends with the first that reaches the offset ``cut``."""
        part = self._array.take(limit, cut) if self._array else None
        self._leave()
        return part

    def _leave(self) -> None:
        """Continue after the array if it has ended."""
        if self._around.inside and self._array and self._array.behind is not None:
            self._around.feed(b"]" + self._array.behind)
            self._array.behind = b""


class _Around:
    """Parses what is around the array of records.

    :param longest: most bytes of a key or a value, so that one cannot use all memory.
    """

    def __init__(self, path: str, *, where: str, longest: int) -> None:
        self._path = path
        self._where = where
        self._longest = longest
        self._wanted: list[str | None] = [*path.split(".")]
        self._events = ijson.sendable_list()
        self._parser = ijson.basic_parse_coro(self._events)
        self._place: list[str | None] = []  # for each open container, the last key
        self._held = bytearray()  # bytes that the parser has not got yet
        self._at = 0  # number of these bytes that were scanned
        self._in_string = False
        self._depth = 0
        self._found = False
        self._names: dict[str, None] = {}  # the first keys of the document itself
        self.inside = False
        """Whether the array of records is open. Then :meth:`rest` has the bytes after its bracket. Feed no more."""

    def feed(self, chunk: bytes) -> None:
        """Read up to the bracket that opens the array of records, or to the end."""
        self.inside = False
        self._held += chunk if self._depth or self._held else chunk.lstrip(BOM)
        if not self._in_string or self._end_string():
            self._read()
        if not self.inside and len(self._held) > self._longest:
            raise self._wrong(f"a key or a value is longer than {self._longest} bytes")

    def rest(self) -> bytes:
        """Return the bytes after the bracket that opened the array of records."""
        rest, self._held = bytes(self._held), bytearray()
        return rest

    def close(self) -> None:
        """Say that the document has ended."""
        self._send(len(self._held))
        try:
            self._parser.close()
        except Exception as error:
            raise self._wrong("it is cut off, or damaged") from error
        if not self._found:
            raise self._wrong(f"there is no array. {self._top()}")

    def _end_string(self) -> bool:
        match = _STRING.match(self._held, self._at)
        assert match is not None  # noqa: S101 - it matches nothing, too
        self._at = match.end()
        self._in_string = not match[1]
        return not self._in_string

    def _read(self) -> None:
        """Feed the parser with all whole tokens, up to each bracket that may open the array of records."""
        more = True
        while more and not self.inside:
            length, more = self._scanned()
            self._send(length)

    def _scanned(self) -> tuple[int, bool]:
        """Return the length of the next piece, and whether it ends with a bracket that may open the array."""
        token = None
        for token in _TOKEN.finditer(self._held, self._at):
            if token[1] is None:
                if self._opens(token[0]):
                    self._at = token.end()
                    return self._at, True
            elif not token[1]:  # a string that continues in the next chunk
                self._in_string, self._at = True, token.end()
                return token.start(), False
        whole = token.end() if token else self._at
        self._at = len(self._held)
        return max(whole, self._held.rfind(b",", whole) + 1), False

    def _opens(self, bracket: bytes) -> bool:
        self._depth += 1 if bracket in b"[{" else -1
        if self._depth > _DEEPEST:
            raise self._wrong(f"it is nested deeper than {_DEEPEST} levels")
        return bracket == b"[" and self._depth == len(self._wanted) + 1

    def _send(self, length: int) -> None:
        piece = bytes(self._held[:length])
        del self._held[:length]
        self._at -= length
        if not piece:  # it would be the end of the document
            return
        try:
            self._parser.send(piece)
        except Exception as error:
            raise self._wrong("it is not a JSON document, or has a number that is too long") from error
        for event, value in self._events:
            self._note(event, value)
        del self._events[:]

    def _note(self, event: str, value: Any) -> None:
        if event == "map_key":
            self._place[-1] = value
            if len(self._place) == 1 and len(self._names) <= _FEW:
                self._names[shown(value, 40)] = None
            return
        if event in ("end_map", "end_array"):
            self._place.pop()
            return
        if self._place == self._wanted:
            self._note_found(event)
        if event in ("start_map", "start_array"):
            self._place.append(None)

    def _note_found(self, event: str) -> None:
        if event not in ("start_array", "null"):
            raise self._wrong("the value there is not an array")
        if self._found:
            raise self._wrong("there is more than one array")
        self._found = True
        self.inside = event == "start_array"

    def _top(self) -> str:
        """Return what the document has in place of the array."""
        names = [*self._names]
        if not names:
            return "The document is no object, or an empty one"
        more = " and others" if len(names) > _FEW else ""
        return f"The document has the keys {', '.join(map(repr, names[:_FEW]))}{more}"

    def _wrong(self, what: str) -> NotAnArchiveError:
        return NotAnArchiveError(
            f"{self._where} has no records at {self._path!r} that can be read: {what}. Compare the contract's "
            "records_path with the document: it is the keys that lead to the array, joined by dots. If the document "
            "is damaged, clear the create task to create the export again."
        )
