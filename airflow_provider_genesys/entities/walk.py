"""Reads the pages of a listing as the source of a load; if it has parents, below each of them.

One page is consistent, several numbered ones are not: a record that is created or deleted meanwhile shifts all that
follow, so that one record is read twice and another never. So numbered pages are read a second time after the last one,
and have to show the same ids. Pages with a cursor do not shift: the cursor names the record before the page. A listing
that changed is read again as a whole; below parents, only that of the one parent.

A load continues from the cursor of its page. The cursor names a place in the listing, not an index into the parents.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice, repeat
from typing import TYPE_CHECKING

import msgspec

from airflow_provider_genesys.cloud.exports.base import Page, Walk
from airflow_provider_genesys.cloud.http.errors import is_of_one
from airflow_provider_genesys.cloud.http.one_of_many import asked_for_one
from airflow_provider_genesys.cloud.http.paths import path_step
from airflow_provider_genesys.entities.answers import Answer, Pager
from airflow_provider_genesys.entities.declaration import KEY, PARENT, Listing
from airflow_provider_genesys.exceptions import (
    CloudError,
    ConfigurationError,
    GenesysError,
    ListingMovedError,
    NotFoundError,
    RecordError,
    SourceError,
    SourceRefusedError,
)
from airflow_provider_genesys.limits import LONGEST_PAGE, MOST_HELD
from airflow_provider_genesys.outside import shown
from airflow_provider_genesys.resolved import resolved
from airflow_provider_genesys.source.pages import Pages

if TYPE_CHECKING:
    from airflow_provider_genesys.cloud.http.client import CloudClient

log = logging.getLogger(__name__)

_NOTHING = memoryview(b"")
_NO_MEMBERS = memoryview(b"{}")
_WITHOUT_ID = "It has no id that a request could name, so what is below it cannot be asked for."
_NO_ID = "@"
"""What the name of a parent without an id begins with; a digest follows."""
_FAILING = 10
"""If none of this many parents in a row can be read, the fault is not in single ones."""
UNAVAILABLE = "listing-unavailable"
"""The rule of a parent whose listing Genesys does not give."""
READINGS = 3
"""How often a listing is read before its changes are accepted and noted in the certificate."""


@resolved
class _WalkState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The progress of a walk; used as the cursor of a page.

    :param at: where the next page begins; None for the first.
    :param pages: pages read so far.
    :param count: records read so far.
    :param ids: digest of their ids, over all pages.
    :param total: number of records according to the first page.
    :param parent: id of the newest parent whose listing was read; parents are read in the order of their ids.
    :param vanished: parents that no longer existed.
    :param readable: whether the listing of a parent was read.
    :param failing: parents in a row, up to the newest, whose listings Genesys did not give.
    :param unstable: listings that kept changing.
    """

    at: str | None = None
    pages: int = 0
    count: int = 0
    ids: str = ""
    total: int | None = None
    parent: str = ""
    vanished: int = 0
    readable: bool = False
    failing: int = 0
    unstable: str | None = None


class ListingWalk:
    """One walk over a listing.

    :param page_size: records per page; below parents, the least number of records in a page of the walk.
    :param accept: whether a listing that changed is accepted as it was read, each key once.
    """

    def __init__(
        self, client: CloudClient, listing: Listing, *, page_size: int | None = None, accept: bool = False
    ) -> None:
        self._client = client
        self._listing = listing
        self._pager = Pager(client, listing, page_size)
        self._page_size = page_size or listing.page_size
        self._accept = accept
        self._seen: set[str] = set()
        self._parent_ids: list[str] | None = None
        self._parents_moved: str | None = None

    def pages(self, export_id: str) -> Pages:
        """Return the walk as the pages that a load reads."""
        return Pages(self.read, export_id)

    def read(self, _job: int, cursor: str | None) -> Page:
        """Return the page that ``cursor`` names, a :attr:`Page.cursor` of this walk or of an earlier one.

        :raises ListingMovedError: an entity may have been missed.
        :raises SourceRefusedError: the endpoint gives no more pages, though there are more records.
        """
        place = msgspec.json.decode(cursor, type=_WalkState) if cursor else _WalkState()
        return self._below_parents(place) if self._listing.parent else self._alone(place)

    def _alone(self, place: _WalkState) -> Page:
        answer = self._pager.ask(place.at)
        place = _behind(place, answer)
        if answer.after is None and (moved := _ended(self._pager, place)):
            if not self._accept:
                raise ListingMovedError(f"The listing {self._listing.name} changed while it was read: {moved}.")
            place = msgspec.structs.replace(place, unstable=moved)
        ids, records = self._distinct(answer) if self._accept else (answer.ids, answer.records)
        walk = Walk(total=place.total, unstable=place.unstable)
        return Page(ids, records, _cursor(place) if answer.after else None, listing=walk)

    def _distinct(self, answer: Answer) -> tuple[list[str], list[memoryview]]:
        """Return the records whose ids were on no earlier page."""
        new = {one: record for one, record in zip(answer.ids, answer.records, strict=True) if one not in self._seen}
        self._seen.update(new)
        _check_held(self._listing, len(self._seen))
        return list(new), list(new.values())

    def _below_parents(self, place: _WalkState) -> Page:
        """Read the listings of the next parents until there are enough records for a page.

        A parent whose listing Genesys does not give is a record that is rejected.
        """
        ids: list[str] = []
        records: list[memoryview] = []
        refused: dict[int, RecordError] = {}
        for parent in (behind := self._parents_behind(place.parent)):
            try:
                found, place = self._of_parent(parent, place)
            except (CloudError, SourceError, ConfigurationError) as error:
                place = self._without(parent, place, error)
                refused[len(records)] = RecordError(UNAVAILABLE, str(error))
                found = {"": _NO_MEMBERS}
            ids += [f"{parent}/{one}" for one in found]
            records += [_below(parent, one, record) for one, record in found.items()]
            if len(records) >= self._page_size:
                break
        if place.vanished and place.vanished == len(self._parents()):
            raise self._nowhere(place.vanished)
        more = place.parent != "" and bool(behind) and place.parent != behind[-1]
        unstable = place.unstable or self._parents_moved
        walk = Walk(parents=len(self._parents()), vanished=place.vanished, unstable=unstable)
        return Page(ids, records, _cursor(place) if more else None, refused=refused, listing=walk)

    def _of_parent(self, parent: str, place: _WalkState) -> tuple[dict[str, memoryview], _WalkState]:
        place = msgspec.structs.replace(place, parent=parent)
        if parent.startswith(_NO_ID):
            raise ConfigurationError(_WITHOUT_ID)
        try:
            found, moved = asked_for_one(lambda: _whole(self._pager, parent), self._others(parent))
        except NotFoundError:
            log.info("%s: %s is gone; its listing is left out.", self._listing.name, shown(parent, 80))
            return {}, msgspec.structs.replace(place, vanished=place.vanished + 1)
        return found, msgspec.structs.replace(place, unstable=moved or place.unstable, readable=True, failing=0)

    def _others(self, parent: str) -> Iterator[Callable[[], object]]:
        """Yield requests for the listings of a parent's neighbours."""
        parents = [one for one in self._parents() if one == parent or not one.startswith(_NO_ID)]
        place = parents.index(parent)
        for other in (*reversed(parents[max(0, place - 2) : place]), *parents[place + 1 : place + 3]):
            yield partial(self._pager.ask, None, other)

    def _without(self, parent: str, place: _WalkState, error: GenesysError) -> _WalkState:
        """Return the place after a parent whose listing Genesys does not give; raise ``error`` if it gives none."""
        if not _is_of_parent(error, parent):
            raise error
        failing = place.failing + 1
        if failing >= _FAILING or (parent == self._parents()[-1] and not place.readable):
            raise error
        log.warning("%s: the listing of %s is left out: %s", self._listing.name, shown(parent, 80), error)
        return msgspec.structs.replace(place, parent=parent, failing=failing)

    def _nowhere(self, parents: int) -> SourceRefusedError:
        return SourceRefusedError(
            f"The listing {self._listing.name} is below none of its {parents} parents: Genesys answers 404 for each. "
            f"See whether its path is right: {self._listing.path}. Nothing was marked as deleted."
        )

    def _parents_behind(self, newest: str) -> list[str]:
        return [parent for parent in self._parents() if parent > newest]

    def _parents(self) -> list[str]:
        """Return the ids of all parents, in order."""
        if self._parent_ids is None:
            listing = self._listing.parent_listing()
            assert listing is not None  # noqa: S101 - for the type checker
            found, moved = _whole(Pager(self._client, listing), None, keep=False)
            self._parents_moved = f"of {listing.name}, {moved}" if moved else None
            self._parent_ids = sorted(map(_named, found))
        return self._parent_ids


def _named(parent: str) -> str:
    """Return a parent's id, or a name for it if a path cannot have its id."""
    try:
        path_step(parent, "a parent")
    except ConfigurationError:
        return _NO_ID + hashlib.sha256(parent.encode()).hexdigest()[:32]
    return parent


def _is_of_parent(error: GenesysError, parent: str) -> bool:
    """Whether a single parent may be the cause of the error."""
    if isinstance(error, ConfigurationError):
        return parent.startswith(_NO_ID)
    return is_of_one(error) if isinstance(error, CloudError) else True


def _whole(pager: Pager, parent: str | None, *, keep: bool = True) -> tuple[dict[str, memoryview], str | None]:
    """Read a whole listing into memory, again if it changes. Return its records by id, and how it still changed.

    :param keep: whether the records are returned, or only their ids.
    """
    for _ in range(READINGS):
        place, found, size = _WalkState(), dict[str, memoryview](), 0
        for answer in _answers(pager, parent):
            place = _behind(place, answer)
            found.update(zip(answer.ids, answer.records if keep else repeat(_NOTHING), strict=False))
            size += sum(map(len, answer.records)) if keep else 0
            _check_held(pager.listing, len(found), size)
        moved = _ended(pager, place, parent)
        if not moved:
            break
    return found, moved


def _check_held(listing: Listing, count: int, size: int = 0) -> None:
    if count > MOST_HELD or size > LONGEST_PAGE:
        raise SourceRefusedError(
            f"The listing {listing.name} has more than {MOST_HELD:,} records or {LONGEST_PAGE:,} bytes that have to be "
            "in memory at once. Nothing was marked as deleted. Narrow it by a query of a declaration of your own, and "
            "load it in parts."
        )


def _ended(pager: Pager, place: _WalkState, parent: str | None = None) -> str | None:
    """Return how a listing changed while it was read up to its end ``place``; None if it did not."""
    if place.pages > 1 and pager.listing.paging == "pageNumber":
        again = _WalkState()
        for answer in islice(_answers(pager, parent), place.pages + 1):
            again = _behind(again, answer)
        if again.total != place.total:
            return f"there were {place.total} records at first, and {again.total} when they were read again"
        if again.ids != place.ids:
            return f"its {place.pages} pages held other records when they were read again"
    if error := pager.short(place.count, place.total):
        raise error
    return None


def _answers(pager: Pager, parent: str | None) -> Iterator[Answer]:
    answer = pager.ask(None, parent)
    yield answer
    while answer.after is not None:
        answer = pager.ask(answer.after, parent)
        yield answer


def _behind(place: _WalkState, answer: Answer) -> _WalkState:
    """Return the place after the page ``answer``, which was read at ``place``."""
    return msgspec.structs.replace(
        place,
        at=answer.after,
        pages=place.pages + 1,
        count=place.count + len(answer.ids),
        ids=_digest(place.ids, answer.ids),
        total=place.total if place.pages else answer.total,
    )


def _digest(before: str, ids: Sequence[str]) -> str:
    return hashlib.sha256(msgspec.json.encode([before, *ids])).hexdigest()[:32]


def _below(parent: str, one: str, record: memoryview) -> memoryview:
    """Add to a record its parent's id, and a key that no other record has."""
    own = msgspec.json.encode({KEY: f"{parent}/{one}", PARENT: parent})
    rest = bytes(record).strip()[1:]
    return memoryview(own[:-1] + (b"" if rest[:1] == b"}" else b",") + rest)


def _cursor(place: _WalkState) -> str:
    return msgspec.json.encode(place).decode()
