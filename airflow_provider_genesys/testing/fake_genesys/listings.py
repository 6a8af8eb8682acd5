"""Listings of entities: every one that is declared is answered, paged in its own style, from :mod:`.organisation`."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from airflow_provider_genesys.contracts.column import PROCESSED_AT, Column
from airflow_provider_genesys.entities.declaration import Listing, built_in, built_in_names, read_listing
from airflow_provider_genesys.testing.fake_genesys.messages import (
    Request,
    Response,
    api_error,
    json_response,
    missing_permissions,
)
from airflow_provider_genesys.testing.fake_genesys.organisation import DIVISIONS, Entry, Organisation, made

_MOST = 500
_DEFAULT = 25
_EPOCH = datetime(2025, 1, 1, tzinfo=timezone.utc)
WITHOUT_TOTAL = frozenset({"queue_members"})
"""Listings whose total Genesys does not report."""


@dataclass(frozen=True)
class Looked:
    """One page that is about to be answered. ``page`` counts from 1; of a listing with cursors, the pages so far."""

    entity: str
    parent: str | None
    page: int


class Listings:
    """The listings, and the changes that a test may make while they are read.

    ``listings.organisation.table("users")`` has methods to create, delete and rename.
    """

    def __init__(self, organisation: Organisation) -> None:
        self.organisation = organisation
        self.before_page: Callable[[Looked], None] = lambda _looked: None
        """Called before each page is answered."""
        self.denied: set[str] = set()
        """Names of listings for which the client lacks the permission."""
        self.page_caps: dict[str, int] = {}
        """By name: the last page that is served."""
        self._lock = threading.RLock()
        self._routes: list[tuple[re.Pattern[str], Listing]] = []
        for name in built_in_names():
            self._add(built_in(name))

    def declare(self, path: Path) -> None:
        """Answer also a listing that a user's YAML file declares."""
        self._add(read_listing(path))

    def answer(self, request: Request) -> Response | None:
        """Answer a GET of a listing; None if the path is not of a listing."""
        for pattern, listing in self._routes:
            if request.method == "GET" and (match := pattern.fullmatch(request.path)):
                with self._lock:
                    return self._answer(request, listing, *match.groups())
        return None

    def _add(self, listing: Listing) -> None:
        self._routes.append((re.compile(re.sub(r"\{\w+\}", "([^/]+)", listing.path)), listing))

    def _answer(self, request: Request, listing: Listing, parent: str | None = None) -> Response:
        if listing.name in self.denied:
            return json_response(403, missing_permissions(" or ".join(listing.permission)))
        size = int(request.query.get(listing.size_parameter, _DEFAULT))
        if not 0 < size <= (listing.max_page_size or _MOST):
            return api_error(400, f"The page size {size} is not allowed.", "invalid.page.size")
        token = request.query.get(_token(listing), "")
        page = int(token or 1) if listing.paging == "pageNumber" else 1 + token.count("+")
        self.before_page(Looked(listing.name, parent, page))
        above = listing.parent_listing()
        if parent and above and parent not in self.organisation.table(above.name):
            return api_error(404, f"There is no {parent}.", entityId=parent)
        if page > self.page_caps.get(listing.name, page):
            return api_error(400, f"The page number {page} is too high.", "invalid.page.number")
        return json_response(200, self._body(request, listing, parent, size, token, page))

    def _body(
        self, request: Request, listing: Listing, parent: str | None, size: int, token: str, page: int
    ) -> dict[str, Any]:
        table = self.organisation.table(listing.name, parent)
        if listing.paging == "one":
            return {"entities": [render(listing, entry) for entry in table]}
        state = request.query.get("state", "active")
        if listing.name == "users" and state != "any":
            return _by_number(listing, [entry for entry in table if entry.state == state], size, page, None)
        if listing.paging == "pageNumber":
            total = None if listing.name in WITHOUT_TOTAL else len(table)
            return _by_number(listing, table.page(page, size), size, page, total, found=True)
        entries = table.behind(token.rpartition("+")[2], size)
        more = bool(entries and table.behind(entries[-1].id, 1))
        after = f"{'+' * page}{entries[-1].id}" if more else None
        return {"entities": [render(listing, entry) for entry in entries], **_link(request, listing, after)}


def _token(listing: Listing) -> str:
    return {"nextUri": "nextPage"}.get(listing.paging, listing.paging)


def _link(request: Request, listing: Listing, after: str | None) -> dict[str, Any]:
    if after is None:
        return {}
    if listing.paging == "cursor":
        return {"cursors": {"after": after}}
    return {"nextUri": f"{request.path}?{urlencode({**request.query, _token(listing): after})}"}


def _by_number(
    listing: Listing, entries: list[Entry], size: int, page: int, total: int | None, *, found: bool = False
) -> dict[str, Any]:
    if not found:
        total, entries = len(entries), entries[(page - 1) * size : page * size]
    body = {"entities": [render(listing, entry) for entry in entries], "pageSize": size, "pageNumber": page}
    if total is None:
        return body | ({"nextUri": f"{listing.path}?pageNumber={page + 1}"} if len(entries) == size else {})
    return body | {"total": total, "pageCount": -(-total // size)}


def render(listing: Listing, entry: Entry) -> dict[str, Any]:
    """Return the entity as the listing shows it: every scalar that its contract names, and some of the objects."""
    values = {}
    for column in listing.contract.columns:
        if not column.path.startswith("@") and (value := _value(column, listing, entry)) is not None:
            values[column.path] = value
    return values


def _value(column: Column, listing: Listing, entry: Entry) -> Any:
    known: dict[str, Any] = {
        "id": entry.id,
        "name": entry.name,
        "email": f"user{entry.number}@example.com",
        "state": entry.state,
        "version": entry.version,
        "selfUri": f"{listing.path}/{entry.id}",
    }
    if column.path in known and not (column.path == "version" and column.type != "integer"):
        return known[column.path]
    if column.path in ("division", "user"):
        other = made("divisions", entry.number % DIVISIONS) if column.path == "division" else entry
        return {"id": other.id, "name": other.name}
    return _scalar(column, entry)


def _scalar(column: Column, entry: Entry) -> Any:
    if column.path == PROCESSED_AT or column.type == "json":
        return None
    made_up: dict[str, Any] = {
        "string": f"{column.name} {entry.number}",
        "integer": entry.number % 100,
        "number": entry.number % 10 / 2,
        "boolean": entry.number % 2 == 0,
        "timestamp": f"{_EPOCH + timedelta(hours=entry.number % 8000):%Y-%m-%dT%H:%M:%S.000Z}",
    }
    return made_up[column.type]
