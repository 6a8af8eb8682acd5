from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_genesys.cloud.exports.base import Page, Walk
from airflow_provider_genesys.cloud.http.client import CloudClient
from airflow_provider_genesys.entities.declaration import built_in, built_in_names
from airflow_provider_genesys.entities.walk import READINGS, ListingWalk
from airflow_provider_genesys.exceptions import (
    ListingMovedError,
    PermissionDeniedError,
    SourceChangedError,
    SourceRefusedError,
)
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from airflow_provider_genesys.testing.fake_genesys.listings import Looked


def pages_of(walk: ListingWalk, cursor: str | None = None) -> Iterator[Page]:
    page = walk.read(0, cursor)
    yield page
    while page.cursor is not None:
        page = walk.read(0, page.cursor)
        yield page


def read_stably(client: CloudClient, name: str, size: int) -> tuple[list[str], Walk]:
    """Walk until it holds, as a load does."""
    for reading in range(1, READINGS + 1):
        try:
            pages = list(pages_of(ListingWalk(client, built_in(name), page_size=size, accept=reading == READINGS)))
        except ListingMovedError:
            continue
        assert pages[-1].listing
        return [one for page in pages for one in page.ids], pages[-1].listing
    raise AssertionError("the last reading is accepted")


@pytest.mark.parametrize("name", built_in_names())
def test_a_walk_has_every_entity_once(name: str, genesys: FakeGenesys, client: CloudClient) -> None:
    listing, organisation = built_in(name), genesys.listings.organisation
    pages = list(pages_of(ListingWalk(client, listing, page_size=10)))
    parents: list[str | None] = [None]
    if listing.parent:
        entries = organisation.table(listing.parent.entity)
        parents = [one.id for one in entries if not listing.parent.query or one.state == "active"]
    expected = [
        "/".join(filter(None, [parent, entry.id])) for parent in parents for entry in organisation.table(name, parent)
    ]
    assert sorted(one for page in pages for one in page.ids) == sorted(expected)
    keys = {column.path for column in listing.contract.columns if column.required and column.path != "@processed_at"}
    for page in pages:
        for one, record in zip(page.ids, page.records, strict=True):
            value = json.loads(bytes(record))
            assert keys <= value.keys()
            assert value[listing.key_path] == one


@pytest.mark.parametrize("name", ["users", "teams", "external_contacts", "topics", "queue_members"])
def test_a_walk_goes_on_where_another_one_was(name: str, client: CloudClient) -> None:
    listing = replace(built_in(name), page_size=4)
    whole = list(pages_of(ListingWalk(client, listing, page_size=4)))
    assert len(whole) > 1
    for place, page in enumerate(whole[:-1], 1):
        rest = list(pages_of(ListingWalk(client, listing, page_size=4), page.cursor))
        assert [one.ids for one in rest] == [one.ids for one in whole[place:]]
        assert rest[-1].listing == whole[-1].listing


_CHANGES = st.lists(
    st.tuples(st.integers(1, 12), st.sampled_from(["create", "delete", "rename"]), st.integers(0, 30)), max_size=8
)


@given(changes=_CHANGES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("name", ["users", "external_contacts"])
def test_a_moving_listing_has_what_was_there_throughout(
    name: str, client: CloudClient, genesys: FakeGenesys, changes: list[tuple[int, str, int]]
) -> None:
    table = genesys.listings.organisation.table(name)
    while len(table) > 23:
        table.delete(next(iter(table)).id)
    while len(table) < 23:
        table.create()
    asked, stayed, ever = 0, {entry.id for entry in table}, {entry.id for entry in table}

    def change(looked: Looked) -> None:
        nonlocal asked
        asked += 1
        for when, what, which in changes:
            if when == asked and len(table):
                one = list(table)[which % len(table)].id
                if what == "create":
                    ever.add(table.create(f"New {which}"))
                elif what == "delete":
                    table.delete(one)
                    stayed.discard(one)
                else:
                    table.rename(one, f"{'AZ'[which % 2]} renamed {which}")

    genesys.listings.before_page = change
    found, walk = read_stably(client, name, 10 if name == "external_contacts" else 5)
    assert len(found) == len(set(found))
    assert set(found) <= ever
    if walk.unstable is None:
        assert stayed <= set(found)


def test_a_deletion_and_a_creation_that_balance_are_noticed(client: CloudClient, genesys: FakeGenesys) -> None:
    """Total and first page stay as they were, and yet an entity would have been missed."""
    table = genesys.listings.organisation.table("users")

    def balance(looked: Looked) -> None:
        if looked.page == 4:
            genesys.listings.before_page = lambda _: None
            table.delete(table.page(2, 5)[0].id)
            table.create("Zora, the last")

    genesys.listings.before_page = balance
    with pytest.raises(ListingMovedError, match="changed while it was read: its 5 pages held other records"):
        list(pages_of(ListingWalk(client, built_in("users"), page_size=5)))


def test_what_never_holds_still_is_said(client: CloudClient, genesys: FakeGenesys) -> None:
    table = genesys.listings.organisation.table("users")
    genesys.listings.before_page = lambda looked: table.rename(table.page(1, 1)[0].id, f"Z {id(looked)}")
    found, walk = read_stably(client, "users", 5)
    assert walk.unstable
    assert "held other records" in walk.unstable
    assert len(found) == len(set(found))


def test_below_parents_one_listing_alone_is_read_again(client: CloudClient, genesys: FakeGenesys) -> None:
    organisation = genesys.listings.organisation
    queues = [queue.id for queue in organisation.table("queues")]
    moving = organisation.table("queue_members", queues[3])
    for number in range(9):
        moving.create(f"Member {number}")

    def move(looked: Looked) -> None:
        if looked.parent == queues[3] and looked.page == 2:
            genesys.listings.before_page = lambda _: None
            moving.delete(moving.page(1, 1)[0].id)

    genesys.listings.before_page = move
    listing = replace(built_in("queue_members"), page_size=5, max_page_size=5)
    ids = [one for page in pages_of(ListingWalk(client, listing, page_size=5)) for one in page.ids]
    assert sorted(one for one in ids if one.startswith(queues[3])) == [f"{queues[3]}/{entry.id}" for entry in moving]
    asked = [seen.path for seen in genesys.requests if seen.path.endswith("/members")]
    assert sum(f"/{queues[3]}/" in path for path in asked) > 3
    assert all(sum(f"/{queue}/" in path for path in asked) < 5 for queue in queues if queue != queues[3])


def test_a_parent_that_vanishes_is_counted(client: CloudClient, genesys: FakeGenesys) -> None:
    queues = genesys.listings.organisation.table("queues")
    gone = [queue.id for queue in queues][5]

    def vanish(looked: Looked) -> None:
        if looked.parent and looked.parent < gone:
            queues.delete(gone)

    genesys.listings.before_page = vanish
    pages = list(pages_of(ListingWalk(client, built_in("queue_members"), page_size=5)))
    assert pages[-1].listing == Walk(parents=12, vanished=1)
    assert not any(one.startswith(gone) for page in pages for one in page.ids)


def test_a_path_that_leads_nowhere_below_any_parent_is_an_error(client: CloudClient, genesys: FakeGenesys) -> None:
    """Each parent alone could have been deleted meanwhile; all of them were not."""
    listing = replace(built_in("queue_members"), path="/api/v2/routing/queues/{queueId}/membres")
    with pytest.raises(SourceRefusedError, match=r"is below none of its 12 parents: Genesys answers 404 for each"):
        list(pages_of(ListingWalk(client, listing)))


def test_an_endpoint_that_ends_early_is_an_error(client: CloudClient, genesys: FakeGenesys) -> None:
    genesys.listings.page_caps["users"] = 2
    with pytest.raises(SourceRefusedError, match=r"Page 3 of the listing users cannot be had: the endpoint refuses it"):
        list(pages_of(ListingWalk(client, built_in("users"), page_size=5)))
    listing = replace(built_in("users"), page_cap=2)
    with pytest.raises(SourceRefusedError, match="is known to end at page 2"):
        list(pages_of(ListingWalk(client, listing, page_size=5)))


def test_an_endpoint_that_leaves_pages_out_is_an_error(client: CloudClient, genesys: FakeGenesys) -> None:
    body = {"entities": [{"id": "1"}], "total": 900, "pageCount": 1, "pageSize": 5, "pageNumber": 1}
    genesys.fail_next("/api/v2/users", status=200, body=body)
    with pytest.raises(SourceRefusedError, match="ended after 1 records, though Genesys says that there are 900"):
        list(pages_of(ListingWalk(client, built_in("users"), page_size=5)))


def test_a_missing_permission_is_named(client: CloudClient, genesys: FakeGenesys) -> None:
    genesys.listings.denied.add("queues")
    with pytest.raises(PermissionDeniedError, match="Reading the listing queues needs routing:queue:view"):
        list(pages_of(ListingWalk(client, built_in("queues"))))


class _Pages:
    """Answers each page with the next of these ids, and names another page after each."""

    def __init__(self, *pages: str) -> None:
        self.turn = cycle(pages)
        self.asked = 0

    def decode(self, _: str, read: Callable[[bytes], Any], **__: object) -> Any:
        self.asked += 1
        records = [{"id": one} for one in next(self.turn)]
        following = {"pageCount": self.asked + 9, "cursors": {"after": f"c{self.asked}"}}
        return read(json.dumps({"entities": records, **following}).encode())


@pytest.mark.outcome("pages", "a listing in circles, with ever new cursors or numbers", "SourceChangedError")
@pytest.mark.parametrize("name", ["users", "divisions", "group_members"])
@pytest.mark.parametrize("accept", [False, True])
@pytest.mark.parametrize("ids", [("ab",), ("ab", "cd"), ("ab", "cd", "ef")])
def test_a_listing_in_circles_ends(name: str, accept: bool, ids: tuple[str, ...]) -> None:
    client = _Pages(*ids)
    with pytest.raises(SourceChangedError, match="the same records as a page before"):
        list(pages_of(ListingWalk(cast(CloudClient, client), built_in(name), accept=accept)))
    assert client.asked == len(ids) + 1
