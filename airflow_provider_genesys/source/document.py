"""Reads an unpacked archive from a checkpoint on, as slices of whole records.

An archive has one document; a zip file has one for each entry. Offsets count through all documents.
"""

from __future__ import annotations

import sys
import time
from bisect import bisect_right
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from operator import itemgetter

from airflow_provider_genesys.exceptions import SourceChangedError
from airflow_provider_genesys.source.base import Archive
from airflow_provider_genesys.source.position import PROVEN, Identity, Place, Position, Proof, Start, proven
from airflow_provider_genesys.source.read_ahead import Handover
from airflow_provider_genesys.source.records import ENOUGH, MAX_SLICE_BYTES, Held, Slice
from airflow_provider_genesys.source.split.array import ArraySplitter
from airflow_provider_genesys.source.split.base import Splitter, shape_of
from airflow_provider_genesys.source.split.lines import LineSplitter
from airflow_provider_genesys.source.split.path import PathSplitter
from airflow_provider_genesys.source.unpack.unpacked import Entries, Unpacked

_NEVER = 24 * 3600.0  # seconds


class Document:
    """The documents of one archive.

    :param archive: its bytes.
    :param start: where to continue. The bytes of its proof, before its position, are read again and compared.
    :param records_path: where in the document the records are; None for NDJSON and for an array.
    """

    def __init__(
        self, archive: Archive, start: Start, *, max_record_bytes: int, records_path: str | None = None
    ) -> None:
        self._archive = archive
        self._start = start
        self._where = f"The archive of export {start.export_id}"
        self._max_record_bytes = max_record_bytes
        self._records_path = records_path
        self._tail = b""  # the bytes of this document just before the position, as many as a proof covers
        self._head = b""  # the first bytes, until the shape is known
        position = start.position
        self._unpacked = Unpacked(
            archive.read(position.source_offset),
            where=self._where,
            source_offset=position.source_offset,
            entry_offset=position.entry_offset,
            packing=position.packing,
        )
        self._splitter = self._entered(position)
        self._position = position.record_offset  # where the last slice ended
        self.length = position.record_offset
        """Unpacked bytes seen so far; at the end, the length of all documents."""

    @property
    def identity(self) -> Identity:
        """What the object store said of the archive."""
        return self._archive.identity

    def slices(
        self, limit: int, *, cut_every: int | None, flush_interval: float, pack_every: int | None = None
    ) -> Generator[Slice, None, None]:
        """Yield slices of ``limit`` records at most.

        They have fewer after ``flush_interval`` seconds, at the end of a part, and without parts where enough bytes
        have come.
        """
        if pack_every:
            limit, flush_interval = sys.maxsize, _NEVER
        every = [size for size in (cut_every, pack_every) if size]
        enough = MAX_SLICE_BYTES if every else ENOUGH
        oldest = None  # when the first pending record came
        with Handover(self._proven, stop=self._archive.stop) as handover:
            while (chunk := handover.take(_left(oldest, flush_interval))) != b"":
                *ended, begun = self._by_document(chunk)
                for piece in ended:
                    self._feed(piece)
                    yield from self._rest(limit, every)
                    self._turn()
                self._feed(begun)
                flush = oldest is not None and not _left(oldest, flush_interval)
                for part in self._ready(1 if flush else limit, limit, every, enough):
                    oldest = None
                    yield part
                if oldest is None and self._splitter and self._splitter.pending:
                    oldest = time.monotonic()
            yield from self._rest(limit, every)

    def _proven(self) -> Iterator[bytes]:
        """Compare the bytes just before the position, then yield the document from the position on."""
        position, length = self._start.position, self._start.proof.length
        skip = position.record_offset - length - position.entry_offset
        with closing(iter(self._unpacked)) as chunks:
            yield from proven(chunks, skip=skip, length=length, check=self._check)

    def _check(self, before: bytes) -> None:
        proof = self._start.proof
        if not proof.holds(before):
            raise SourceChangedError(
                f"{self._where} is not the one that the load began with: the {proof.length} bytes before byte "
                f"{self._start.position.record_offset} have changed. Nothing was joined to what is loaded. Clear the "
                "task with on_clear='restart' to load it from its beginning."
            )
        self._tail = before

    def _by_document(self, chunk: bytes | None) -> list[bytes]:
        """Cut ``chunk`` where documents end. Each piece but the last is the end of a document."""
        chunk = chunk or b""
        pieces, begin, seams = [], 0, self._unpacked.seams
        while seams and seams[0] < self.length + len(chunk):
            end = seams.popleft() - self.length
            pieces.append(chunk[begin:end])
            begin = end
        return [*pieces, chunk[begin:]]

    def _turn(self) -> None:
        """Go to the next document, which may have another shape."""
        self._splitter, self._head, self._tail = None, b"", b""

    def _feed(self, chunk: bytes) -> None:
        if not chunk:
            return
        self.length += len(chunk)
        if self._splitter is None:
            self._head += chunk
            self._begin()
        else:
            self._splitter.feed(chunk)

    def _begin(self, *, ended: bool = False) -> None:
        shape = shape_of(self._head, where=self._where, ended=ended)
        if shape:
            self._splitter = self._split(shape, self.length - len(self._head))
            self._splitter.feed(self._head)
            self._head = b""

    def _entered(self, position: Position) -> Splitter | None:
        """Return the splitter that continues at ``position``; None if its document's shape is not known."""
        if position.shape is None:
            return None
        return self._split(position.shape, position.record_offset, opened=True, opener=position.opener)

    def _split(self, shape: str, offset: int, *, opened: bool = False, opener: str | None = None) -> Splitter:
        if self._records_path:
            return PathSplitter(
                self._records_path,
                offset,
                where=self._where,
                opened=opened,
                opener=opener,
                max_record_bytes=self._max_record_bytes,
            )
        if shape == "lines":
            return LineSplitter(offset, where=self._where, max_record_bytes=self._max_record_bytes)
        return ArraySplitter(
            offset, where=self._where, opened=opened, opener=opener, max_record_bytes=self._max_record_bytes
        )

    def _ready(self, least: int, limit: int, every: Sequence[int], enough: int = MAX_SLICE_BYTES) -> Iterator[Slice]:
        splitter = self._splitter
        while splitter and splitter.pending:
            cut = min(((self._position // size + 1) * size for size in every), default=None)
            reached = cut is not None and splitter.reached >= cut
            if splitter.pending < least and not reached and splitter.buffered < enough:
                return
            part = splitter.take(limit, cut)
            if part is None:
                return
            self._position = part.end
            yield replace(part, places=self._ends(part, splitter.opener))

    def _ends(self, part: Slice, opener: str | None) -> _Ends:
        before = self._tail
        entries = self._unpacked.entries(part.start - len(before), part.end)
        start = Position(part.start, packing=self._unpacked.packing, shape=part.shape, opener=opener)
        share = self._unpacked.share(part.end, self.identity.length)
        ends = _Ends(start, before, part.held, part.end, entries, self.identity, share)
        self._tail = ends.tail(part.end)
        return ends

    def _rest(self, limit: int, every: Sequence[int]) -> Iterator[Slice]:
        """Yield the remaining records when a document has ended."""
        if self._splitter is None:
            self._begin(ended=True)
        yield from self._ready(1, limit, every)
        if self._splitter:
            self._splitter.close()
        yield from self._ready(1, limit, every)


def _left(since: float | None, seconds: float) -> float:
    """Return how much of ``seconds`` is left, counted from ``since``; all of it if ``since`` is None."""
    return seconds if since is None else max(0.0, since + seconds - time.monotonic())


@dataclass(frozen=True)
class _Ends:
    """Implements :class:`.records.Places` for the slice ``[start, end)`` of a document."""

    start: Position
    """Position of the first byte, without the place at which to enter the archive."""
    before: bytes
    """The bytes just before ``start`` in the same document, as many as a proof covers."""
    data: bytes | Held
    end: int
    entries: Entries | None
    identity: Identity
    share: float | None
    """What part of a packed archive is before ``end``."""

    def at(self, end: int) -> Place:
        """Return the place just after the record that ends at ``end``."""
        tail = self.tail(end)
        source_offset, entry_offset = self._entry(end - len(tail))
        position = replace(self.start, record_offset=end, source_offset=source_offset, entry_offset=entry_offset)
        return Place(position, Proof.of(tail), self.identity, self.share)

    def tail(self, end: int) -> bytes:
        """Return the bytes just before ``end``, as many as a proof covers."""
        stop = len(self.data) - (self.end - end)  # of an oversize record, only the last bytes are here
        tail = self.data[max(0, stop - PROVEN) : stop]
        return tail if len(tail) == PROVEN else (self.before + tail)[-PROVEN:]

    def _entry(self, offset: int) -> tuple[int, int]:
        if self.entries is None:
            return offset, offset
        return self.entries[bisect_right(self.entries, offset, key=itemgetter(1)) - 1]
