"""A page is limited in its records before it is decoded: many tiny ones cost no more than few large ones."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from scripted_server import Reply, ScriptedServer

from airflow_provider_genesys.cloud.exports.base import PagedFamily, UnreadablePageError
from airflow_provider_genesys.cloud.exports.registry import family
from airflow_provider_genesys.cloud.http.client import CloudClient
from airflow_provider_genesys.entities.answers import Pager
from airflow_provider_genesys.entities.declaration import built_in
from airflow_provider_genesys.exceptions import AnswerTooLargeError, CloudUnavailableError, ForeignAnswerError
from airflow_provider_genesys.limits import LONGEST_PAGE, MOST_RECORDS
from airflow_provider_genesys.source.broken_pages import elements, repaired

MIB = 1024 * 1024
TINY = {
    "objects": b"{}",
    "with an id": b'{"conversationId":""}',
    "numbers": b"0",
    "lists": b"[]",
    "broken": b"NaN",
    "a number first": b"0,{}",
}


def page(element: bytes, size: int, member: bytes = b"conversations") -> bytes:
    return b'{"%b":[%b]}' % (member, b",".join([element] * (size // (len(element) + 1))))


def peak(of: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        with pytest.raises(AnswerTooLargeError, match=r"more than [0-9,]+ (records|values|bytes).*Lower page_size"):
            of()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def asked(kind: str, job: str, client: CloudClient) -> Any:
    found = family(kind, client.config)
    assert isinstance(found, PagedFamily)
    return found.page(client, job, None, 500)


@pytest.mark.outcome("pages", "a page of very many tiny records", "AnswerTooLargeError")
@pytest.mark.parametrize("element", TINY.values(), ids=TINY.keys())
def test_tiny_records_take_no_more_than_their_page(element: bytes, client: CloudClient, server: ScriptedServer) -> None:
    def held(size: int) -> int:
        server.on("GET /api/v2/analytics/conversations/details/jobs/j/results", Reply(200, page(element, size)))
        return peak(lambda: asked("conversation_details", "j", client))

    small, large = held(4 * MIB), held(8 * MIB)
    assert large <= 2.5 * small
    assert large < 8 * 8 * MIB  # the page, as it is sent and as it comes


def test_a_page_may_have_as_many_records_as_the_limit(client: CloudClient, server: ScriptedServer) -> None:
    body = b'{"conversations":[%b]}' % b",".join([b'{"conversationId":"a","b":[1,2]}'] * MOST_RECORDS)
    server.on("GET /api/v2/analytics/conversations/details/jobs/j/results", Reply(200, body))
    assert len(asked("conversation_details", "j", client).records) == MOST_RECORDS


@pytest.mark.parametrize("data", [b'{"interval":"","metrics":[%b]}', b"%b"], ids=["metrics", "buckets"])
def test_tiny_rows_of_aggregates(data: bytes, client: CloudClient, server: ScriptedServer) -> None:
    one = b'{"stats":0}' if b"metrics" in data else b'{"interval":""}'
    body = b'{"results":[{"data":[%b]}]}' % data % b",".join([one] * 1_100_000)
    server.on("GET /api/v2/analytics/flows/aggregates/jobs/j/results", Reply(200, body))
    assert peak(lambda: asked("aggregates", "flows:j", client)) < 8 * len(body)


@pytest.mark.parametrize("long", ["dimension", "interval"])
def test_what_rows_share_is_not_repeated_without_end(long: str, client: CloudClient, server: ScriptedServer) -> None:
    rows = b",".join([b'{"metric":"m","stats":{}}'] * 1000)
    texts = (b"x" * MIB, b"") if long == "dimension" else (b"", b"x" * MIB)
    body = b'{"results":[{"group":{"queueId":"%b"},"data":[{"interval":"%b","metrics":[%b]}]}]}' % (*texts, rows)
    server.on("GET /api/v2/analytics/flows/aggregates/jobs/j/results", Reply(200, body))
    assert peak(lambda: asked("aggregates", "flows:j", client)) < LONGEST_PAGE // 4


def test_tiny_records_of_a_listing_and_of_media(client: CloudClient, server: ScriptedServer) -> None:
    pager = Pager(client, built_in("users"))
    server.on("GET /api/v2/users", Reply(200, page(b"{}", 4 * MIB, b"entities")))
    assert peak(lambda: pager.ask(None)) < 8 * 4 * MIB
    metadata = page(b"{}", 4 * MIB).partition(b":")[2][:-1]
    assert peak(lambda: elements(metadata)) < 4 * MIB


def test_an_error_with_status_200_is_no_empty_listing(client: CloudClient, server: ScriptedServer) -> None:
    busy = Reply(200, {"message": "busy", "code": "x"})
    server.on("GET /api/v2/users", busy, Reply(200, {"entities": []}))
    pager = Pager(client, built_in("users"))
    assert pager.ask(None).ids == []
    server.on("GET /api/v2/users", busy)
    with pytest.raises(CloudUnavailableError, match="A page of users is an error with status 200"):
        pager.ask(None)


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"conversations": [{"conversationId": "a"}]}},
        {"Conversations": [{"conversationId": "a"}], "cursor": "x"},
        {"items": [1], "totalHits": 1},
    ],
)
def test_records_under_another_name_are_no_empty_page(client: CloudClient, server: ScriptedServer, body: Any) -> None:
    results = "/api/v2/analytics/conversations/details/jobs/job/results"
    jobs: Any = family("conversation_details", client.config)
    server.on(f"GET {results}", Reply(200, body))
    with pytest.raises(ForeignAnswerError, match=r"no conversations, but .* does not count as empty"):
        jobs.page(client, "job", None, 100)
    server.on(f"GET {results}", Reply(200, {"systemToOrganizationMappings": {}, "totalHits": 0, "cursor": None}))
    assert jobs.page(client, "job", None, 100).ids == []


@pytest.mark.parametrize("broken", [b"", b'{"id":"\\ud800"},'], ids=["alone", "beside a broken record"])
def test_a_cursor_that_is_no_text_is_an_error_of_ours(
    broken: bytes, client: CloudClient, server: ScriptedServer
) -> None:
    body = b'{"%%b":[%b{"id":"a"}],"cursor":"\xff","nextUri":"\xff"}' % broken
    server.on("GET /api/v2/users", Reply(200, body % b"entities"))
    server.on("GET /api/v2/analytics/users/details/jobs/j/results", Reply(200, body % b"userDetails"))
    with pytest.raises(UnreadablePageError):
        Pager(client, built_in("users")).ask(None)
    found = family("user_details", client.config)
    assert isinstance(found, PagedFamily)
    with pytest.raises(UnreadablePageError) as caught:
        found.page(client, "j", None, 5)
    with pytest.raises(UnreadablePageError):
        repaired(caught.value)
