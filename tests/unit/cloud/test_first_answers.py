"""An answer that cannot be Genesys' own: the next one is asked for; if none comes, the error says what to look at."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from test_shapes import CASES, Answers, create

from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.http import shared
from airflow_provider_genesys.cloud.http.client import ATTEMPTS, CloudClient
from airflow_provider_genesys.exceptions import CloudUnavailableError, GenesysError

PAGE = b"<!DOCTYPE html><html><body>Sign in to the network</body></html>"
TOKEN = "/oauth/token"  # noqa: S105 - a path


def reply(status: int, body: bytes = b"", media: str = "application/json", **headers: str) -> bytes:
    """Return the bytes of a response, which may contradict each other."""
    given = {"Content-Type": media, "Content-Length": str(len(body)), "Connection": "close", **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in given.items()]
    return "\r\n".join([f"HTTP/1.1 {status} X", *lines, "", ""]).encode() + body


BAD = {
    "a page": reply(200, PAGE, "text/html"),
    "XML": reply(200, b"<?xml version='1.0'?><Error/>", "application/xml"),
    "text": reply(200, b"OK", "text/plain"),
    "an error": reply(200, b'{"message":"busy","status":503,"code":"service.unavailable"}'),
    "a gateway's error": reply(200, b'{"fault":{"faultstring":"Unexpected EOF at target"}}'),
    "a problem": reply(200, b'{"type":"about:blank","title":"Bad Gateway","status":502}', "application/problem+json"),
    "nothing": reply(200),
    "no content": b"HTTP/1.1 204 X\r\nConnection: close\r\n\r\n",
    "a BOM": reply(200, b"\xef\xbb\xbf"),
    "a page with a BOM": reply(200, b"\xef\xbb\xbf" + PAGE, "text/html"),
    "UTF-16": reply(200, '{"id":"a"}'.encode("utf-16")),
    "null": reply(200, b"null"),
    "too deep": reply(200, b"[" * 3000),
    "cut off": reply(200, b'{"entities": [{"id": "a'),
    "packed without saying so": reply(200, gzip.compress(b'{"a":1}')),
    "not packed though it says so": reply(200, b"\x00\x01", Content_Encoding="gzip"),
    "a short body": reply(200, b'{"a"', Content_Length="500"),
    "a short chunk": b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a reset": b"",
    "302": reply(302, PAGE, "text/html", Location="https://portal.example/?tok=s3cret"),
    "308": reply(308, Location="//portal.example/x"),
    "299": reply(299, PAGE, "text/html"),
    "400 with a page": reply(400, PAGE, "text/html"),
    "401 with a page": reply(401, PAGE, "text/html"),
    "403 with a text": reply(403, b"error code: 1020", "text/plain"),
    "404 with a page": reply(404, PAGE, "text/html"),
    "418": reply(418, b'{"message":"teapot"}'),
    "451": reply(451, PAGE, "text/html"),
    "503 with a page": reply(503, PAGE, "text/html"),
    "511": reply(511, PAGE, "text/html"),
    "999": reply(999, PAGE, "text/html"),
}
SURELY_UNDONE = {name for name in BAD if name[:1] in "34"}
"""A POST that is answered so can be sent again."""
LAST_PAGE = {name: value for name, value in CASES["bulk, page"][0]["/failed"].items() if name != "nextUri"}
ASKED: dict[str, tuple[Answers, Callable[[Any], object]]] = {
    **CASES,
    "archive, created": ({"": {"exportId": "a"}}, create("recordings")),
    "bulk, created": ({"?": {"entities": [], "pageSize": 5}, "": {"id": "j"}}, CASES["bulk, created"][1]),
    "bulk, page": ({**CASES["bulk, page"][0], "/failed": LAST_PAGE}, CASES["bulk, page"][1]),
}
PLACES = [(case, name) for case, (answers, _) in ASKED.items() for name in answers] + [("details, status", TOKEN)]
CREATES = {("archive, created", ""), ("details, created", ""), ("bulk, created", "")}


def shared_out(names: Sequence[str], shares: int) -> list[Any]:
    """Return each place with the names of answers.

    All places are read in one way, but for those that create. Without --long each other place gets one share of the
    answers, and its neighbours the next ones, so that each answer meets several places.
    """
    cases = []
    for number, place in enumerate(PLACES):
        quick = names if place in CREATES else names[number % shares :: shares]
        cases.append(pytest.param(*place, quick))
        if rest := [name for name in names if name not in quick]:
            cases.append(pytest.param(*place, rest, marks=pytest.mark.long))
    return cases


class Server:
    """Answers a path with the first of ``answers`` whose name is in it, and ``place`` with ``bad`` first."""

    def __init__(self) -> None:
        self.answers: Answers = {}
        self.place, self.bad, self.left = "", b"", 0
        self.asked: Counter[str] = Counter()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.http.daemon_threads = True
        Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                names = [TOKEN, *server.answers]
                place = next(name for name in names if name in self.path)
                server.asked[place] += 1
                if place == server.place and server.left:
                    server.left -= 1
                    self.close_connection = True
                    self.wfile.write(server.bad)
                    return
                answer = {"access_token": "t", "expires_in": 86_000} if place == TOKEN else server.answers[place]
                self.close_connection = True
                self.wfile.write(reply(200, json.dumps(answer).encode()))

            do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - as http.server wants

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


@pytest.fixture(scope="module")
def spoiled() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def outcome(server: Server, case: str, place: str, bad: bytes, times: int) -> object:
    server.answers, ask = ASKED[case]
    server.place, server.bad, server.left = place, bad, times
    server.asked.clear()
    shared._known.clear()
    config = CloudConfig(
        "client",
        "secret",
        server.url,
        server.url,
        allowed_download_hosts=("store.example",),
        allow_insecure=True,
        timeout=5.0,
        requests_per_minute=600_000,
    )
    with CloudClient(config) as client:
        found = ask(client)
    # Without the seal, which differs each time, and the times of now.
    return re.sub(r"sealed[^\"]*|\.\.\.[^\"]*|0x\w+|gAAAA[^\"]*|2026-1\S*", "", repr(found))


@pytest.mark.outcome("jobs", "the first answer of any request is none of Genesys', the second is right", "recovers")
@pytest.mark.parametrize(("case", "place", "names"), shared_out(list(BAD), 4))
def test_one_bad_answer_is_asked_for_again(spoiled: Server, case: str, place: str, names: list[str]) -> None:
    right = outcome(spoiled, case, place, b"", 0)
    for name in names:
        try:
            found = outcome(spoiled, case, place, BAD[name], 1)
        except CloudUnavailableError:
            assert (case, place) in CREATES, name
            assert name not in SURELY_UNDONE
        else:
            assert found == right or "file_uri" in str(right), name


def failed(server: Server, case: str, place: str, bad: bytes) -> GenesysError | None:
    try:
        outcome(server, case, place, bad, 10**6)
    except GenesysError as error:
        return error
    return None


WORST = ("a page", "nothing", "a gateway's error", "302", "403 with a text", "418", "a reset")
NO_RECORDS = {"nothing", "no content", "a BOM"}
"""Of a page of results these may be all that Genesys has to say."""


@pytest.mark.outcome("jobs", "all answers of any request are none of Genesys'", "ForeignAnswerError")
@pytest.mark.parametrize(("case", "place", "names"), shared_out(WORST, 2))
def test_bad_answers_end_with_what_to_look_at(spoiled: Server, case: str, place: str, names: list[str]) -> None:
    for name in names:
        error = failed(spoiled, case, place, BAD[name])
        if error is None:
            assert name in NO_RECORDS
        else:
            assert error.retryable, (name, error)
            assert re.search("proxy|host|got no answer", str(error)), (name, error)
            assert "s3cret" not in str(error)
        assert spoiled.asked[place] <= 2 * ATTEMPTS
