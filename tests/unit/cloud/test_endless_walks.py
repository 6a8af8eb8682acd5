"""A walk over pages ends, whatever the server says: with ever new records, with the same ones cut in another way each
time, or with empty pages. A long walk that leads on is read to its end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any, cast

import pytest

from airflow_provider_genesys.backfill.sample import read_sample
from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.exports.base import ExportRequest, QueryFamily
from airflow_provider_genesys.cloud.exports.registry import family
from airflow_provider_genesys.cloud.http.client import CloudClient
from airflow_provider_genesys.entities.declaration import built_in
from airflow_provider_genesys.entities.walk import ListingWalk
from airflow_provider_genesys.exceptions import GenesysError, SourceChangedError, SourceRefusedError
from airflow_provider_genesys.media.index import of_retention
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.source.pages import Pages, open_pages
from airflow_provider_genesys.source.position import PagePlace, Position
from airflow_provider_genesys.source.records import MAX_RECORD_BYTES
from airflow_provider_genesys.source.unpack.unpacked import MAX_UNPACKED

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)
SIZE = 20
MOST = 60
Ids = Callable[[int], list[int]]
"""Returns the numbers of the records of a page, given its number from 0 on."""


class Server:
    """Answers each page with the records of the next one and a new cursor, up to ``last``."""

    def __init__(self, config: CloudConfig, ids: Ids, last: int | None = None) -> None:
        self.config, self._ids, self._last = config, ids, last
        self.asked = 0

    def request(self, method: str, path: str, **options: Any) -> Any:
        if method == "POST":
            return {"jobId": "j"}
        if path.endswith("/jobs/j"):
            return {"state": "FULFILLED", "totalFailedRecordings": 1}
        return json.loads(self.page(path, params=options.get("params")))

    def decode(self, path: str, read: Callable[[bytes], Any], *, params: dict[str, Any] | None = None) -> Any:
        return read(self.page(path, params=params))

    def page(self, path: str, *, params: dict[str, Any] | None = None) -> bytes:
        if path == "/api/v2/groups":
            return b'{"entities": [{"id": "g"}], "pageCount": 1}'
        first = not (params or {}).keys() & {"cursor", "after"} and (params or {}).get("pageNumber", "1") == "1"
        self.asked = 1 if first else self.asked + 1
        records = [self.record(one) for one in self._ids(self.asked - 1)]
        ended = self._last is not None and self.asked >= self._last
        following = (
            {} if ended else {"cursor": f"c{self.asked}", "nextUri": f"/x?cursor=c{self.asked}&after=c{self.asked}"}
        )
        names = ("conversations", "userDetails", "entities", "results")
        return json.dumps(dict.fromkeys(names, records) | following | {"pageCount": self.asked + (not ended)}).encode()

    @staticmethod
    def record(number: int) -> dict[str, Any]:
        one = f"i{number}"
        return {
            **dict.fromkeys(("id", "conversationId", "userId", "recordingId"), one),
            "group": {"queueId": one},
            "data": [{"interval": "a/b", "metrics": [{"metric": "nOffered", "stats": {"count": 1}}]}],
        }


def of_job(kind: str, job: str) -> Callable[[Server], Iterator[object]]:
    def walk(server: Server) -> Iterator[object]:
        pages = open_pages({"export_id": job, "kind": kind}, cast(CloudClient, server), page_size=SIZE)
        assert pages
        return slices(pages)

    return walk


def of_listing(name: str, *, accept: bool = False) -> Callable[[Server], Iterator[object]]:
    return lambda server: slices(
        ListingWalk(cast(CloudClient, server), built_in(name), page_size=SIZE, accept=accept).pages("e")
    )


def slices(pages: Pages, position: Position | None = None) -> Iterator[object]:
    start = Checkpoint("l", "e", "now", position=position or Position(page=PagePlace()))
    return pages.open_at(start, max_record_bytes=MAX_RECORD_BYTES).slices(SIZE, cut_every=None, flush_interval=1)


def retained(server: Server) -> Iterator[object]:
    index, cursor = of_retention(cast(CloudClient, server), 1, SIZE), None
    while (page := index(0, cursor)) and page.cursor:
        yield page
        cursor = page.cursor


def sampled(server: Server) -> Iterator[object]:
    found = family("conversation_details", server.config)
    assert isinstance(found, QueryFamily)
    request = ExportRequest(DAY, DAY + timedelta(days=1))
    client = cast(CloudClient, server)
    yield read_sample(client, found, request, page_size=SIZE, most_pages=None, timeout=1, poll_interval=1)


WALKS = {
    "conversations": of_job("conversation_details", "j"),
    "users": of_job("user_details", "j"),
    "aggregates": of_job("aggregates", "conversations:j"),
    "failed recordings": of_job("recording_bulk", "j"),
    "a listing by cursors": of_listing("divisions"),
    "a listing by numbers": of_listing("users"),
    "a listing that is accepted": of_listing("users", accept=True),
    "a listing below a parent": of_listing("group_members"),
    "retention": retained,
    "a sample": sampled,
}


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_genesys.cloud.exports.progress.MOST_PAGES", MOST)


def new(page: int) -> list[int]:
    return list(range(SIZE * page, SIZE * page + SIZE))


def shifted(page: int) -> list[int]:
    return [number % 70 for number in new(page)]


def overlapping(page: int) -> list[int]:
    """Each page has most records of the page before it."""
    return [(page * 3 + number) % 90 for number in range(SIZE)]


@pytest.mark.outcome("pages", "ever new records and cursors", "SourceRefusedError")
@pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS.keys())
def test_pages_without_an_end_are_left(walk: Callable[[Server], Iterator[object]], config: CloudConfig) -> None:
    server = Server(config, new)
    with pytest.raises(SourceRefusedError, match=r"more than 60 pages of .* Raise page_size"):
        list(walk(server))
    assert MOST - 1 <= server.asked <= MOST + 1


@pytest.mark.outcome("pages", "the same records in other pages, with ever new cursors", "SourceChangedError")
@pytest.mark.parametrize("ids", [shifted, overlapping])
@pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS.keys())
def test_the_same_records_under_new_cursors_are_noticed(
    walk: Callable[[Server], Iterator[object]], ids: Ids, config: CloudConfig
) -> None:
    with pytest.raises(SourceChangedError, match=r"came again on later pages|same records as a page before"):
        list(walk(Server(config, ids)))


@pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS.keys())
def test_a_long_walk_is_read_to_its_end(walk: Callable[[Server], Iterator[object]], config: CloudConfig) -> None:
    twice = Server(config, lambda page: [*new(page)[:-1], 0], last=MOST - 1)  # one record comes on each page
    list(walk(twice))
    assert twice.asked == MOST - 1


@pytest.mark.parametrize(
    "position", [Position(page=PagePlace(ordinal=MOST)), Position(MAX_UNPACKED + 1, page=PagePlace(cursor="c"))]
)
def test_a_walk_that_is_continued_ends_as_well(position: Position, config: CloudConfig) -> None:
    pages = open_pages(
        {"export_id": "j", "kind": "conversation_details"}, cast(CloudClient, Server(config, new)), page_size=1
    )
    assert pages
    with pytest.raises(SourceRefusedError, match="pages of export j"):
        next(slices(pages, position))


@pytest.mark.parametrize(
    ("name", "limit", "value"),
    [("group_members", "MOST_HELD", 50), ("group_members", "LONGEST_PAGE", 5000), ("users", "MOST_HELD", 50)],
)
def test_a_listing_that_has_to_be_in_memory_has_a_limit(
    name: str, limit: str, value: int, config: CloudConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"airflow_provider_genesys.entities.walk.{limit}", value)
    with pytest.raises(GenesysError, match="have to be in memory at once"):
        list(of_listing(name, accept=True)(Server(config, new, last=MOST - 1)))
