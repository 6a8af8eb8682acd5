"""One page of a listing: its request and its response."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import msgspec

from airflow_provider_genesys.cloud.exports.base import Page, check_cursor
from airflow_provider_genesys.cloud.exports.elements import RecordIds, check_once, cursor_of
from airflow_provider_genesys.cloud.exports.page_body import read_body
from airflow_provider_genesys.cloud.exports.progress import Progress
from airflow_provider_genesys.cloud.http.no_answer import Doubt
from airflow_provider_genesys.cloud.http.paths import path_step
from airflow_provider_genesys.cloud.http.shapes import query_of
from airflow_provider_genesys.entities.declaration import Listing
from airflow_provider_genesys.exceptions import (
    PermissionDeniedError,
    RequestRefusedError,
    SourceRefusedError,
)
from airflow_provider_genesys.source.broken_pages import repaired

if TYPE_CHECKING:
    from airflow_provider_genesys.cloud.http.client import CloudClient


_COUNTS = ("total", "pageCount", "pageSize")

Parameters = dict[str, str | int | bool]


@dataclass(frozen=True)
class Answer:
    """One page of a listing.

    :param ids: ids of the ``records``, in their order. A record without an id has its bytes instead.
    :param total: number of records in all pages; None if Genesys does not say.
    :param after: where the next page begins; None on the last page.
    """

    ids: list[str]
    records: list[memoryview]
    total: int | None
    after: str | None

    def __post_init__(self) -> None:
        check_cursor(self.after)


class _Cursors(msgspec.Struct):
    after: msgspec.Raw = msgspec.Raw()


class Pager:
    """Asks for the pages of one listing.

    :param page_size: records per page; None for the declared number.
    """

    def __init__(self, client: CloudClient, listing: Listing, page_size: int | None = None) -> None:
        self._client = client
        self._walk = Progress(f"the listing {listing.name}", "Nothing was marked as deleted.")
        self.listing = listing
        self._size = min(page_size or listing.page_size, listing.max_page_size or listing.page_size)
        members: list[Any] = [("records", list[msgspec.Raw], msgspec.field(default_factory=list))]
        members += [(name, int | None, None) for name in _COUNTS]
        members += [("nextUri", str | None, None), ("cursor", msgspec.Raw, msgspec.Raw())]
        members += [("cursors", _Cursors | None, None)]
        body = msgspec.defstruct("Body", members, rename={"records": listing.records})
        self._bodies = msgspec.json.Decoder(body, strict=False)  # counts may be texts
        self._members = {listing.records, "nextUri", "cursor", "cursors", *_COUNTS}
        self._ids = RecordIds(listing.key)

    def ask(self, at: str | None, parent: str | None = None) -> Answer:
        """Ask for a page.

        :param at: :attr:`Answer.after` of the page before; None for the first.
        :param parent: id of the parent that the listing is below.
        :raises NotFoundError: the parent no longer exists.
        :raises PermissionDeniedError: the message names the permission that is needed.
        :raises SourceRefusedError: the endpoint gives no page with so high a number.
        :raises SourceChangedError: too many pages in a row are empty, or a page is one that was read before.
        """
        number = int(at or 1) if self.listing.paging == "pageNumber" else 1
        if self.listing.page_cap and number > self.listing.page_cap:
            raise self._capped(number, f"is known to end at page {self.listing.page_cap}")
        try:
            read = partial(self._read, number, Doubt())
            answer = self._client.decode(self._path(parent), read, params=self._parameters(at))
        except PermissionDeniedError as error:
            raise self._denied(error) from error
        except RequestRefusedError as error:
            if number == 1:
                raise
            raise self._capped(number, f"refuses it ({error})") from error
        self._walk.check(answer.ids, at, answer.after)
        return answer

    def short(self, count: int, total: int | None) -> SourceRefusedError | None:
        """Return the error for a listing that ended after ``count`` records, fewer than ``total``."""
        if total is None or total - count < self._size or self.listing.paging == "one":
            return None
        return SourceRefusedError(
            f"The listing {self.listing.name} ended after {count} records, though Genesys says that there are "
            f"{total}: the endpoint gives no more pages. Nothing was marked as deleted. Narrow the listing by a query "
            "of a declaration of your own, and load it in parts."
        )

    def _path(self, parent: str | None) -> str:
        if parent is None or self.listing.parent is None:
            return self.listing.path
        step = path_step(parent, f"anything that {self.listing.name} lies below")
        return self.listing.path.replace(f"{{{self.listing.parent.path}}}", step)

    def _parameters(self, at: str | None) -> Parameters:
        listing = self.listing
        asked: Parameters = {name: _text(value) for name, value in listing.query.items()}
        if listing.sort:
            asked["sortBy"] = listing.sort
        if listing.paging == "one":
            return asked
        asked[listing.size_parameter] = self._size
        if listing.paging == "pageNumber":
            asked["pageNumber"] = at or "1"
        elif listing.paging == "nextUri" and at:
            asked |= {name: values[-1] for name, values in parse_qs(at).items()}
        elif at:
            asked[listing.paging] = at
        return asked

    def _read(self, number: int, doubt: Doubt, body: bytes) -> Answer:
        """Return a page. Records that are no JSON come last, and are rejected later."""
        answers: list[Answer] = []

        def read(whole: bytes) -> Page:
            answers.append(self._answer(whole, number))
            return Page(answers[-1].ids, answers[-1].records)

        what, member, id_of = f"A page of {self.listing.name}", self.listing.records, self._ids.of_broken
        page = read_body(body, what, member=member, read=read, id_of=id_of, repair=repaired, doubt=doubt)
        return replace(answers[-1], ids=page.ids, records=list(page.records))

    def _answer(self, body: bytes, number: int) -> Answer:
        check_once(body, self._members)
        page: Any = self._bodies.decode(body)
        records = [memoryview(raw) for raw in page.records]
        after = self._after(page, number, len(records))
        return Answer([self._ids.of(record) for record in records], records, page.total, after)

    def _after(self, page: Any, number: int, count: int) -> str | None:
        paging = self.listing.paging
        if paging == "one":
            return None
        if paging == "pageNumber":
            return str(number + 1) if self._more(page, number, count) else None
        query = query_of(page.nextUri)
        if paging == "nextUri":
            return query
        named = parse_qs(query or "").get(paging, [None])[-1]
        return cursor_of(page.cursor) or (cursor_of(page.cursors.after) if page.cursors else None) or named

    def _more(self, page: Any, number: int, count: int) -> bool:
        """Whether there is another page, as far as the response says."""
        if page.pageCount is not None:
            return bool(number < page.pageCount)
        size = page.pageSize or self._size
        if page.total is not None:
            return bool(number * size < page.total)
        return bool(count) and (bool(page.nextUri) or count >= size)

    def _denied(self, error: PermissionDeniedError) -> PermissionDeniedError:
        needed = " or ".join(self.listing.permission)
        advice = f" Reading the listing {self.listing.name} needs {needed}." if needed else ""
        return PermissionDeniedError(
            f"{error}{advice}", status=error.status, code=error.code, correlation_id=error.correlation_id
        )

    def _capped(self, number: int, why: str) -> SourceRefusedError:
        return SourceRefusedError(
            f"Page {number} of the listing {self.listing.name} cannot be had: the endpoint {why}. Nothing was marked "
            "as deleted. Narrow the listing by a query of a declaration of your own, and load it in parts."
        )


def _text(value: Any) -> str | int | bool:
    return ",".join(map(str, value)) if isinstance(value, list) else value
