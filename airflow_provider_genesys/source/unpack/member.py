"""What the packings have in common: a packed archive is a row of members, and each can be unpacked on its own."""

from __future__ import annotations

from typing import Protocol

PIECE = 256 * 1024
"""Unpacked bytes handed on at a time, which bounds what one packed byte can swell to in memory."""

REMAKE = "Clear the create task to have the export made again."


class Unreadable(Exception):  # noqa: N818 - caught by Unpacked, never seen by users
    """The archive cannot be unpacked.

    :param how: what is wrong, as the end of a sentence that begins with "it" or "its".
    :param advice: what to do.
    """

    def __init__(self, how: str, advice: str = REMAKE) -> None:
        super().__init__(how)
        self.advice = advice


class Member(Protocol):
    """One gzip member, zip entry or zstd frame."""

    ended: bool
    more: bool
    """Whether it has more to give without being given more."""

    def unpack(self, packed: bytes) -> tuple[bytes, bytes]:
        """Return the next bytes, at most :data:`PIECE` or as many as ``packed`` has, and what it has not taken.

        :raises Unreadable: the member is damaged.
        """


class Packing(Protocol):
    """How an archive is packed."""

    documents: bool
    """Whether each member is a separate document, and not a piece of one."""

    def begin(self, packed: bytes) -> tuple[Member | None, bytes]:
        """Return the member that ``packed`` starts with, and what it has not taken; None where its head is cut off.

        :raises Unreadable: that is no member.
        """

    def end(self) -> None:
        """Raise :class:`Unreadable` where the archive cannot end between two members, as it does."""
