"""Bytes that wait to be cut: the pieces as they came, so that most bytes are copied once only, into their slice."""

from __future__ import annotations

from collections import deque

_SMALL = 16 * 1024  # bytes


class Held:
    """Bytes that are added at the end and taken from the beginning."""

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

    def take(self, length: int) -> bytes:
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
        return b"".join(taken)
