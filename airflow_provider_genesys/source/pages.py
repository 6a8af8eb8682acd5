"""Reads the pages of a job's results from a checkpoint on, as slices of whole records.

Pages come one after the other. Each names the next by a cursor that only Genesys understands. The records of all
pages, joined by commas, are treated as one document, so that each record has an offset. Offsets only grow, and they
are the same each time the results are read. A load can continue in the middle of a page: the ids before its place must
be the same as before. If they are not, the load fails, and nothing is joined.
"""

from __future__ import annotations

import hashlib
import logging
from bisect import bisect_left
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timezone
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from airflow_provider_genesys.cloud.exports.base import Page
from airflow_provider_genesys.cloud.exports.progress import check_number
from airflow_provider_genesys.cloud.exports.results import page_reader
from airflow_provider_genesys.exceptions import CursorLostError, SourceChangedError, SourceRefusedError
from airflow_provider_genesys.source.broken_pages import repaired
from airflow_provider_genesys.source.position import Identity, PagePlace, Place, Position, Proof, Start
from airflow_provider_genesys.source.records import (
    ENOUGH,
    KEPT_OF_OVERSIZE,
    MAX_RECORD_BYTES,
    DeadLetter,
    Slice,
    oversize,
)
from airflow_provider_genesys.source.unpack.unpacked import MAX_UNPACKED

if TYPE_CHECKING:
    from airflow_provider_genesys.cloud.http.client import CloudClient


log = logging.getLogger(__name__)

_DIGEST_DIGITS = 32


class Pages:
    """The results of an export, which consists of one job or more.

    :param read: returns a page; arguments: the place of the job, and the cursor (None: first page).
    :param jobs: number of jobs; see :class:`~airflow_provider_genesys.cloud.exports.details.DetailsJobs`.
    """

    def __init__(self, read: Callable[[int, str | None], Page], export_id: str, *, jobs: int = 1) -> None:
        self.identity = Identity()
        self.length = 0
        """Bytes of records seen so far; at the end, of all records."""
        self._read = read
        self._export_id = export_id
        self._jobs = jobs
        self._max_record_bytes = MAX_RECORD_BYTES
        self._position = Position(page=PagePlace())

    def open_at(self, start: Start, *, max_record_bytes: int) -> Pages:
        """Go to ``start``; return this object."""
        place = start.position.page or PagePlace()
        self._position = replace(start.position, page=place)
        self.length = start.position.record_offset
        self.identity = start.source
        self._max_record_bytes = max_record_bytes
        return self

    def slices(
        self,
        limit: int,
        *,
        cut_every: int | None,
        flush_interval: float,  # noqa: ARG002 - a page comes as a whole: nothing in it has to wait
        pack_every: int | None = None,  # noqa: ARG002 - a page comes as a whole
    ) -> Generator[Slice, None, None]:
        """Yield slices of ``limit`` records, fewer where those are enough bytes, or whole pages if the sink cuts parts.

        :raises SourceChangedError: the results contradict themselves or what was read before.
        :raises SourceRefusedError: there are more pages or bytes than the limits allow.
        """
        while self._place.job < self._jobs:
            place, page = self._next_page()
            behind = self._after(page)
            for part in self._cut(page, place.index, None if cut_every else limit, behind):
                self.length = part.end
                yield part
            self._position = replace(self._position, record_offset=self.length, page=behind)

    @property
    def _place(self) -> PagePlace:
        return self._position.page or PagePlace()

    def _next_page(self) -> tuple[PagePlace, Page]:
        place = self._place
        self._check_length(place)
        try:
            page = self._read(place.job, place.cursor)
        except CursorLostError:
            if place.cursor is None:
                raise
            log.warning(
                "Export %s: its cursor is no longer valid. Reading the job's pages from the first.", self._export_id
            )
            page = self._found_again(place)
        if _digest(page.ids[: place.index]) != place.digest and place.index:
            raise self._changed(f"the first {place.index} records of page {place.ordinal + 1} have changed")
        if page.available_until:
            until = page.available_until.astimezone(timezone.utc).isoformat()
            self.identity = Identity(available_until=min(filter(None, [self.identity.available_until, until])))
        if page.listing:
            self.identity = Identity(listing=page.listing)
        return place, page

    def _check_length(self, place: PagePlace) -> None:
        """End a walk that was continued for ever, from one task to the next."""
        check_number(place.ordinal + 1, f"export {self._export_id}")
        if self.length > MAX_UNPACKED:
            raise SourceRefusedError(
                f"The pages of export {self._export_id} have more than {MAX_UNPACKED:,} bytes. Load the window in "
                "parts. If it cannot have that much, its pages have no end: report that to Genesys' support."
            )

    def _found_again(self, place: PagePlace) -> Page:
        """Read from the first page of the job to ``place``. The ids before it must be the same as before."""
        page, way = self._read(place.job, None), PagePlace(job=place.job, ordinal=place.first)
        while way.ordinal < place.ordinal and page.cursor is not None:
            way = replace(way, ordinal=way.ordinal + 1, before=_digest([way.before, *page.ids]))
            page = self._read(place.job, page.cursor)
        if (way.ordinal, way.before) != (place.ordinal, place.before):
            raise self._changed(f"the pages before page {place.ordinal + 1} have changed")
        return page

    def _after(self, page: Page) -> PagePlace:
        """Return the place of the first record after ``page``."""
        place = self._place
        if page.cursor is None:
            return PagePlace(job=place.job + 1, ordinal=place.ordinal + 1, first=place.ordinal + 1)
        before = _digest([place.before, *page.ids])
        return PagePlace(place.job, place.ordinal + 1, place.first, page.cursor, before)

    def _cut(self, page: Page, index: int, limit: int | None, behind: PagePlace) -> Iterator[Slice]:
        """Yield the records of ``page`` from ``index`` on."""
        running = hashlib.sha256(_hashed(page.ids[:index]))
        while index < len(page.records):
            until = _enough(page, index, limit) if limit else len(page.records)
            running.update(_hashed(page.ids[index:until]))
            part = self._slice(page, index, until)
            ended = until == len(page.records)
            place = behind if ended else replace(self._place, index=until, digest=_short(running))
            fetched = page.media_bytes if ended else 0
            share = place.job / self._jobs if self._jobs > 1 else None
            ends = _Ends(self._place, index, page.ids, part, place, self.identity, share, fetched)
            self._position = Position(part.end, shape="array", page=place)
            yield replace(part, places=ends)
            index = until

    def _slice(self, page: Page, index: int, until: int) -> Slice:
        """Return the records ``[index, until)`` of ``page`` as a slice of the document of all records."""
        begin = offset = self.length
        starts: list[int] = []
        ends: list[int] = []
        refused: list[DeadLetter] = []
        for number, record in enumerate(page.records[index:until], index):
            size = len(record)
            if size > self._max_record_bytes or number in page.refused:
                refused.append(self._refusal(page, number, offset))
            else:
                starts.append(offset)
                ends.append(offset + size)
            offset += size + 1
        return Slice(begin, offset, b",".join(page.records[index:until]) + b",", starts, ends, "array", refused)

    def _refusal(self, page: Page, number: int, offset: int) -> DeadLetter:
        record = page.records[number]
        if len(record) > self._max_record_bytes:
            return oversize(offset, bytes(record[:KEPT_OF_OVERSIZE]), len(record), self._max_record_bytes)
        error = page.refused[number]
        return DeadLetter(offset, bytes(record), "source", error.rule, str(error))

    def _changed(self, how: str) -> SourceChangedError:
        return SourceChangedError(
            f"The results of export {self._export_id} are not those that the load began with: {how}. Nothing was "
            "joined to what is loaded. Clear the task with on_clear='restart' to load them from their beginning."
        )


def _enough(page: Page, index: int, limit: int) -> int:
    """Return where a slice of ``page`` ends that begins at the record ``index``."""
    sizes = list(accumulate(map(len, page.records[index : index + limit])))
    return index + min(bisect_left(sizes, ENOUGH) + 1, len(sizes))


@dataclass(frozen=True)
class _Ends:
    """Implements :class:`.records.Places` for the slice ``part`` of a page, whose first record has number ``index``."""

    place: PagePlace
    index: int
    ids: Sequence[str]
    """The ids of the whole page."""
    part: Slice
    last: PagePlace
    """The place after the slice."""
    identity: Identity
    share: float | None
    """What part of the export's jobs is before that place."""
    media_bytes: int

    def at(self, end: int) -> Place:
        """Return the place just after the record that ends at ``end``. A :class:`PagePlace` has its own proof."""
        position = Position(end, shape="array", page=self._page(end))
        return Place(position, Proof(), self.identity, self.share, self.media_bytes if end == self.part.end else 0)

    def _page(self, end: int) -> PagePlace:
        if end == self.part.end:
            return self.last
        offsets = (*self.part.starts, *(letter.offset for letter in self.part.refused))
        index = self.index + sum(offset < end for offset in offsets)
        return replace(self.place, index=index, digest=_digest(self.ids[:index]))


def _digest(ids: Sequence[str]) -> str:
    """Return the digest of a sequence of ids, which may be any text."""
    return _short(hashlib.sha256(_hashed(ids)))


def _hashed(ids: Sequence[str]) -> bytes:
    return "".join([f"{len(one)}:{one}" for one in ids]).encode()


def _short(sha256: Any) -> str:
    return str(sha256.hexdigest()[:_DIGEST_DIGITS])


def open_pages(handle: dict[str, Any], client: CloudClient, *, page_size: int) -> Pages | None:
    """Return the pages of the export's results; None if its kind has a file instead of pages.

    Raises as :func:`page_reader` does.
    """
    found = page_reader(handle, client, page_size=page_size, repair=repaired)
    return Pages(found[0], handle["export_id"], jobs=found[1]) if found else None
