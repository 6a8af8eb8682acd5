"""Rows as NDJSON, plain or in gzip."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec
from isal import isal_zlib

from airflow_provider_genesys.contracts.column_rows import ColumnRows, Row, by_column
from airflow_provider_genesys.pipeline.load import Batch
from airflow_provider_genesys.pipeline.worker import Pack
from airflow_provider_genesys.sinks.objects.parts import Table
from airflow_provider_genesys.source.records import Slice

GZIP_LEVEL = 1
"""ISA-L's level: 460 MB/s and 29 % of the size on recordings. Levels 2 and 3 are slower and hardly smaller; 0 gives 43
%."""

BLOCK = 512 * 1024
"""A gzip member may end where the source passes a multiple of this many unpacked bytes. One per block makes parts of
recordings 0.8 % larger than one for the whole part; blocks half as large 1.6 %."""

MEMBER = 256 * 1024
"""Bytes of lines that a gzip member has at least, unless the part ends. Smaller ones would pack worse."""

SLICE = 4 * BLOCK
"""Unpacked source bytes that another process packs at a time. With slices of one block the task's process takes a
quarter more CPU time (``python -m benchmarks.load URL --sink ndjson.gz --place FOLDER --processes 2``), with two blocks
a tenth, for 24 and 6 MiB less in all processes."""

_HEAD = 16
"""Bytes of a member that are packed as a block of their own. On x86, ISA-L up to 2.32 takes the hash of a stream's
third place from a register that it has not set (``.write_first_byte`` in ``igzip_icf_body_h1_gr_bt.asm``). The stack's
address is in it, so of some hundred to thousand processes or threads one finds other matches in the same lines. A block
of so few bytes does not run that code, and neither does the block after it. Packing takes 3 to 8 % longer for it."""

_GZIP_WRAPPER = 31
"""zlib's ``wbits`` for a gzip header, with a modification time of 0."""

_MEMBER_BEGINS = b"\x1f\x8b"  # a line begins with a brace


class RowEncoder:
    """Rows of a contract as NDJSON, compact, in the order of its columns.

    Timestamps are ISO 8601 with ``Z``, with six digits of fraction if there is one; decimals are JSON numbers with
    unchanged digits; ``json`` columns hold the value itself, not a string.
    """

    def __init__(self, contract: Table) -> None:
        names = {f"column_{place}": column.name for place, column in enumerate(contract.columns)}
        self._row = msgspec.defstruct("Row", list(names), rename=names, gc=False)
        self._json = [place for place, column in enumerate(contract.columns) if column.type == "json"]
        self._encoder = msgspec.json.Encoder(decimal_format="number")

    def encode(self, rows: Sequence[tuple[Any, ...]]) -> bytes:
        """Return one line for each row."""
        if not rows:
            return b""
        table = by_column(rows)
        lines = self._lines(table, msgspec.Raw, [place for place in self._json if place not in table.raw])
        # Only a json column can hold a raw line break, as white space. It is rare, so all rows are checked at once.
        known = table.one_line.issuperset(self._json)  # counting takes a third of all the encoding
        if b"\r" not in lines and (known or lines.count(b"\n") == len(rows)):
            return lines
        return self._lines(table, _on_one_line, self._json)

    def _lines(self, table: ColumnRows, embed: Callable[[Any], msgspec.Raw], places: Sequence[int]) -> bytes:
        columns = list(table.columns)
        for place in places:
            columns[place] = [None if value is None else embed(value) for value in columns[place]]
        return self._encoder.encode_lines(list(map(self._row, *columns)))


def packed_lines(contract: Table) -> Pack:
    """Return the :data:`.worker.Pack` that makes the lines that :class:`Lines` takes."""
    encode = RowEncoder(contract).encode
    return lambda pieces, _: b"".join(map(encode, pieces))


def _on_one_line(value: bytes | msgspec.Raw | str) -> msgspec.Raw:
    text = value if isinstance(value, str) else bytes(value)  # that of a child is text
    return msgspec.Raw(msgspec.json.format(text, indent=-1))


class Lines:
    """Implements :data:`Rows` for NDJSON."""

    def __init__(self, contract: Table) -> None:
        self._encoder = RowEncoder(contract)

    def pack(self, batch: Batch) -> bytes:
        """Return the rows of ``batch``."""
        return self._encoder.encode(batch.rows) if batch.packed is None else batch.packed

    def end(self) -> bytes:
        """Return nothing: nothing is held back."""
        return b""


class GzipLines:
    """Implements :data:`Rows` for NDJSON in gzip, as members one after another.

    A member ends where the source passes a multiple of :data:`BLOCK`, once it has :data:`MEMBER` bytes of lines. So it
    is the same no matter how rows are cut into batches, and another process can make it.
    """

    def __init__(self, contract: Table) -> None:
        self._plain = Lines(contract)
        self._members = _Members()

    def pack(self, batch: Batch) -> bytes:
        """Take the rows of ``batch`` and return what is ready."""
        if not batch.rows:
            return b""
        lines, members = self._plain.pack(batch), self._members
        if lines.startswith(_MEMBER_BEGINS):
            ready = members.ended(batch.offsets[0] // BLOCK)
            if not members.size:
                return ready + lines
            lines = _unpacked(lines)  # what is held goes into the first of these members
        return b"".join(members.taken(lines, batch.offsets))

    def end(self) -> bytes:
        """Return the last member."""
        return self._members.last() if self._members.size else b""


class _Members:
    """Lines, and the gzip members of them that are ready."""

    def __init__(self) -> None:
        self._held: list[bytes | memoryview] = []  # lines of the next member, not copied until it ends
        self.size = 0
        """Bytes that are held."""
        self._block = -1  # in which the last row of them begins

    def taken(self, lines: bytes, offsets: list[int]) -> Iterator[bytes]:
        """Take ``lines``, one for each of ``offsets``, and yield what is ready."""
        begin = place = 0
        while place < len(offsets):
            block = offsets[place] // BLOCK
            after = bisect_left(offsets, (block + 1) * BLOCK, place)
            end = len(lines) if after == len(offsets) else _behind(lines, begin, after - place)
            yield self.ended(block)
            self._held.append(memoryview(lines)[begin:end] if end - begin < len(lines) else lines)
            self.size += end - begin
            self._block, begin, place = block, end, after

    def ended(self, block: int) -> bytes:
        """Return the member that ends before ``block``, if one does."""
        return self.last() if block != self._block and self.size >= MEMBER else b""

    def last(self) -> bytes:
        """Return a member of all that is held."""
        held, self._held, self.size = self._held, [], 0
        return _packed(held[0] if len(held) == 1 else b"".join(held))


def _packed(lines: bytes | memoryview) -> bytes:
    view, member = memoryview(lines), isal_zlib.compressobj(GZIP_LEVEL, isal_zlib.DEFLATED, _GZIP_WRAPPER)
    head = member.compress(view[:_HEAD]), member.flush(isal_zlib.Z_SYNC_FLUSH)
    return b"".join((*head, member.compress(view[_HEAD:]), member.flush()))


def packed_members(contract: Table) -> Pack:
    """Return the :data:`.worker.Pack` for :class:`GzipLines`: members if a slice fills them, else its lines."""
    encode = RowEncoder(contract).encode

    def pack(pieces: Iterable[Sequence[Row]], part: Slice) -> bytes:
        # It ends where a member may, and probably begins there, too.
        aligned = part.starts[-1] // BLOCK != part.end // BLOCK and part.end - part.start > BLOCK // 2
        members, ready, lines, place = _Members(), list[bytes](), list[bytes](), 0
        for rows in pieces:
            lines.append(encode(rows))
            if aligned:
                ready += members.taken(lines[-1], part.starts[place : place + len(rows)])
                place += len(rows)
        ready.append(members.ended(part.end // BLOCK))
        return b"".join(lines if members.size or not aligned else ready)

    return pack


def _behind(lines: bytes, begin: int, count: int) -> int:
    """Return where the ``count`` lines end that begin at ``begin``."""
    for _ in range(count):
        begin = lines.index(b"\n", begin) + 1
    return begin


def _unpacked(members: bytes) -> bytes:
    lines, left = list[bytes](), members
    while left:
        member = isal_zlib.decompressobj(_GZIP_WRAPPER)
        lines.append(member.decompress(left))
        left = member.unused_data
    return b"".join(lines)
