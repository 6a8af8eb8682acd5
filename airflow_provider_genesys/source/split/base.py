"""Cuts an unpacked document into whole records, with the exact byte offset of each.

A document is NDJSON (*lines*) or one JSON *array*; its first byte decides. A splitter does not read the values of a
record. It finds where records begin and end, also around broken ones.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Literal, Protocol

from airflow_provider_genesys.exceptions import NotAnArchiveError
from airflow_provider_genesys.source.file_kinds import TELLING, is_binary, kind_of, text_kind_of
from airflow_provider_genesys.source.records import BOM, MAX_SLICE_BYTES, Slice

_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")

_WHITESPACE = b" \t\r\n"

_PACKED = (b"\x1f\x8b", b"PK\x03\x04", b"\x28\xb5\x2f\xfd")  # gzip, zip and Zstandard

_ENCODING = 4  # number of first bytes that show the encoding

_MAX_BLANK = 64 * 1024


class Splitter(Protocol):
    """Takes the document in pieces of any size and returns whole records."""

    shape: Literal["lines", "array"]

    @property
    def opener(self) -> str | None:
        """What records of an array begin with; None until it is known."""

    @property
    def pending(self) -> int:
        """Records that can be taken now."""

    @property
    def reached(self) -> int:
        """Offset of the end of the last record that can be taken now."""

    @property
    def buffered(self) -> int:
        """Bytes held."""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the document."""

    def close(self) -> None:
        """Note that the document has ended. A last record becomes pending, or raises :class:`NotAnArchiveError`."""

    def take(self, limit: int, cut: int | None = None) -> Slice | None:
        """Return at most ``limit`` records. The slice ends with the first that reaches the offset ``cut``."""


def shape_of(head: bytes, *, where: str, ended: bool = False) -> Literal["lines", "array"] | None:
    """Return the shape of the document that begins with ``head``; None if more bytes are needed.

    :param ended: whether ``head`` is the whole document.
    :raises NotAnArchiveError: it is HTML, XML, UTF-16, packed twice, a file of another kind, or blank for longer than
        any archive.
    """
    body = head.removeprefix(BOM).lstrip(_WHITESPACE)
    if len(head) < (_ENCODING if body.startswith((b"{", b"[")) else TELLING) and not (ended and body):
        return None
    if head.startswith(_PACKED):
        raise NotAnArchiveError(f"{where} is packed twice; unpack it once before it is loaded.")
    if kind := kind_of(head):
        raise _another_kind(where, kind)
    if head.startswith(_WIDE_BOMS) or b"\0" in head[:_ENCODING]:
        raise NotAnArchiveError(f"{where} is UTF-16 or UTF-32; an archive is UTF-8.")
    if is_binary(head):
        raise _another_kind(where, f"a binary file that begins with the bytes {head[:8].hex(' ')}")
    if body.startswith(b"<"):
        raise NotAnArchiveError(
            f"{where} is HTML or XML, not an archive; it begins {_excerpt(body)!r}. Open the export in Genesys Cloud, "
            "or clear the create task to make it again."
        )
    if kind := text_kind_of(head[:TELLING].removeprefix(BOM).lstrip(_WHITESPACE)):
        raise _another_kind(where, kind)
    if not body and len(head) > _MAX_BLANK:
        raise NotAnArchiveError(f"{where} begins with more than {_MAX_BLANK} bytes of white space.")
    return ("array" if body.startswith(b"[") else "lines") if body else None


def _another_kind(where: str, kind: str) -> NotAnArchiveError:
    return NotAnArchiveError(
        f"{where} is {kind}. NDJSON and JSON are read plain, or packed with gzip, zip or Zstandard. Create the export "
        "in one of these formats, and check that its URL leads to the export."
    )


def _excerpt(body: bytes) -> str:
    return body[:120].decode("ascii", "replace")


def fitting(start: int, ends: list[int], limit: int, cut: int | None) -> int:
    """Return the number of records for the next slice. They end at ``ends``; the first begins at ``start``."""
    count = min(limit, len(ends))
    if cut is not None:
        count = min(count, bisect_left(ends, cut, hi=count) + 1)
    if count and ends[count - 1] - start > MAX_SLICE_BYTES:
        count = max(1, bisect_right(ends, start + MAX_SLICE_BYTES, hi=count))
    return count
