"""Servers that break HTTP, or stretch it, at every place where this package reads an answer.

None may hang, be taken for another answer, fill the memory, or end as an exception that is not ours.
"""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import product
from typing import Any

import httpx
import pytest
import tenacity

from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.http import client as client_module
from airflow_provider_genesys.cloud.http import shared
from airflow_provider_genesys.cloud.http.client import CloudClient
from airflow_provider_genesys.cloud.http.tokens import Grant, request_token
from airflow_provider_genesys.cloud.presigned import PresignedUrl
from airflow_provider_genesys.exceptions import GenesysError
from airflow_provider_genesys.limits import LONGEST_HEAD
from airflow_provider_genesys.media.expected import expected_media, unpacked_media
from airflow_provider_genesys.source.download import Download
from airflow_provider_genesys.source.download_client import DownloadSettings, open_client
from airflow_provider_genesys.source.unpack.unpacked import Unpacked

TIMEOUT = 0.1
GOOD = json.dumps({"access_token": "t0", "expires_in": 3600, "padding": ["x" * 70] * 40}).encode()
OTHER = json.dumps({"access_token": "another", "expires_in": 3600}).encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
Answer = Iterable[bytes]


def sized(body: bytes = GOOD, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def chunks(body: bytes = GOOD, extension: bytes = b"") -> bytes:
    half = len(body) // 2
    return b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in (body[:half], body[half:]))


class Endless:
    """Sends ``again`` after ``before``, for ever: as much as is taken, or each time after ``pause`` seconds."""

    def __init__(self, before: bytes, again: bytes, pause: float = 0.0) -> None:
        self._before, self._pause = before, pause
        self._again = again if pause else again * (64 * 1024 // len(again))

    def __iter__(self) -> Iterator[bytes]:
        yield self._before
        while True:
            time.sleep(self._pause)
            yield self._again


def flood(before: bytes, again: bytes) -> Answer:
    return Endless(before, again)


def trickled(before: bytes, again: bytes) -> Answer:
    return Endless(before, again, pause=0.02)


WHOLE: dict[str, Answer] = {
    "1,000 headers": [sized(GOOD, *(f"X-{n}: {n}" for n in range(1000)))],
    "1,000 cookies": [sized(GOOD, *(f"Set-Cookie: c{n}=x" for n in range(1000)))],
    "100 interim answers": [b"HTTP/1.1 102 Processing\r\n\r\n" * 100 + sized()],
    "early hints": [b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", sized()],
    "100 continue": [b"HTTP/1.1 100 Continue\r\n\r\n", sized()],
    "trailers": [CHUNKED + chunks() + b"0\r\nX-Sum: 1\r\nContent-Length: 3\r\n\r\n"],
    "extensions of chunks": [CHUNKED + chunks(extension=b";a=b" * 9) + b"0\r\n\r\n"],
    "a folded header": [HEAD + b"X-Folded: a\r\n b\r\n\tc\r\nContent-Length: %d\r\n\r\n" % len(GOOD), GOOD],
    "the same length twice": [sized(GOOD, f"Content-Length: {len(GOOD)}")],
    "chunks, with a length that is too small": [
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks() + b"0\r\n\r\n"
    ],
    "bytes in headers that are no text": [sized(GOOD, "X-Odd: \u00ff\u0080")],
    "bare line feeds": [sized().replace(b"\r\n", b"\n")],
}
"""Odd, and whole."""

BROKEN: dict[str, Answer] = {
    "a header of 4 MB": [HEAD + b"X: " + b"x" * 4_000_000 + b"\r\n\r\n"],
    "a header without end": flood(HEAD + b"X: ", b"x"),
    "headers without end": flood(HEAD, b"X-Y: z\r\n"),
    "headers that trickle": trickled(HEAD, b"X-Y: z\r\n"),
    "interim answers without end": flood(b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    "early hints without end": flood(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
    "100 without end": flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "another protocol": [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nhello"],
    "trailers without end": flood(CHUNKED + chunks() + b"0\r\n", b"X-Y: z\r\n"),
    "trailers that trickle": trickled(CHUNKED + chunks() + b"0\r\n", b"X-Y: z\r\n"),
    "an extension of a chunk without end": flood(CHUNKED + b"5;", b"x"),
    "chunks with nothing but extensions": flood(CHUNKED, b"1;" + b"x" * 1000 + b"\r\n \r\n"),
    "packed nothing without end": flood(
        HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"")[:10], b"\0\0\0\xff\xff"
    ),
    "a chunk of a negative size": [CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n"],
    "a chunk of a huge size": [CHUNKED + b"ffffffffffffffffffff\r\nhello\r\n"],
    "a chunk's end that is none": [CHUNKED + b"5\r\nhelloworld\r\n0\r\n\r\n"],
    "no last chunk": [CHUNKED + chunks()],
    "two lengths": [sized(GOOD, "Content-Length: 5")],
    "two lengths in one header": [HEAD + b"Content-Length: 5, %d\r\n\r\n" % len(GOOD), GOOD],
    "a negative length": [HEAD + b"Content-Length: -5\r\n\r\n", GOOD],
    "a length of 20 digits": [HEAD + b"Content-Length: 99999999999999999999\r\n\r\n", GOOD],
    "a length of 19 digits": [HEAD + b"Content-Length: 9999999999999999999\r\n\r\n", GOOD],
    "a length of 40 digits": [HEAD + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n", GOOD],
    "a length in hex": [HEAD + b"Content-Length: 0x5\r\n\r\n", GOOD],
    "a length of 1e3": [HEAD + b"Content-Length: 1e3\r\n\r\n", GOOD],
    "an unknown transfer encoding": [HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + chunks()],
    "chunked twice": [HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks()],
    "no head": [b"<html>sign in</html>"],
    "another protocol's head": [b"SSH-2.0-OpenSSH_9.6\r\n"],
    "TLS": [b"\x15\x03\x01\x00\x02\x02\x28"],
    "nothing": [],
    "status 0": [b"HTTP/1.1 000 None\r\n\r\n"],
    "status 999": [sized(OTHER, status="999 Odd")],
    "status 99999": [sized(OTHER, status="99999 Odd")],
    "NUL in a header": [sized(OTHER, "X-Y: a\0b")],
    "a header without a colon": [sized(OTHER, "X-Y")],
    "a blank before the colon": [HEAD + b"Content-Length : 5\r\n\r\n", OTHER],
    "cut in the head": [HEAD],
    "cut in the body": [sized()[:-5]],
    "cut, with connection: close": [sized(GOOD, "Connection: close")[:-5]],
    "an encoding that is not known": [sized(b"\x0b\x02\x80\x03", "Content-Encoding: br")],
    "two encodings": [sized(gzip.compress(gzip.compress(GOOD)), "Content-Encoding: gzip, gzip")],
    "two encodings in two headers": [
        sized(gzip.compress(gzip.compress(GOOD)), "Content-Encoding: gzip", "Content-Encoding: gzip")
    ],
    "gzip that is none": [sized(b"\x1f\x8b\x08" + b"x" * 50, "Content-Encoding: gzip")],
}
LOCATIONS = [
    "/again",
    "//evil.invalid/x",
    "http://127.0.0.1:9/x",
    "https://evil.invalid/x",
    "file:///etc/passwd",
    "ftp://x/y",
    "http://[::1",
    "http://\u00e4\u0080/x",
    "http:",
    "javascript:alert(1)",
    "http://x:99999999/",
    "http://a b/c",
    "\u00ff",
    "http://user:pass@127.0.0.1/",
    "x" * 70_000,
    "",
]


class RawServer:
    """Gives the requests these answers, one after the other, and the last one again and again."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.asked: list[bytes] = []
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener is closed
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while head := connection.recv(65536):
                if not head.startswith((b"GET", b"POST")):  # the rest of a body
                    continue
                self.asked.append(head)
                answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
                for piece in answer:
                    if self._ended.is_set():
                        return
                    connection.sendall(piece)
                if answer not in KEEPING:
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):  # a close before all is read would take the answer back
                        pass
                    return

    def close(self) -> None:
        self._ended.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


FINE = [sized(GOOD, "Content-Type: application/json")]
LEFT_OVER = [sized() + sized(OTHER)]
COOKIE = [sized(GOOD, "Set-Cookie: session=1; Path=/")]
KEEPING = [FINE, LEFT_OVER, COOKIE]
"""What is followed by other answers over the same connection."""
DOWNLOADS = DownloadSettings(timeout=TIMEOUT, retries=1, verify=False)


@pytest.fixture
def serve() -> Iterator[Callable[..., RawServer]]:
    opened: list[RawServer] = []

    def make(*answers: Answer) -> RawServer:
        opened.append(RawServer(*answers))
        return opened[-1]

    yield make
    for server in opened:
        server.close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_backoff", tenacity.wait_none())
    monkeypatch.setattr(shared, "_known", {})
    for module in ("cloud.http.transport", "source.download"):
        monkeypatch.setattr(f"airflow_provider_genesys.{module}.LONGEST_HEAD", LONGEST_HEAD // 10)


def config(url: str) -> CloudConfig:
    return CloudConfig(
        client_id="client",
        client_secret="s3cret",  # noqa: S106 - of nobody
        api_url=url,
        login_url=url,
        timeout=TIMEOUT,
        requests_per_minute=60_000,
        allow_insecure=True,
    )


@contextmanager
def client(url: str) -> Iterator[CloudClient]:
    """A client that has a token."""
    with CloudClient(config(url), patience=0.3) as opened:
        opened._shared.tokens._ask = lambda: Grant("t", 3600)
        yield opened


def api(url: str) -> Any:
    with client(url) as opened:
        return opened.request("GET", "/x")


def posted(url: str) -> Any:
    """Send more than a socket takes at once, so an answer can come before the request is complete."""
    with client(url) as opened:
        return opened.request("POST", "/x", json=["x" * 4_000_000], reads=True)


def page(url: str) -> Any:
    with client(url) as opened:
        return opened.decode("/x", json.loads)


def token(url: str) -> Any:
    return {**json.loads(GOOD), "access_token": request_token(config(url)).token}


def download(url: str, **options: Any) -> Download:
    signed = PresignedUrl(f"{url}/x?X-Amz-Signature=c0ffee", datetime.now(timezone.utc) + timedelta(hours=1))
    return Download(lambda _: signed, "export-1", **{"settings": DOWNLOADS, "sleep": lambda _: None, **options})


def archive(url: str) -> Any:
    return json.loads(b"".join(Unpacked(download(url).read(0), where="It")))


def media(url: str, http: httpx.Client | None = None) -> Any:
    with http or open_client(DOWNLOADS, keep=2) as opened:
        kind = "application/json"
        one = download(url, settings=replace(DOWNLOADS, client=opened), expected=expected_media(kind))
        return json.loads(b"".join(unpacked_media(one.read(0), one, kind)))


PLACES: dict[str, Callable[[str], Any]] = {
    "api": api,
    "posted": posted,
    "page": page,
    "token": token,
    "archive": archive,
    "media": media,
}
READERS = ["api", "token", "archive", "media"]
"""Places that differ in how they read; the others read as the first does."""
INTERIM = ("early hints without end", "100 without end")
"""Those of another status meet all readers; without --long these meet two."""
NOT_HERE = {
    ("packed nothing without end", "archive"),
    ("packed nothing without end", "media"),
    ("an encoding that is not known", "archive"),
    ("two encodings", "archive"),
    ("two encodings in two headers", "archive"),
    ("gzip that is none", "archive"),
}
"""A file that goes on for ever is read for ever. What is no archive is refused by its bytes (test_bad_input.py)."""


@pytest.mark.outcome("download", "odd HTTP: 1,000 headers, interim responses, trailers, folded headers", "recovers")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", WHOLE)
def test_what_is_odd_and_whole_is_read(name: str, place: str, serve: Callable[..., RawServer]) -> None:
    server = serve(WHOLE[name])
    assert PLACES[place](server.url) == json.loads(GOOD)
    assert len(server.asked) == 1


@pytest.mark.outcome("download", "HTTP that is broken or without end, in a head or a body", "SourceUnavailableError")
@pytest.mark.parametrize(
    ("name", "place"),
    [
        pytest.param(*case, marks=[pytest.mark.long] if case[0] in INTERIM and case[1] in ("token", "media") else [])
        for case in sorted({*product(BROKEN, READERS)} - NOT_HERE)
    ],
)
def test_what_breaks_http_ends_as_an_error_of_ours(name: str, place: str, serve: Callable[..., RawServer]) -> None:
    server, began = serve(BROKEN[name]), time.monotonic()
    tracemalloc.start()
    with pytest.raises(GenesysError) as error:
        PLACES[place](server.url)
    assert tracemalloc.get_traced_memory()[1] < 40_000_000
    tracemalloc.stop()
    assert time.monotonic() - began < 10
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(("name", "place"), sorted({*product(BROKEN, ["api", "archive", "media"])} - NOT_HERE))
def test_what_follows_broken_http_is_never_joined_to_it(name: str, place: str, serve: Callable[..., RawServer]) -> None:
    with suppress(GenesysError):  # bytes had come that are not those of the file
        assert PLACES[place](serve(BROKEN[name], FINE).url) == json.loads(GOOD)


@pytest.mark.outcome("download", "a redirect, to whatever", "SourceRefusedError")
@pytest.mark.parametrize("status", [302, 307])
def test_no_redirect_is_followed(status: int, serve: Callable[..., RawServer]) -> None:
    elsewhere = serve(FINE)
    for location in [*(LOCATIONS if status == httpx.codes.TEMPORARY_REDIRECT else []), elsewhere.url]:
        answer = b"HTTP/1.1 %d Moved\r\nContent-Length: 0\r\nLocation: %b\r\n\r\n"
        server = serve([answer % (status, location.encode("latin-1"))])
        for place in PLACES if location == elsewhere.url else READERS:
            with pytest.raises(GenesysError):
                PLACES[place](server.url)
        assert {one.split()[1].partition(b"?")[0] for one in server.asked} == {b"/x", b"/oauth/token"}
    assert elsewhere.asked == []


@pytest.mark.outcome("jobs", "a second answer behind one that was asked for", "recovers")
def test_what_is_left_over_is_not_the_next_answer(serve: Callable[..., RawServer]) -> None:
    server = serve(LEFT_OVER, FINE)
    with client(server.url) as opened:
        assert opened.request("GET", "/x") == opened.request("GET", "/x") == json.loads(GOOD)
    server = serve(LEFT_OVER, FINE)
    http = open_client(DOWNLOADS, keep=2)
    with http:
        settings = replace(DOWNLOADS, client=http)
        for _ in range(2):
            assert b"".join(download(server.url, settings=settings).read(0)) == GOOD


def test_no_cookie_is_kept(serve: Callable[..., RawServer]) -> None:
    server = serve(COOKIE)
    with client(server.url) as opened, open_client(DOWNLOADS, keep=2) as http:
        for _ in range(2):
            opened.request("GET", "/x")
            list(download(server.url, settings=replace(DOWNLOADS, client=http)).read(0))
    assert not any(b"session" in one for one in server.asked)
