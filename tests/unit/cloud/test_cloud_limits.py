"""What an answer of the API may have: bytes, packed or not, and seconds. Beyond that it is our own error."""

from __future__ import annotations

import gzip
import json
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from scripted_server import TOKEN_PATH, Reply, ScriptedServer

from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.exports.base import ExportRequest, Page
from airflow_provider_genesys.cloud.exports.details import DetailsJobs
from airflow_provider_genesys.cloud.exports.handle import make_handle, open_handle
from airflow_provider_genesys.cloud.exports.registry import family
from airflow_provider_genesys.cloud.http import transport
from airflow_provider_genesys.cloud.http.client import CloudClient
from airflow_provider_genesys.exceptions import (
    AnswerTooLargeError,
    CloudUnavailableError,
    RequestRefusedError,
    SourceRefusedError,
    UntrustedHostError,
)
from airflow_provider_genesys.limits import (
    LONGEST_ANSWER,
    LONGEST_CURSOR,
    LONGEST_ERROR,
    LONGEST_ETAG,
    LONGEST_PAGE,
    LONGEST_TOKEN,
)
from tests.support.trickle import TRICKLES, Trickle
from tests.unit.cloud.test_cloud_recordings import END, START

PACKED = {"Content-Encoding": "gzip"}
MIB = 1024 * 1024


def bomb(size: int) -> bytes:
    """A gzip of ``size`` blanks."""
    pack = zlib.compressobj(9, wbits=31)
    pieces = [pack.compress(b" " * MIB) for _ in range(size // MIB)]
    return b"".join([*pieces, pack.flush()])


def peak(of: Callable[[], object]) -> int:
    """The most bytes that are held while ``of`` runs, with those of the server."""
    tracemalloc.start()
    try:
        of()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.outcome("jobs", "an answer of more than 16 MiB, packed or not", "AnswerTooLargeError")
@pytest.mark.parametrize("size", [64, 128])
def test_a_bomb_is_unpacked_no_further_than_the_limit(size: int, client: CloudClient, server: ScriptedServer) -> None:
    server.on("GET /x", Reply(200, bomb(size * MIB), PACKED))

    def ask() -> None:
        with pytest.raises(AnswerTooLargeError, match="more than 16,777,216 bytes"):
            client.request("GET", "/x")

    assert peak(ask) < 4 * LONGEST_ANSWER
    assert server.count("GET /x") == 1


def test_a_page_may_be_larger_than_another_answer(client: CloudClient, server: ScriptedServer) -> None:
    server.on("GET /x", Reply(200, bomb(2 * LONGEST_ANSWER), PACKED), Reply(200, bomb(LONGEST_PAGE + MIB), PACKED))
    assert client.decode("/x", len) == 2 * LONGEST_ANSWER
    with pytest.raises(AnswerTooLargeError, match="lower page_size"):
        client.decode("/x", len)


def test_of_an_error_the_begin_is_read(client: CloudClient, server: ScriptedServer) -> None:
    server.on("GET /x", Reply(400, bomb(64 * MIB), PACKED))

    def ask() -> None:
        with pytest.raises(RequestRefusedError, match="instead of Genesys' JSON"):
            client.request("GET", "/x")

    assert peak(ask) < 8 * LONGEST_ERROR


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Encoding": "br"}, b"\x0b\x02\x80\x03"),
        (PACKED, gzip.compress(b"{}" * 500)[:-5]),
        (PACKED, b"no gzip"),
        (PACKED, gzip.compress(b"{}") + b"\0" * 500_000),
        (PACKED, gzip.compress(b"{}") * 2),
    ],
    ids=["not asked for", "cut off", "not packed", "more behind it", "two of them"],
)
def test_what_cannot_be_unpacked_is_asked_for_again(
    headers: dict[str, str], body: bytes, client: CloudClient, server: ScriptedServer
) -> None:
    server.on("GET /x", Reply(200, body, headers), Reply(200, b'{"a": 1}'))
    assert client.request("GET", "/x") == {"a": 1}


@pytest.mark.parametrize("wrap", [gzip.compress, zlib.compress])
def test_what_is_packed_is_read(wrap: Callable[[bytes], bytes], client: CloudClient, server: ScriptedServer) -> None:
    body = json.dumps({"a": ["x" * 100_000]}).encode()
    encoding = "gzip" if wrap is gzip.compress else "deflate"
    server.on("GET /x", Reply(200, wrap(body), {"Content-Encoding": encoding}))
    assert client.request("GET", "/x") == {"a": ["x" * 100_000]}


def test_an_empty_answer_that_says_it_is_packed_is_empty(client: CloudClient, server: ScriptedServer) -> None:
    server.on("GET /x", Reply(204, b"", PACKED))
    assert client.request("GET", "/x") is None


@pytest.mark.outcome("tokens", "a token of more than 16 KiB", "CloudUnavailableError")
@pytest.mark.parametrize("size", [LONGEST_TOKEN + 1, 900_000, 3_000_000])
def test_a_token_that_no_header_takes_is_none(size: int, client: CloudClient, server: ScriptedServer) -> None:
    server.on(f"POST {TOKEN_PATH}", Reply(200, {"access_token": "x" * size, "expires_in": 5}))
    with pytest.raises((CloudUnavailableError, AnswerTooLargeError)):
        client.request("GET", "/x")
    assert server.count("GET /x") == 0


@pytest.mark.outcome("pages", "a cursor of more than 16 KiB", "SourceRefusedError")
@pytest.mark.parametrize("kind", ["conversation_details", "user_details"])
def test_a_cursor_that_cannot_be_sent_back_is_refused(kind: str, config: CloudConfig) -> None:
    found = family(kind, config)
    assert isinstance(found, DetailsJobs)
    for size in (LONGEST_CURSOR + 1, 3_000_000):
        with pytest.raises(SourceRefusedError, match=r"has [0-9,]+ characters \('xxx.*can be sent back"):
            found.read_page("job", b'{"cursor": "%b"}' % (b"x" * size))
    assert Page([], [], "x" * LONGEST_CURSOR).cursor


@pytest.mark.parametrize("in_circles", [False, True])
def test_a_list_of_jobs_without_an_end_is_left(
    in_circles: bool, config: CloudConfig, client: CloudClient, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_genesys.cloud.exports.recording_jobs.MOST_LISTED_PAGES", 5)
    cursors = ["a", "b", "a"] if in_circles else [*"abcdefgh"]
    server.on("GET /api/v2/recording/jobs", *(Reply(200, {"nextUri": f"/x?cursor={one}"}) for one in cursors))
    request = ExportRequest(START, END, options={"integrationId": "i"})
    with pytest.raises(CloudUnavailableError, match=f"does not end: {3 if in_circles else 5} pages"):
        family("recording_bulk", config).create(client, request)


# Responses that trickle: no single wait is long, and the whole has no end.


@pytest.fixture(params=TRICKLES)
def trickle(request: Any) -> Iterator[Trickle]:
    server = Trickle(*TRICKLES[request.param])
    yield server
    server.close()


@pytest.mark.outcome("tokens", "the head or the body of an answer trickles for ever", "CloudUnavailableError")
def test_an_answer_that_trickles_ends(trickle: Trickle, config: CloudConfig) -> None:
    began = time.monotonic()
    with transport.open_http(replace(config, timeout=0.2)) as http, pytest.raises(httpx.ReadTimeout):
        transport.fetch(http, "GET", trickle.url)
    assert time.monotonic() - began < 60, "it goes on for ever"


@pytest.mark.parametrize("charset", ["idna", "undefined", "\xff", "utf-16", "x" * 5000])
def test_no_charset_of_a_header_decides_how_an_error_is_read(
    charset: str, client: CloudClient, server: ScriptedServer
) -> None:
    headers = {"Content-Type": f"application/json; charset={charset}"}
    server.on("GET /x", *[Reply(200, {"message": "busy", "code": "x"}, headers)] * 6)
    with pytest.raises(CloudUnavailableError, match=r"with an error: .*busy"):
        client.request("GET", "/x")


def test_a_long_etag_is_cut_and_a_long_url_is_none(
    config: CloudConfig, client: CloudClient, server: ScriptedServer
) -> None:
    answer = {"status": "COMPLETED", "fileUri": "https://" + "x" * 3_000_000, "etag": "\x1b" + "e" * 3_000_000}
    server.on("GET /api/v2/recordings/exports/one", Reply(200, answer))
    status = family("recordings", config).status(client, "one")
    handle = make_handle(status, config)
    assert len(str(handle)) < 3 * LONGEST_ETAG
    with pytest.raises(UntrustedHostError, match=r"not a URL at all|cannot be used"):
        open_handle(handle, client, fresh=True)
