"""Find where a record of a JSON array ends that is no JSON, so that the records behind it are found again.

Every answer depends on the document's bytes alone, never on how much of it happens to be in the buffer: a load that is
resumed has to cut the same records as one that was not. So where an answer needs bytes that are not there yet, there
is none.

Where the record has brackets, its end is where they balance; where that fails, because it is cut short or a quote is
missing, the next record begins where it looks like one: with the *opener* (``{"recordingId"``), learned from the first
few.
"""

from __future__ import annotations

import re

import msgspec

REACH = 64 * 1024
"""This many bytes behind the break brackets have to balance."""
LONGEST_OPENER = 512
DEEPEST = 100_000
"""Brackets that are nested deeper are not balanced: a bomb of them would be counted again whenever it has grown."""
_OPENER = re.compile(rb'\{\s{0,200}"[^"\\{}\[\],:]{1,200}"')  # a key, but none that a missing quote made up
_STRING_OR_BRACKET = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|["{}\[\]]', re.DOTALL)
_CLOSING = {b"}": b"{", b"]": b"["}
_SEPARATORS = b", \t\r\n"
_object = msgspec.json.Decoder(msgspec.Raw)


def opener_at(buffer: bytearray, begin: int) -> bytes | None:
    """Return what the object at ``begin`` begins with, its first key included; None where there is no such object."""
    match = _OPENER.match(buffer, begin)
    return match.group() if match else None


def opener_after(buffer: bytearray, begin: int, stop: int) -> bytes | None:
    """Return what the first object in ``[begin, stop)`` begins with."""
    match = _OPENER.search(buffer, begin, stop)
    return match.group() if match else None


def stripped(buffer: bytearray, begin: int, end: int) -> int:
    """Return ``end`` without the separators before it."""
    while end > begin and buffer[end - 1] in _SEPARATORS:
        end -= 1
    return end


def broken_end(buffer: bytearray, begin: int, broken: int, stop: int, opener: bytes | None) -> int | None:
    """Return where the record at ``begin`` ends, of which the byte at ``broken`` is wrong.

    :param buffer: holds :data:`REACH` bytes behind ``broken``, or reaches to ``stop`` or the document's end.
    :param stop: where the longest record that is allowed ends.
    """
    reach = min(broken + REACH, stop)
    following = _following(buffer, begin, broken, stop, opener)
    if buffer[begin] in b"{[":
        return balanced_end(buffer, begin, reach, opener) or following
    if following is not None and following < reach:
        return following
    return balanced_end(buffer, begin, reach, opener) or following


def balanced_end(buffer: bytearray, begin: int, stop: int, opener: bytes | None) -> int | None:
    """Return where the brackets from ``begin`` on balance, or where one closes that was not opened there."""
    opened: list[bytes] = []
    for token in _STRING_OR_BRACKET.finditer(buffer, begin, stop):
        text = token.group()
        if text == b'"' or _holds(buffer, token, stop, opener) or len(opened) > DEEPEST:
            return None  # a quote is missing, or nobody would count them
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
    """Whether an object begins here like a record and behind a comma; in an object no object can."""
    at = token.start()
    return opener is not None and buffer.startswith(opener, at, stop) and b"," in buffer[stripped(buffer, 0, at) : at]


def _holds(buffer: bytearray, string: re.Match[bytes], stop: int, opener: bytes | None) -> bool:
    """Whether what looks like a string ends in the midst of another record's opener."""
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
    """Return where the record at ``begin`` ends because another begins; a missing quote shows only in that one."""
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
