"""The download alone, against scripted answers. Whole loads through a fault proxy are in tests/faults."""

from __future__ import annotations

import gzip
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from hashlib import shake_256
from pathlib import Path
from typing import Any

import pytest
import trustme

from airflow_provider_genesys.exceptions import (
    ConfigurationError,
    GenesysError,
    NotTheFileError,
    SourceChangedError,
    SourceRefusedError,
    SourceUnavailableError,
    UrlExpiredError,
)
from airflow_provider_genesys.source.download import OVERLAP, Download
from airflow_provider_genesys.source.download_client import DownloadSettings
from airflow_provider_genesys.source.position import Identity
from airflow_provider_genesys.source.response import Broken, in_time
from airflow_provider_genesys.testing.fault_proxy import Fault, FaultProxy, s3_error
from airflow_provider_genesys.testing.fault_proxy.fixtures import fault_proxy  # noqa: F401 - a fixture
from tests.support.trickle import TRICKLES, Trickle
from tests.unit.pipeline.sources import Writer, served

SECRET = "c0ffee" * 8
ARCHIVE = shake_256(b"an archive").digest(200_000)
ETAG = '"archive-1"'
NOWHERE = "http://127.0.0.1:9"


@dataclass
class Signed:
    """A presigned URL."""

    url: str
    expires_at: datetime = field(default_factory=lambda: datetime.now(timezone.utc) + timedelta(hours=1))


class Store:
    """An object store that gives the answers it is told to give, in order."""

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy = proxy
        self.opened: list[bool] = []
        """How URLs were asked for."""
        self.pauses: list[float] = []

    def open_url(self, fresh: bool) -> Signed:
        self.opened.append(fresh)
        return Signed(f"{self.proxy.url}/archive/day?X-Amz-Signature={SECRET}&n={len(self.opened)}")

    def download(self, *answers: Fault, identity: Identity | None = None, **settings: Any) -> Download:
        self.proxy.plan(*answers)
        self.proxy.plan(Fault(status=500, body=b"no further answer is planned"), forever=True)
        given = {"timeout": 5.0, "verify": False} | settings
        chosen = DownloadSettings(**given)
        return Download(self.open_url, "export-1", identity or Identity(), chosen, self.pauses.append)

    def read(self, *answers: Fault, start: int = 0, **options: Any) -> bytes:
        return b"".join(self.download(*answers, **options).read(start))

    @property
    def ranges(self) -> list[str | None]:
        return [seen.range for seen in self.proxy.requests]


@pytest.fixture
def store(fault_proxy: Callable[..., FaultProxy]) -> Store:  # noqa: F811 - the fixture
    return Store(fault_proxy(NOWHERE))


def whole(body: bytes = ARCHIVE, *, after: int | None = None, **headers: str | None) -> Fault:
    return Fault(body=body, headers={"ETag": ETAG} | named(headers), after=after)


def part(first: int, stop: int | None = None, body: bytes = ARCHIVE, **headers: str | None) -> Fault:
    stop = len(body) if stop is None else stop
    span = {"Content-Range": f"bytes {first}-{stop - 1}/{len(body)}", "ETag": ETAG}
    return Fault(status=206, headers=span | named(headers), body=body[first:stop])


def named(headers: dict[str, str | None]) -> dict[str, str | None]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


# What is asked for


def test_a_whole_archive_is_one_request(store: Store) -> None:
    download = store.download(whole())
    assert b"".join(download.read(0)) == ARCHIVE
    assert download.identity == Identity(len(ARCHIVE), ETAG)
    assert store.ranges == [None]
    assert store.opened == [False]
    assert store.pauses == []


def test_a_later_start_asks_for_a_range_of_the_same_archive(store: Store) -> None:
    assert store.read(part(150_000), start=150_000, identity=Identity(len(ARCHIVE), ETAG)) == ARCHIVE[150_000:]
    assert [(seen.range, seen.if_match) for seen in store.proxy.requests] == [("bytes=150000-", ETAG)]


def test_a_break_reads_64_kib_again_under_if_match(store: Store) -> None:
    assert store.read(whole(after=100_000), part(100_000 - OVERLAP)) == ARCHIVE
    assert [(seen.range, seen.if_match) for seen in store.proxy.requests] == [
        (None, None),
        (f"bytes={100_000 - OVERLAP}-", ETAG),
    ]


@pytest.mark.parametrize("etag", ['W/"weak"', "unquoted", '"caf\u00e9"', '"two "quotes"', f'"{"e" * 60_000}"', None])
def test_only_a_strong_etag_goes_into_if_match(store: Store, etag: str | None) -> None:
    assert store.read(whole(after=70_000, ETag=etag), part(70_000 - OVERLAP, ETag=etag)) == ARCHIVE
    assert [seen.if_match for seen in store.proxy.requests] == [None, None]


def test_nothing_is_asked_for_behind_the_end(store: Store) -> None:
    assert store.read(start=len(ARCHIVE), identity=Identity(len(ARCHIVE), ETAG)) == b""
    assert store.ranges == []


def test_an_empty_archive_is_read_twice(store: Store) -> None:
    assert store.read(whole(b""), whole(b""), retries=0) == b""
    assert len(store.ranges) == 2


# Where the end is


@pytest.mark.outcome("download", "416 at the very end", "recovers")
@pytest.mark.parametrize(
    "answer",
    [
        Fault(status=416, headers={"Content-Range": "bytes */1000"}, body=b""),
        Fault(status=416, body=b"<Error><Code>InvalidRange</Code><ActualObjectSize>1000</ActualObjectSize></Error>"),
    ],
    ids=["content-range", "s3"],
)
def test_416_at_the_very_end_is_the_end(store: Store, answer: Fault) -> None:
    download = store.download(answer)
    assert b"".join(download.read(1000)) == b""
    assert download.identity.length == 1000


@pytest.mark.parametrize("told", ["bytes */999", "bytes */1001", "nonsense", None])
def test_416_elsewhere_means_another_archive(store: Store, told: str | None) -> None:
    with pytest.raises(SourceChangedError, match="HTTP 416"):
        store.read(Fault(status=416, headers={"Content-Range": told}, body=b""), start=1000)


def test_a_cut_that_looks_like_the_end_is_not_taken_for_it(store: Store) -> None:
    cut = Fault(body=ARCHIVE, framing="close", after=100_000, then="close")
    assert store.read(cut, part(100_000 - OVERLAP)) == ARCHIVE


def test_an_end_without_a_length_is_believed_when_it_is_met_twice(store: Store) -> None:
    endless = Fault(body=ARCHIVE, framing="close")
    assert store.read(endless, endless) == ARCHIVE
    assert store.ranges == [None, f"bytes={len(ARCHIVE) - OVERLAP}-"]
    assert store.pauses == []


def test_a_second_cut_before_the_first_is_not_the_end(store: Store) -> None:
    cuts = [Fault(body=ARCHIVE, framing="close", after=after, then="close") for after in (100_000, 60_000, 100_000)]
    assert store.read(*cuts[:2], part(100_000 - OVERLAP)) == ARCHIVE


def test_nothing_at_all_without_a_length_is_looked_at_twice(store: Store) -> None:
    assert store.read(Fault(body=b"", framing="close"), whole()) == ARCHIVE


def test_a_chunked_body_says_itself_that_it_is_whole(store: Store) -> None:
    assert store.read(Fault(body=ARCHIVE, framing="chunked")) == ARCHIVE
    assert len(store.ranges) == 1


def test_chunks_count_for_more_than_a_length_beside_them(store: Store) -> None:
    download = store.download(Fault(body=ARCHIVE, framing="chunked", headers={"Content-Length": "7"}))
    assert b"".join(download.read(0)) == ARCHIVE
    assert download.identity.length is None


def test_another_part_than_the_one_asked_for_is_not_used(store: Store) -> None:
    assert store.read(part(1001), part(999), part(1000), start=1000) == ARCHIVE[1000:]
    assert len(store.pauses) == 2


def test_a_unit_in_capitals_is_bytes_all_the_same(store: Store) -> None:
    assert store.read(part(1000, Content_Range="Bytes 1000-199999/200000"), start=1000) == ARCHIVE[1000:]


def test_answers_shorter_than_asked_are_joined_without_a_pause(store: Store) -> None:
    answers = [part(0, 80_000), part(80_000 - OVERLAP, 160_000), part(160_000 - OVERLAP)]
    assert store.read(*answers) == ARCHIVE
    assert store.pauses == []


def test_a_part_cut_in_its_middle_is_a_break(store: Store) -> None:
    span = {"Content-Range": "bytes 0-199999/*"}
    cut = Fault(status=206, headers=span, body=ARCHIVE, framing="close", after=100_000, then="close")
    assert store.read(cut, part(100_000 - OVERLAP)) == ARCHIVE
    assert len(store.pauses) == 1


def test_an_answer_with_nothing_new_does_not_go_on_for_ever(store: Store) -> None:
    again = part(100_000 - OVERLAP, 100_000)
    with pytest.raises(SourceUnavailableError, match="nothing new"):
        store.read(whole(after=100_000), *[again] * 6)


def test_what_is_left_over_of_an_answer_is_never_the_next_one(store: Store) -> None:
    smuggled = part(0, 80_000)
    smuggled = Fault(
        status=206,
        headers=smuggled.headers,
        body=smuggled.body,
        extra=b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad",
    )
    assert store.read(smuggled, part(80_000 - OVERLAP)) == ARCHIVE


# The same archive


@pytest.mark.parametrize(
    ("answer", "how"),
    [
        (part(34_464, body=ARCHIVE[:-1]), "199999 bytes now, and had 200000"),
        (part(34_464, ETag='"archive-2"'), "ETag"),
        (part(34_464, body=ARCHIVE[:99_999] + b"?" + ARCHIVE[100_000:]), "bytes before the break"),
        (part(34_464, Content_Encoding="br"), "Content-Encoding is 'br' now, and was 'identity'"),
        (s3_error(412, "No"), "HTTP 412 PreconditionFailed"),
    ],
    ids=["length", "etag", "last-byte", "encoding", "412"],
)
def test_another_archive_is_never_joined(store: Store, answer: Fault, how: str) -> None:
    read: list[bytes] = []
    with pytest.raises(SourceChangedError, match=how) as raised:
        read.extend(store.download(whole(after=100_000), answer).read(0))
    assert b"".join(read) == ARCHIVE[:100_000]
    assert "on_clear='restart'" in str(raised.value)


def test_an_archive_shorter_than_what_was_read_is_another(store: Store) -> None:
    cut = Fault(body=ARCHIVE, framing="close", after=100_000, then="close")
    with pytest.raises(SourceChangedError, match="90000 bytes now"):
        store.read(cut, part(100_000 - OVERLAP, body=ARCHIVE[:90_000]))


def test_an_archive_that_is_stored_encoded_stays_so(store: Store) -> None:
    # Amazon S3 sends the Content-Encoding that an object was stored with, whatever is asked for.
    answers = whole(after=100_000, Content_Encoding="gzip"), part(34_464, Content_Encoding="gzip")
    assert store.read(*answers) == ARCHIVE


def test_more_bytes_than_announced_are_not_passed_on(store: Store) -> None:
    longer = Fault(
        status=206, headers={"Content-Range": "bytes 34464-99999/200000"}, body=ARCHIVE[34_464:], framing="close"
    )
    with pytest.raises(SourceChangedError, match="more than the 100000 bytes"):
        store.read(whole(after=100_000), longer)


# Retries


def test_small_progress_does_not_start_the_count_anew(store: Store) -> None:
    body = ARCHIVE[:60_000]
    with pytest.raises(SourceUnavailableError, match="3 attempts in a row"):
        store.read(*[whole(body, after=after) for after in (10_000, 20_000, 30_000, 40_000)], retries=2)


def test_64_kib_start_the_count_anew(store: Store) -> None:
    answers = [
        whole(after=1_000),
        part_until(0, 70_000),
        part_until(70_000 - OVERLAP, 140_000),
        part(140_000 - OVERLAP),
    ]
    assert store.read(*answers, retries=1) == ARCHIVE


def part_until(first: int, broken_at: int) -> Fault:
    """A part whose transfer is reset at a byte of the archive."""
    whole_part = part(first)
    return Fault(status=206, headers=whole_part.headers, body=whole_part.body, after=broken_at - first)


def test_pauses_double_and_vary(store: Store) -> None:
    assert store.read(*[Fault(status=500, body=b"")] * 5, whole()) == ARCHIVE
    for number, pause in enumerate(store.pauses):
        assert 2**number / 2 <= pause <= 2**number
    assert len(store.pauses) == 5


@pytest.mark.parametrize(
    ("given", "least", "most"),
    [
        ("7", 7, 7),
        ("7.5", 7.5, 7.5),
        (timedelta(seconds=100), 60, 100),
        (format_datetime(datetime(2020, 1, 1, tzinfo=timezone.utc), usegmt=True), 0.5, 1),
        ("-3", 0.5, 1),
        ("soon", 0.5, 1),
    ],
    ids=["seconds", "fraction", "date", "past", "negative", "nonsense"],
)
def test_retry_after_is_honoured(store: Store, given: str | timedelta, least: float, most: float) -> None:
    if isinstance(given, timedelta):  # from now, not from when the tests were collected
        given = format_datetime(datetime.now(timezone.utc) + given, usegmt=True)
    assert store.read(Fault(status=503, headers={"Retry-After": given}, body=b""), whole()) == ARCHIVE
    assert [least <= pause <= most for pause in store.pauses] == [True]


def test_a_worker_is_not_held_for_an_hour(store: Store) -> None:
    with pytest.raises(SourceUnavailableError, match=r"127\.0\.0\.1 asks to wait 3600 s"):
        store.read(Fault(status=429, headers={"Retry-After": "3600"}, body=b""), whole())
    assert store.pauses == []


def test_an_error_whose_body_trickles_is_an_error_all_the_same(store: Store) -> None:
    began = time.monotonic()
    assert store.read(Fault(status=503, body=b"x" * 200_000, rate=1_000), whole(), timeout=0.2) == ARCHIVE
    assert time.monotonic() - began < 100, "all of it takes 200 s"


def test_a_trickle_breaks(store: Store) -> None:
    with pytest.raises(SourceUnavailableError, match=r"only \d+ bytes came|timed out"):
        store.read(*[Fault(body=ARCHIVE, rate=20_000)] * 2, timeout=0.2, retries=1)


def test_a_trickle_is_noticed_however_much_came_before() -> None:
    def slow() -> Iterator[bytes]:
        for chunk in (b"x" * 200_000, b"y", b"y", b"y"):
            time.sleep(0.02)
            yield chunk

    with pytest.raises(Broken, match="only 1 bytes came"):
        list(in_time(slow(), patience=0.01))


def test_the_consumers_own_time_is_no_trickle() -> None:
    passed = []
    for chunk in in_time(iter([b"a", b"b", b"c"]), patience=0.01):
        time.sleep(0.02)
        passed.append(chunk)
    assert passed == [b"a", b"b", b"c"]


# URLs


def test_a_refused_url_is_replaced_at_once(store: Store) -> None:
    assert store.read(s3_error(403, "Request has expired"), whole()) == ARCHIVE
    assert store.opened == [False, True]
    assert store.pauses == []


def test_urls_that_are_all_expired_are_not_asked_for_without_end(store: Store) -> None:
    with pytest.raises(UrlExpiredError, match="also for 2 new URLs from Genesys"):
        store.read(*[s3_error(403, "Request has expired")] * 9)
    assert store.opened == [False, True, True]
    assert sum(store.pauses) <= 1


def test_a_store_that_denies_access_is_not_retried_for_long(store: Store) -> None:
    with pytest.raises(SourceRefusedError, match=r"HTTP 403 AccessDenied.*VPC endpoint"):
        store.read(*[s3_error(403, "Access Denied")] * 9)
    assert store.opened == [False, True, True]


def test_an_accepted_url_starts_that_count_anew(store: Store) -> None:
    refused = s3_error(403, "Request has expired")
    assert store.read(refused, refused, whole(after=100_000), refused, refused, part(34_464)) == ARCHIVE
    assert store.opened == [False, True, True, True, True]


def test_a_url_about_to_die_is_replaced_before_it_is_used(store: Store) -> None:
    download = store.download(whole(after=100_000), part(34_464))
    deaths = iter([timedelta(seconds=30), timedelta(hours=1)])
    opened = download.open_url
    download.open_url = lambda fresh: Signed(opened(fresh).url, datetime.now(timezone.utc) + next(deaths))
    assert b"".join(download.read(0)) == ARCHIVE
    assert store.opened == [False, True]


SKEWED = "The difference between the request time and the current time is too large."


@pytest.mark.parametrize(("off", "way"), [(7200, "behind"), (-7200, "ahead of")])
def test_a_wrong_clock_is_told_from_an_expired_url(store: Store, off: int, way: str) -> None:
    date = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=off), usegmt=True)
    with pytest.raises(SourceRefusedError, match=rf"clock is 7\d\d\d s {way} the store's; set it \(NTP\)"):
        store.read(s3_error(403, SKEWED, "RequestTimeTooSkewed", headers={"Date": date}))
    assert store.opened == [False]


@pytest.mark.parametrize("error", [s3_error(403, SKEWED, "RequestTimeTooSkewed"), s3_error(403, "Not valid yet")])
def test_a_clock_that_is_right_is_not_blamed(store: Store, error: Fault) -> None:
    with pytest.raises(SourceRefusedError, match="the clock that signed the URL is not the store's") as raised:
        store.read(*[error] * 3)
    assert "NTP" not in str(raised.value)


def test_a_wrong_clock_is_named_when_nothing_else_explains_a_refusal(store: Store) -> None:
    late = {"Date": format_datetime(datetime.now(timezone.utc) + timedelta(hours=1), usegmt=True)}
    with pytest.raises(UrlExpiredError, match="behind the store's; set it"):
        store.read(*[s3_error(403, "Request has expired", headers=late)] * 3)


def test_a_redirect_is_not_followed(store: Store, fault_proxy: Callable[..., FaultProxy]) -> None:  # noqa: F811
    elsewhere = fault_proxy(NOWHERE)
    location = f"{elsewhere.url}/?X-Amz-Signature={SECRET}"
    with pytest.raises(SourceRefusedError, match="redirect") as raised:
        store.read(Fault(status=307, headers={"Location": location}, body=b""))
    assert not elsewhere.requests
    assert SECRET not in str(raised.value)


# The network below HTTP


@contextmanager
def raw_server(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Give ``answer`` to everybody who connects and says something; yield the port and what was said."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return  # closed
                with connection:
                    asked.append(connection.recv(4096))
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1], asked
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def read_from(url: str, **settings: Any) -> bytes:
    given: dict[str, Any] = {"timeout": 5.0, "retries": 1} | settings
    signed = Signed(f"{url}/archive/day?X-Amz-Signature={SECRET}")
    download = Download(lambda _: signed, "export-1", settings=DownloadSettings(**given), sleep=lambda _: None)
    return b"".join(download.read(0))


@pytest.mark.outcome("download", "the name of the store is not known (DNS)", "SourceUnavailableError")
def test_a_host_without_a_name_in_dns_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(SourceUnavailableError, match=r"Name or service not known.*worker reaches store.example"):
        read_from("http://store.example")


@pytest.mark.outcome("download", "a TLS alert", "SourceUnavailableError")
def test_a_tls_alert_is_retried() -> None:
    handshake_failure = bytes([21, 3, 3, 0, 2, 2, 40])
    with raw_server(handshake_failure) as (port, _), pytest.raises(SourceUnavailableError, match="HANDSHAKE_FAILURE"):
        read_from(f"https://127.0.0.1:{port}")


@pytest.fixture
def authority(tmp_path: Path) -> tuple[trustme.CA, Path]:
    authority = trustme.CA()
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(path)
    return authority, path


@pytest.fixture
def secure(authority: tuple[trustme.CA, Path], fault_proxy: Callable[..., FaultProxy]) -> FaultProxy:  # noqa: F811
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority[0].issue_cert("127.0.0.1").configure_cert(context)
    return fault_proxy(NOWHERE, tls=context)


def test_a_break_under_tls_is_mended(secure: FaultProxy, authority: tuple[trustme.CA, Path]) -> None:
    secure.plan(whole(after=100_000), part(34_464))
    assert read_from(secure.url, verify=str(authority[1])) == ARCHIVE


@pytest.mark.outcome("download", "a certificate that is not trusted", "ConfigurationError")
def test_a_certificate_that_is_not_trusted_fails_at_once(secure: FaultProxy) -> None:
    with pytest.raises(ConfigurationError, match=r"certificate is not trusted.*'verify_tls'"):
        read_from(secure.url)
    assert not secure.requests


@pytest.mark.outcome("download", "the certificate changes in the middle, to one that is trusted", "recovers")
@pytest.mark.outcome("download", "the certificate changes in the middle, to one that is not", "ConfigurationError")
@pytest.mark.parametrize("trusted", [True, False])
def test_a_certificate_may_change_in_the_middle(
    authority: tuple[trustme.CA, Path],
    fault_proxy: Callable[..., FaultProxy],  # noqa: F811
    *,
    trusted: bool,
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority[0].issue_cert("127.0.0.1").configure_cert(context)
    proxy = fault_proxy(NOWHERE, tls=context)
    proxy.plan(whole(after=100_000), part(34_464))
    renewed = (authority[0] if trusted else trustme.CA()).issue_cert("127.0.0.1", "localhost")
    sent: list[str] = []

    def renew(_: float) -> None:
        renewed.configure_cert(context)
        sent.append("renewed")

    download = Download(
        lambda _: Signed(f"{proxy.url}/archive/day?X-Amz-Signature={SECRET}"),
        "export-1",
        settings=DownloadSettings(timeout=5.0, retries=1, verify=str(authority[1])),
        sleep=renew,
    )
    if trusted:
        assert b"".join(download.read(0)) == ARCHIVE
    else:
        with pytest.raises(ConfigurationError, match="certificate is not trusted"):
            b"".join(download.read(0))
    assert sent == ["renewed"]


def test_a_folder_of_certificates_may_be_given(secure: FaultProxy, authority: tuple[trustme.CA, Path]) -> None:
    with pytest.raises(ConfigurationError, match="certificate is not trusted"):
        read_from(secure.url, verify=str(authority[1].parent))  # it is read, and holds no hashed names


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_wants_a_password_is_told_from_the_store(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with raw_server(answer) as (port, _):
        monkeypatch.setenv(f"{scheme}_proxy", f"http://127.0.0.1:{port}")
        with pytest.raises(ConfigurationError, match="HTTP proxy wants a user name and a password"):
            read_from(f"{scheme}://store.example")


# Being stopped


def test_stop_ends_a_pause(store: Store) -> None:
    download = store.download(*[Fault(status=503, headers={"Retry-After": "250"}, body=b"")] * 2)
    download.sleep = None
    assert_ends(download, store)


def test_stop_ends_a_transfer_that_stalls(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    download = store.download(Fault(body=ARCHIVE, after=100_000, then="stall"), timeout=60.0)
    assert_ends(download, store)
    assert "going on" not in caplog.text


def test_stop_ends_a_transfer_under_tls(secure: FaultProxy, authority: tuple[trustme.CA, Path]) -> None:
    store = Store(secure)
    stalled = Fault(body=ARCHIVE, after=100_000, then="stall")
    assert_ends(store.download(stalled, timeout=60.0, verify=str(authority[1])), store)


def test_stop_ends_a_transfer_without_a_length(store: Store) -> None:
    # Its end looks like the archive's.
    stalled = Fault(body=ARCHIVE, framing="close", after=100_000, then="stall")
    assert_ends(store.download(stalled, timeout=60.0), store)


@pytest.mark.parametrize("size", [1_000, 75_000, 200_000])
def test_stop_tells_a_server_that_waits_for_room(size: int) -> None:
    """Though all that had arrived was read when the connection is closed."""
    told = threading.Event()

    def endless(send: Writer, _: socket.socket) -> None:
        try:
            while True:
                send(ARCHIVE[:size])
        except OSError:
            told.set()

    with served(endless) as url:
        settings = DownloadSettings(retries=0, timeout=10.0)
        download = Download(lambda _: Signed(url), "export-1", settings=settings)
        reading = download.read(0)
        next(reading)
        time.sleep(0.3)
        download.stop()
        with pytest.raises(SourceUnavailableError, match="being stopped"):
            list(reading)
        assert told.wait(60)


def assert_ends(download: Download, store: Store) -> None:
    """Stop a read that waits; it ends soon, with an error, and asks for nothing more."""
    errors: list[Exception] = []

    def read() -> None:
        try:
            list(download.read(0))
        except GenesysError as error:
            errors.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    time.sleep(0.2)
    assert thread.is_alive()
    download.stop()
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert [str(error).endswith("the task is being stopped.") for error in errors] == [True]
    assert len(store.ranges) == 1


def test_a_download_that_was_stopped_asks_for_nothing(store: Store) -> None:
    download = store.download(whole())
    download.stop()
    with pytest.raises(SourceUnavailableError, match="being stopped"):
        list(download.read(0))
    assert not store.proxy.requests


def test_a_download_that_is_stopped_while_its_answer_comes_does_not_read_it(store: Store) -> None:
    download = store.download(whole())
    open_url = download.open_url

    def stopped(fresh: bool) -> Signed:
        download.stop()
        return open_url(fresh)  # type: ignore[return-value]  # it is the store's

    download.open_url = stopped
    with pytest.raises(SourceUnavailableError, match="being stopped"):
        next(download.read(0))
    assert store.ranges == [None]


def test_a_reader_that_goes_away_closes_the_connection(store: Store) -> None:
    reading = store.download(Fault(body=ARCHIVE, after=100_000, then="stall")).read(0)
    next(reading)
    reading.close()  # type: ignore[attr-defined]  # it is a generator
    began = time.monotonic()
    store.proxy.close()  # waits for the stalled answer, which ends when the client has gone
    assert time.monotonic() - began < 30


# What is told


@pytest.mark.parametrize(
    "answers",
    [
        [s3_error(404, "The specified key does not exist.")],
        [s3_error(403, "Request has expired")] * 3,
        [Fault(status=500, body=b"")] * 6,
        [Fault(no_head=True)] * 6,
        [whole(after=100_000), part(34_464, ETag='"another"')],
        [Fault(status=418, body=b"")],
    ],
    ids=["gone", "expired", "busy", "reset", "changed", "teapot"],
)
def test_messages_and_logs_say_where_and_hold_no_signature(
    store: Store, answers: list[Fault], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(GenesysError) as raised:
        store.read(*answers)
    error: BaseException | None = raised.value
    assert "export-1" in str(error)
    while error is not None:
        assert SECRET not in f"{error!r} {error}"
        error = error.__cause__ or error.__context__
    assert "httpcore.http11" in {record.name for record in caplog.records}
    assert SECRET not in caplog.text


def test_httpx_logs_no_query(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "httpx")
    store.read(whole())
    assert [record.name for record in caplog.records if "/archive/day?..." in record.getMessage()] == ["httpx"]
    assert SECRET not in caplog.text


BAD_FIRST = {
    "html": whole(b"<html>Sign in</html>", Content_Type="text/html"),
    "html by its bytes": whole(b"\xef\xbb\xbf\n<!doctype html>Sign in", Content_Type="application/octet-stream"),
    "xml": whole(b"<Error><Code>InternalError</Code></Error>", Content_Type="application/xml"),
    "json": whole(b'{"message": "no healthy upstream", "code": "x", "status": 200, "details": [{"fieldName": "a"}]}'),
    "json of Spring": whole(b'{"timestamp": 5, "status": 200, "error": "none", "path": "/"}'),
    "empty": whole(b""),
    "204": Fault(status=204, body=b""),
    "202": Fault(status=202, body=b'{"status": "warming"}'),
}


@pytest.mark.outcome("download", "the first answer is HTML, XML, a JSON error, empty, 202 or 204", "recovers")
@pytest.mark.parametrize("bad", BAD_FIRST)
@pytest.mark.parametrize("times", [1, 3])
def test_a_bad_first_answer_is_made_good_by_the_next(store: Store, bad: str, times: int) -> None:
    count = 1 if bad == "empty" else times
    assert store.read(*[BAD_FIRST[bad]] * count, whole(ARCHIVE)) == ARCHIVE
    assert store.ranges == [None] * (count + 1)


@pytest.mark.outcome("download", "each answer is HTML, XML, a JSON error or 204", "NotTheFileError")
@pytest.mark.parametrize("bad", BAD_FIRST)
def test_bad_first_answers_for_good_end_it(store: Store, bad: str) -> None:
    if bad == "empty":  # it is believed
        assert store.read(*[BAD_FIRST[bad]] * 2) == b""
        return
    with pytest.raises(NotTheFileError, match=r"from byte 0 on: .*(the response is|HTTP 20).*captive portal"):
        store.read(*[BAD_FIRST[bad]] * 4, whole(), retries=99)
    assert len(store.ranges) == 4
    assert sum(store.pauses) < 10


def test_a_page_for_good_in_the_middle_ends_it(store: Store) -> None:
    page = whole(b"<html>Sign in</html>", Content_Type="text/html")
    with pytest.raises(NotTheFileError, match=r"from byte 100000 on: .*HTTP 200 with text/html.*captive portal"):
        store.read(whole(after=100_000), *[page] * 4, retries=99)


@pytest.mark.outcome("download", "an answer in the middle is HTML, XML, a JSON error or 204", "recovers")
@pytest.mark.parametrize("for_good", [False, True])
@pytest.mark.parametrize("bad", BAD_FIRST)
def test_a_bad_answer_in_the_middle_is_made_good_by_the_next(store: Store, bad: str, *, for_good: bool) -> None:
    answer = whole(b"", ETag=None) if bad == "empty" else BAD_FIRST[bad]
    answers = [whole(after=100_000), *[answer] * (4 if for_good else 2), part(100_000 - OVERLAP)]
    with pytest.raises(NotTheFileError, match="from byte 100000 on") if for_good else nullcontext():
        assert store.read(*answers, retries=99) == ARCHIVE


@pytest.mark.outcome("download", "the head of an answer trickles for ever", "SourceUnavailableError")
@pytest.mark.parametrize("kind", TRICKLES)
def test_an_answer_that_trickles_for_ever_ends(kind: str) -> None:
    server, began = Trickle(*TRICKLES[kind]), time.monotonic()
    settings = DownloadSettings(timeout=0.2, retries=1, verify=False)
    download = Download(lambda _: Signed(server.url), "export-1", settings=settings, sleep=lambda _: None)
    with pytest.raises(SourceUnavailableError, match=r"slow|timed out|came in"):
        list(download.read(0))
    server.close()
    assert time.monotonic() - began < 60


def test_other_breaks_between_pages_are_counted_alone(store: Store) -> None:
    page, error = BAD_FIRST["html"], Fault(status=503)
    assert store.read(page, page, page, error, page, page, page, whole(), retries=9) == ARCHIVE


@pytest.mark.parametrize(
    "first",
    [
        b'{"recordingId": "r", "message": "x", "status": 5}',
        b'{"timestamp": "2026-11-22T10:00:00Z", "recordingId": "r"}',
        b'{"message": "a"}\n{"recordingId": "r"}\n',
        b'{"status": "x"}',
        b"{}",
        b"[]",
        b" \n",
        b'"x"',
        b'{"message": "cut',
    ],
)
def test_what_can_be_an_archive_is_one(store: Store, first: bytes) -> None:
    assert store.read(whole(first)) == first
    assert len(store.ranges) == 1


def test_nothing_packed_is_asked_for() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    with raw_server(answer) as (port, asked):
        assert read_from(f"http://127.0.0.1:{port}") == b"ok"
    assert b"Accept-Encoding: identity\r\n" in asked[0]
    assert b"User-Agent: airflow-provider-genesys/" in asked[0]


def test_a_gzip_is_passed_on_as_it_is(store: Store) -> None:
    packed = gzip.compress(b"a record\n") * 3  # several members, of which httpx would unpack the first
    assert store.read(whole(packed, Content_Encoding="gzip")) == packed
