"""Finds where a broken record of a JSON array ends, so that the records after it can be read.

A result depends only on the document's bytes, never on how much of them is in the buffer. So a resumed load cuts the
same records as one that was not interrupted. If a result needs bytes that are not there yet, it is None.

A broken record ends where its brackets balance. They may not balance, because the record is cut short or a quote is
missing. Then it ends before the next text that begins like a record: with the *opener* (``{"recordingId"``), learned
from the first few records.
"""

from __future__ import annotations

import re

import msgspec

REACH = 64 * 1024
"""Brackets have to balance within this many bytes after the break."""
LONGEST_OPENER = 512
DEEPEST = 100_000
"""Brackets that are nested deeper are not counted. Otherwise millions of them would be counted again and again."""
_OPENER = re.compile(rb'\{\s{0,200}"[^"\\{}\[\],:]{1,200}"')  # not a text that a missing quote made a key
_STRING_OR_BRACKET = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|["{}\[\]]', re.DOTALL)
_CLOSING = {b"}": b"{", b"]": b"["}
_SEPARATORS = b", \t\r\n"
_object = msgspec.json.Decoder(msgspec.Raw)


def opener_at(buffer: bytearray, begin: int) -> bytes | None:
    """Return the beginning of the object at ``begin``, up to its first key; None if there is no such object."""
    match = _OPENER.match(buffer, begin)
    return match.group() if match else None


def opener_after(buffer: bytearray, begin: int, stop: int) -> bytes | None:
    """Return the beginning of the first object in ``[begin, stop)``, up to its first key."""
    match = _OPENER.search(buffer, begin, stop)
    return match.group() if match else None


def stripped(buffer: bytearray, begin: int, end: int) -> int:
    """Return ``end`` without the separators before it."""
    while end > begin and buffer[end - 1] in _SEPARATORS:
        end -= 1
    return end


def broken_end(buffer: bytearray, begin: int, broken: int, stop: int, opener: bytes | None) -> int | None:
    """Return where the record at ``begin`` ends, whose byte at ``broken`` is wrong.

    :param buffer: has :data:`REACH` bytes after ``broken``, or reaches to ``stop`` or the document's end.
    :param stop: where a record of the greatest allowed length would end.
    """
    reach = min(broken + REACH, stop)
    following = _following(buffer, begin, broken, stop, opener)
    if buffer[begin] in b"{[":
        return balanced_end(buffer, begin, reach, opener) or following
    if following is not None and following < reach:
        return following
    return balanced_end(buffer, begin, reach, opener) or following


def balanced_end(buffer: bytearray, begin: int, stop: int, opener: bytes | None) -> int | None:
    """Return where the brackets from ``begin`` on balance, or where one closes that was not opened after ``begin``."""
    opened: list[bytes] = []
    for token in _STRING_OR_BRACKET.finditer(buffer, begin, stop):
        text = token.group()
        if text == b'"' or _holds(buffer, token, stop, opener) or len(opened) > DEEPEST:
            return None  # a quote is missing, or the brackets are nested too deep
        if opened[-1:] == [b"{"] and _follows(buffer, token, stop, opener):
            return None  # a bracket is missing
        if text in _CLOSING:
            if not opened:
                return max(stripped(buffer, begin, token.start()), begin + 1)
            if opened.pop() != _CLOSING[text]:
                return None  # a bracket is missing
        elif text in _CLOSING.values():
            opened.append(text)
        if not opened and (text in _CLOSING or token.start() == begin):
            return token.end()
    return None


def _follows(buffer: bytearray, token: re.Match[bytes], stop: int, opener: bytes | None) -> bool:
    """Whether an object begins here like a record, after a comma. Inside an object, a key would have to follow."""
    at = token.start()
    return opener is not None and buffer.startswith(opener, at, stop) and b"," in buffer[stripped(buffer, 0, at) : at]


def _holds(buffer: bytearray, string: re.Match[bytes], stop: int, opener: bytes | None) -> bool:
    """Whether what looks like a string ends inside another record's opener."""
    at = string.group().rfind(b"{", 1)
    return at > 0 and opener is not None and buffer.startswith(opener, string.start() + at, stop)


def unclosed_end(buffer: bytearray, begin: int, stop: int, opener: bytes | None) -> int | None:
    """Return where the record at ``begin``, which is not closed before ``stop``, is followed by a whole record."""
    if opener is None:
        return None
    at = buffer.find(opener, begin + 1, stop)
    while at >= 0:
        end = stripped(buffer, begin, at)
        if b"," in buffer[end:at] and _whole(buffer, at, stop):
            return end
        at = buffer.find(opener, at + 1, stop)
    return None


def _following(buffer: bytearray, begin: int, broken: int, stop: int, opener: bytes | None) -> int | None:
    """Return where the record at ``begin`` ends because another begins. A missing quote is only noticed in that one."""
    end = unclosed_end(buffer, begin, broken, opener)
    if end is None and opener is not None:
        at = buffer.find(opener, max(begin + 1, broken - len(opener)), stop)
        end = stripped(buffer, begin, at) if at >= 0 else None
    return end


def _whole(buffer: bytearray, begin: int, stop: int) -> bool:
    """Whether the object at ``begin`` is JSON and ends before ``stop``."""
    try:
        with memoryview(buffer) as view:
            _object.decode(view[begin:stop])
    except msgspec.DecodeError as error:
        return "trailing characters" in str(error)
    except RecursionError:
        return False
    return True
