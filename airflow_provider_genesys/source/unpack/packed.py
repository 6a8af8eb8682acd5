"""The packed bytes that came and are not unpacked yet, as they are given to the members."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")
_FIRST = 1024


class Packed:
    """The bytes from ``offset`` on, in an archive of which ``received`` bytes came.

    A member is given :data:`_FIRST` bytes, and twice as many each time that it needs more. It copies what it does not
    use, which would else be the rest of a chunk, for each of thousands of small members.
    """

    def __init__(self, offset: int) -> None:
        self.offset = self.received = offset
        self.all_used = True
        """Whether the last member used all that it was given."""
        self._bytes = b""
        self._base = offset  # of the first byte
        self._size = _FIRST
        self._given = b""
        self._last = offset  # end of all that was given

    def add(self, chunk: bytes) -> None:
        """Take the next bytes of the archive."""
        self._bytes = self._bytes[self.offset - self._base :] + chunk
        self._base = self.offset
        self.received += len(chunk)

    def begin(self) -> None:
        """Note that a member begins or ends here: it is given little at first."""
        self._size = _FIRST

    def given(self) -> bytes:
        """Return the next bytes to give."""
        begin = self.offset - self._base
        self._given = self._bytes[begin : begin + self._size]
        return self._given

    def used(self, result: T, rest: bytes) -> T:
        """Note that what was given is used but for ``rest``; return ``result``."""
        self.offset += len(self._given) - len(rest)
        self._last = self.offset + len(rest)
        self._given, self.all_used = b"", not rest
        return result

    def can_give_more(self) -> bool:
        """Whether bytes are there that were not given yet. If so, give twice as many next time."""
        self._size *= 2
        return self._last < self.received
