"""The protocols of the packings: a packed archive is a row of members, and each can be unpacked alone."""

from __future__ import annotations

from typing import Protocol

PIECE = 512 * 1024
"""Most unpacked bytes to return at a time, so that a few packed bytes cannot fill the memory."""

REMAKE = "Clear the create task to create the export again."


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
    """Whether :meth:`unpack` can return more bytes without new input."""

    def unpack(self, packed: bytes) -> tuple[bytes, bytes]:
        """Return the next bytes and the rest of ``packed``. At most :data:`PIECE` bytes, or as many as ``packed`` has.

        :raises Unreadable: the member is damaged.
        """


class ArchivePacking(Protocol):
    """How an archive is packed."""

    documents: bool
    """Whether each member is a document. If not, all members together are one."""

    def begin(self, packed: bytes) -> tuple[Member | None, bytes]:
        """Return the member that ``packed`` starts with, and the rest of ``packed``; None if its head is incomplete.

        :raises Unreadable: ``packed`` does not start with a member.
        """

    def end(self) -> None:
        """Note that the archive ends after a member. Raise :class:`Unreadable` if more has to follow."""
