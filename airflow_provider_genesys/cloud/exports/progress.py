"""Ends a walk over pages that does not lead on: from empty page to empty page, in a circle, or to ever more pages.

A circle is found even if its pages are cut in another way each time. A walk remembers the records of one page, and
later those of a page twice as far. In a circle all of them come again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from airflow_provider_genesys.exceptions import SourceChangedError, SourceRefusedError
from airflow_provider_genesys.limits import MOST_EMPTY, MOST_PAGES
from airflow_provider_genesys.outside import shown

_MOST_MET = 100_000
"""This many pages are noticed at once if they come again, others later."""
_ENOUGH = 10
"""Records of remembered pages that came again. Fewer may be duplicates."""
_DIGEST_BYTES = 16


class Progress:
    """The pages of one walk.

    :param what: names the walk in errors, e.g. ``job 1``.
    :param advice: for errors: what follows from them, and what to do.
    """

    def __init__(self, what: str, advice: str) -> None:
        self._what = shown(what)
        self._advice = advice
        self._begin()

    def _begin(self) -> None:
        self._pages = self._empty = self._again = self._remembered = 0
        self._next = 1  # number of the page that is remembered next
        self._met: set[bytes] = set()
        self._missing: set[int] = set()  # what did not come again of the remembered page

    def check(self, ids: Sequence[str], asked: str | None, following: str | None) -> None:
        """Note the next page.

        :param ids: ids of its records.
        :param asked: its own cursor or number; None for the first page, with which a walk may begin again.
        :param following: that of the page after it; None if it is the last.
        :raises SourceChangedError: too many pages in a row are empty, or pages come again.
        :raises SourceRefusedError: there are too many pages.
        """
        if asked is None:
            self._begin()
        self._pages += 1
        check_number(self._pages, self._what)
        self._check_empty(ids, following)
        self._check_cursor(asked, following)
        if ids:
            self._check_again(ids)

    def _check_empty(self, ids: Sequence[str], following: str | None) -> None:
        self._empty = 0 if ids or following is None else self._empty + 1
        if self._empty > MOST_EMPTY:
            raise self._none(f"{MOST_EMPTY} pages of {self._what} in a row have no record, and each names another.")

    def _check_cursor(self, asked: str | None, following: str | None) -> None:
        self._note(_digest(asked))
        if following is not None and _digest(following) in self._met:
            raise self._none(f"A page of {self._what} leads back to a page that was already read.")

    def _check_again(self, ids: Sequence[str]) -> None:
        page, found = _digest(ids), set(map(hash, ids))
        if page in self._met:
            raise self._none(f"A page of {self._what} holds the same records as a page before it.")
        if self._came_again(found):
            raise self._none(f"All records of a page of {self._what} came again on later pages.")
        self._note(page)
        if self._pages >= self._next:
            self._next, self._remembered, self._missing = 2 * self._pages, len(found), found

    def _came_again(self, found: set[int]) -> bool:
        if self._missing:
            self._missing = self._missing - found
            self._again += 0 if self._missing else self._remembered
        return self._again >= _ENOUGH

    def _note(self, digest: bytes) -> None:
        if len(self._met) < _MOST_MET:
            self._met.add(digest)

    def _none(self, how: str) -> SourceChangedError:
        return SourceChangedError(f"{how} {self._advice} If this happens again, report it to Genesys' support.")


def check_number(pages: int, what: str) -> None:
    """Raise :class:`SourceRefusedError` if a walk has more pages than the limit allows."""
    if pages > MOST_PAGES:
        raise SourceRefusedError(
            f"There are more than {MOST_PAGES:,} pages of {what}. Raise page_size, or load it in parts. If it cannot "
            "have that many records, its pages have no end: report that to Genesys' support."
        )


def _digest(of: Sequence[str] | str | None) -> bytes:
    """Return the digest of a cursor or of the ids of a page."""
    return hashlib.sha256(msgspec.json.encode(of)).digest()[:_DIGEST_BYTES]
