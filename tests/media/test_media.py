"""Media from the fake Genesys into an S3 server: what becomes of each fault. Kills: tests/media/test_crash_media.py"""

from __future__ import annotations

import gzip
import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from typing import Any

import msgspec
import pytest
import tenacity

from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.exports.base import Page
from airflow_provider_genesys.cloud.http import shared
from airflow_provider_genesys.cloud.http.client import ATTEMPTS, CloudClient
from airflow_provider_genesys.exceptions import (
    CloudUnavailableError,
    PermissionDeniedError,
    RecordError,
    RequestRefusedError,
    SourceUnavailableError,
)
from airflow_provider_genesys.media.batches import PATH, MediaBatches, Patience, Recording
from airflow_provider_genesys.media.expected import expected_media
from airflow_provider_genesys.media.fetch import UNAVAILABLE, Media
from airflow_provider_genesys.media.index import Conversations, Index, recording_metadata
from airflow_provider_genesys.media.store import PIECE, MediaFile, MediaStore
from airflow_provider_genesys.stores.s3 import S3Store
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from airflow_provider_genesys.testing.services import S3Server
from tests.sinks.lake import Bucket

MEDIA = "/archive/media/"
AT_ONCE, API_THREADS = 3, 4
IDS = [f"conversation-{number}" for number in range(12)]
Scenes = Callable[..., "Scene"]


class Scene:
    """One fake Genesys, and a bucket."""

    def __init__(self, genesys: FakeGenesys, s3: S3Server, bucket: str) -> None:
        self.genesys = genesys
        given = genesys.connection()
        config = CloudConfig.from_connection(
            login=given["login"], password=given["password"], host=given["host"], extra=given["extra"]
        )
        self.client = CloudClient(config, patience=1.0)
        self.bucket = Bucket(s3.client(), bucket)
        self.store = MediaStore(S3Store(s3.client(), bucket), "media")
        self.stopped = threading.Event()
        self.opened: list[Media] = []
        self.batches = MediaBatches(self.client, Patience(0.01, 0.02, 20), self.stopped)

    def media(self, index: Index) -> Media:
        media = Media(
            index,
            lambda one: recording_metadata(self.client, one),
            self.batches,
            self.store,
            self.client.config,
            stopped=self.stopped,
            at_once=AT_ONCE,
        )
        self.opened.append(media)
        return media

    def pages(self, ids: list[str] = IDS, index: Index | None = None) -> list[Page]:
        media, pages = self.media(index or of_ids(ids)), []
        cursor: str | None = None
        while not pages or cursor:
            pages.append(media.read(0, cursor))
            cursor = pages[-1].cursor
        return pages

    def outcome(self, ids: list[str] = IDS) -> tuple[list[dict[str, Any]], list[RecordError]]:
        pages = self.pages(ids)
        refused = [error for page in pages for error in page.refused.values()]
        kept = [
            msgspec.json.decode(record)
            for page in pages
            for place, record in enumerate(page.records)
            if place not in page.refused
        ]
        return kept, refused

    def fetched(self) -> int:
        return sum(seen.path.startswith(MEDIA) for seen in self.genesys.requests)


def of_ids(ids: list[str]) -> Index:
    return lambda _, cursor: Conversations(ids[int(cursor or 0) :][:4], _following(int(cursor or 0), ids))


def _following(start: int, ids: list[str]) -> str | None:
    return str(start + 4) if start + 4 < len(ids) else None


@pytest.fixture
def scene(s3: S3Server, bucket: str) -> Iterator[Scenes]:
    shared._known.clear()
    scenes: list[Scene] = []

    def make(**settings: Any) -> Scene:
        fake = FakeGenesys(**{"recordings_each": 1, "requests_per_minute": 100_000} | settings).start()
        scenes.append(Scene(fake, s3, bucket))
        return scenes[-1]

    yield make
    for one in scenes:
        for media in one.opened:
            media.close()
        one.client.close()
        one.genesys.close()


def test_every_file_is_stored_with_its_digest_and_found_again(scene: Scenes) -> None:
    at = scene(job_polls=2)
    records, refused = at.outcome()
    assert (len(records), refused, at.fetched()) == (12, [], 12)
    for record in records:
        body = at.bucket.read(record["mediaKey"])
        source = b"".join(at.genesys.media.files[_path_of(at, record)].chunks(0, len(body)))
        assert (body, len(body), sha256(body).hexdigest()) == (source, record["mediaBytes"], record["mediaSha256"])
    batches = len(at.genesys.media.batches)
    assert at.outcome() == (records, [])
    assert (at.fetched(), len(at.genesys.media.batches)) == (12, batches)


def test_a_page_says_how_many_bytes_of_media_were_fetched_for_it(scene: Scenes) -> None:
    at = scene()
    pages = at.pages(IDS[:4])
    sizes = [msgspec.json.decode(record)["mediaBytes"] for page in pages for record in page.records]
    assert sum(page.media_bytes for page in pages) == sum(sizes) > 0
    assert sum(page.media_bytes for page in at.pages(IDS[:4])) == 0  # they are there


def test_files_come_over_connections_that_are_kept(scene: Scenes, monkeypatch: pytest.MonkeyPatch) -> None:
    at, opened, connect = scene(), [], socket.create_connection

    def count(address: tuple[str, int], *rest: Any, **more: Any) -> socket.socket:
        opened.append(address)
        return connect(address, *rest, **more)

    monkeypatch.setattr(socket, "create_connection", count)
    assert len(at.pages()) == 3
    used = [address for address in opened if at.genesys.url.endswith(f":{address[1]}")]
    assert at.fetched() == 12
    assert 0 < len(used) <= AT_ONCE + API_THREADS + 1


def test_nobody_waits_for_the_last_file_of_a_page(scene: Scenes) -> None:
    at, of_the_next_page = scene(), threading.Event()
    write = at.store.write

    def writing(key: str, content_type: str, chunks: Iterable[bytes]) -> MediaFile:
        if IDS[0] in key:
            assert of_the_next_page.wait(20)
        elif IDS[5] in key:
            of_the_next_page.set()
        return write(key, content_type, chunks)

    at.store.write = writing  # type: ignore[method-assign]
    assert len(at.outcome()[0]) == 12


def _path_of(at: Scene, record: dict[str, Any]) -> str:
    return next(path for path in at.genesys.media.files if record["id"] in path)


def test_what_somebody_removed_is_fetched_again(scene: Scenes) -> None:
    at = scene()
    records, _ = at.outcome()
    at.store._store.delete(records[3]["mediaKey"])
    assert at.outcome() == (records, [])
    assert at.fetched() == 13


def test_a_large_file_is_sent_in_pieces_and_leftovers_of_a_killed_attempt_are_removed(scene: Scenes) -> None:
    at = scene(media_bytes=(2 * PIECE, 2 * PIECE + 999))
    key = at.store.key("c", "r", "audio/ogg", 1)
    at.store._store.upload(key).send(b"x" * PIECE)
    file = at.store.write(key, "audio/ogg", [b"y" * PIECE, b"z" * (PIECE + 1)])
    assert (len(at.bucket.read(key)), file.bytes, at.bucket.uploads()) == (2 * PIECE + 1, 2 * PIECE + 1, [])
    records, _ = at.outcome(IDS[:2])
    assert all(sha256(at.bucket.read(one["mediaKey"])).hexdigest() == one["mediaSha256"] for one in records)


@pytest.mark.outcome("download", "the URLs of media expire before they are used", "recovers")
def test_expired_urls_are_asked_for_again_in_a_new_batch(scene: Scenes) -> None:
    at = scene()
    real = at.batches.results

    def expiring(wanted: list[Recording]) -> Any:
        results = real(wanted)
        if len(wanted) > 1:
            at.genesys.expire_urls()
        return results

    at.batches.results = expiring  # type: ignore[assignment]
    records, refused = at.outcome(IDS[:3])
    assert (len(records), refused) == (3, [])
    assert len(at.genesys.media.batches) > 1


@pytest.mark.outcome("download", "the transfer of a media file is cut", "recovers")
def test_a_transfer_that_is_cut_goes_on(scene: Scenes) -> None:
    at = scene()
    at.genesys.media.cut = 2
    records, refused = at.outcome(IDS[:2])
    assert (len(records), refused) == (2, [])
    assert all(sha256(at.bucket.read(one["mediaKey"])).hexdigest() == one["mediaSha256"] for one in records)


@pytest.mark.outcome("download", "a media file is not there (404), or refused (403) for new URLs, too", "dead letter")
@pytest.mark.parametrize("status", [403, 404])
def test_a_file_that_the_store_refuses_is_rejected(scene: Scenes, status: int) -> None:
    at = scene()
    at.genesys.fail_next(MEDIA, status=status, times=9 if status == 403 else 1)
    records, refused = at.outcome(IDS[:1] if status == 403 else IDS[:2])
    assert [error.rule for error in refused] == ["media-refused"]
    assert str(status) in str(refused[0])
    assert "X-Amz-Signature" not in str(refused[0])
    assert len(records) == (0 if status == 403 else 1)


HTML = b"<!doctype html><title>Sign in</title>"
XML = b"<?xml version='1.0'?><Error><Code>InternalError</Code><Message>Please try again.</Message></Error>"
BAD = {
    "html": ({"Content-Type": "text/html"}, HTML),
    "html by its bytes": ({"Content-Type": "audio/ogg"}, HTML),
    "xml": ({"Content-Type": "application/xml"}, XML),
    "json": ({"Content-Type": "application/json"}, b'{"message": "no", "code": "bad.gateway", "status": 502}'),
    "empty": ({"Content-Type": "audio/ogg"}, b""),
}


def only_file(at: Scene) -> str:
    """The path of the one file of the first conversation, and of no other."""
    [metadata] = recording_metadata(at.client, IDS[0]) or []
    return f"{MEDIA}{metadata['id']}"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloads wait for next to nothing between two requests."""
    monkeypatch.setattr("airflow_provider_genesys.source.download._BACKOFF", (0.01, 0.01))
    monkeypatch.setattr("airflow_provider_genesys.source.download._BEFORE_AGAIN", 0.01)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests are repeated without a pause."""
    monkeypatch.setattr("airflow_provider_genesys.cloud.http.client._backoff", tenacity.wait_none())


@pytest.mark.usefixtures("quick")
@pytest.mark.outcome("download", "200 with HTML, the store's XML, JSON or nothing in place of media", "recovers")
@pytest.mark.parametrize("bad", BAD)
def test_a_page_in_place_of_media_is_asked_for_again(scene: Scenes, bad: str) -> None:
    at, (headers, body) = scene(), BAD[bad]
    at.genesys.fail_next(only_file(at), status=200, headers=headers, body=body)
    [record], refused = at.outcome(IDS[:1])
    assert refused == []
    assert len(at.bucket.read(record["mediaKey"])) == record["mediaBytes"] > 1000


@pytest.mark.usefixtures("quick")
@pytest.mark.outcome("download", "the same for good, for one recording", "dead letter")
@pytest.mark.parametrize("bad", BAD)
def test_a_page_for_good_in_place_of_media_is_rejected(scene: Scenes, bad: str) -> None:
    at, (headers, body) = scene(), BAD[bad]
    at.genesys.fail_next(only_file(at), status=200, headers=headers, body=body, times=99)
    records, refused = at.outcome(IDS[:4])
    assert [error.rule for error in refused] == ["media-refused" if bad == "empty" else UNAVAILABLE]
    assert len(records) == 3
    assert at.fetched() < 20


@pytest.mark.usefixtures("quick")
@pytest.mark.outcome("download", "500, 502, 503 or 504 for good, for one recording", "dead letter")
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_file_that_answers_with_an_error_for_ever_is_rejected(scene: Scenes, status: int) -> None:
    at = scene()
    at.genesys.fail_next(only_file(at), status=status, times=99)
    records, refused = at.outcome(IDS[:4])
    assert [error.rule for error in refused] == [UNAVAILABLE]
    assert len(records) == 3
    assert str(status) in str(refused[0])


@pytest.mark.usefixtures("quick")
@pytest.mark.outcome("download", "503 for good, for the one file that an earlier try left", "dead letter")
def test_a_file_that_fails_for_ever_is_rejected_when_all_others_are_stored_already(scene: Scenes) -> None:
    at = scene()
    path = only_file(at)
    at.genesys.fail_next(path, status=404)
    at.pages(IDS[:4])
    at.genesys.fail_next(path, status=503, times=99)
    records, refused = at.outcome(IDS[:4])
    assert ([error.rule for error in refused], len(records)) == ([UNAVAILABLE], 3)


@pytest.mark.usefixtures("quick")
def test_a_file_that_fails_for_ever_is_rejected_while_all_others_wait_for_it(
    scene: Scenes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.AT_ONCE", 1)
    at = scene()
    at.genesys.fail_next(only_file(at), status=504, times=99)
    records, refused = at.outcome(IDS[:4])
    assert ([error.rule for error in refused], len(records)) == ([UNAVAILABLE], 3)


@pytest.mark.usefixtures("quick")
@pytest.mark.outcome("download", "500 for good, for all recordings of a page", "SourceUnavailableError")
def test_an_outage_rejects_nothing(scene: Scenes) -> None:
    at = scene(recordings_each=3)
    at.genesys.fail_next(MEDIA, status=500, times=10_000)
    with pytest.raises(SourceUnavailableError, match="None of 12 recordings can be had"):
        at.pages(IDS[:4])


@pytest.mark.usefixtures("quick")
@pytest.mark.outcome("download", "503 for good, for all recordings of a page", "SourceUnavailableError")
def test_a_store_that_is_busy_rejects_nothing(scene: Scenes) -> None:
    at = scene()
    at.genesys.fail_next(MEDIA, status=503, times=999)
    with pytest.raises(SourceUnavailableError, match="503"):
        at.pages(IDS[:4])


@pytest.mark.usefixtures("quick")
def test_a_store_that_becomes_busy_after_the_first_files_rejects_nothing(scene: Scenes) -> None:
    at = scene()
    stored = threading.Event()

    def index(job: int, cursor: str | None) -> Conversations:
        if cursor and stored.wait(20):
            at.genesys.fail_next(MEDIA, status=503, times=999)
        return of_ids(IDS[:8])(job, cursor)

    media = at.media(index)
    ready = media._prepare(0, None)
    assert all(outcome.result() for outcome in ready.outcomes)
    stored.set()
    with pytest.raises(SourceUnavailableError, match="503"):
        media.read(0, ready.cursor)


@pytest.mark.outcome("download", "media with Content-Encoding: gzip", "recovers")
@pytest.mark.parametrize("pack", [gzip.compress, lambda text: gzip.compress(text[:9]) + gzip.compress(text[9:])])
def test_a_transcript_that_its_store_packed_is_stored_as_it_is(scene: Scenes, pack: Callable[[bytes], bytes]) -> None:
    at, text = scene(), b'{"transcripts": [{"phrases": []}]}' * 50
    at.genesys.fail_next(only_file(at), status=200, headers={"Content-Encoding": "gzip"}, body=pack(text))
    [record], refused = at.outcome(IDS[:1])
    assert refused == []
    assert at.bucket.read(record["mediaKey"]) == text
    assert (record["mediaBytes"], record["mediaSha256"]) == (len(text), sha256(text).hexdigest())


@pytest.mark.outcome("download", "media that cannot be unpacked", "dead letter")
@pytest.mark.parametrize(("encoding", "body"), [("br", b"x" * 99), ("gzip", gzip.compress(b"x" * 99, mtime=0)[:-4])])
def test_what_cannot_be_unpacked_is_rejected(scene: Scenes, encoding: str, body: bytes) -> None:
    at = scene()
    at.genesys.fail_next(only_file(at), status=200, headers={"Content-Encoding": encoding}, body=body)
    records, refused = at.outcome(IDS[:2])
    assert ([error.rule for error in refused], len(records)) == (["media-refused"], 1)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b'{"recordingId": "r", "message": "hello"}'),
        ("text/html; charset=utf-8", HTML),
        ("message/rfc822", b"From: a@example.org\r\n\r\n<p>Hello</p>"),
        ("application/xml", b"<transcript/>"),
        ("audio/ogg", b"OggS\0\x02" + bytes(600)),
        ("audio/ogg", b"<\xff\xfe\x00" + bytes(600)),
        ("audio/ogg", b"RIFF....WAVE" + bytes(600)),
        ("", b'{"recordingId": "r"}'),
        ("", gzip.compress(b"x" * 600, mtime=0)),
        ("audio/basic", bytes(600)),
        ("application/zip", b"PK\3\4" + bytes(600)),
        ("application/json", b"[]"),
        ("application/json; charset=utf-8", '{"text": "Grüß Gott"}'.encode()),
        ("audio/mpeg", b"\xff\xfb\x90\x64" + bytes(600)),
    ],
)
def test_what_can_be_media_is(kind: str, body: bytes) -> None:
    assert expected_media(kind).fault(body, ended=True) == ""


@pytest.mark.parametrize(
    ("kind", "body", "says"),
    [
        ("audio/ogg", b"%PDF-1.7" + bytes(600), "a PDF, in place of audio/ogg"),
        ("audio/ogg", b'{"recordingId": "r"}', "a page or an error in place of audio/ogg"),
        ("video/mp4", b"\x89PNG\r\n" + bytes(600), "a PNG image"),
        ("audio/ogg", bytes(600), "512 zero bytes|600 zero bytes"),
        ("application/json", b"\x82\xa3\x00\xff" * 200, "a binary file"),
        ("application/json", b"try again later", "text in place of application/json"),
        ("text/plain", b"PK\3\4" + bytes(600), "a zip file"),
    ],
)
def test_what_cannot_be_the_media_is_named(kind: str, body: bytes, says: str) -> None:
    assert re.search(says, expected_media(kind).fault(body, ended=True) or "")


def test_a_packed_file_that_does_not_say_so_is_rejected(scene: Scenes) -> None:
    at = scene()
    at.genesys.fail_next(only_file(at), status=200, body=gzip.compress(b'{"transcripts": []}' * 50))
    records, refused = at.outcome(IDS[:2])
    assert ([error.rule for error in refused], len(records)) == (["media-refused"], 1)
    assert "a gzip file without a Content-Encoding" in str(refused[0])


BROKEN = {
    "half a surrogate pair": b'"\\ud83d"',
    "NaN": b"NaN",
    "a tab": b'"a\tb"',
    "1,500 nested lists": b"[" * 1500 + b"]" * 1500,
}


@pytest.mark.outcome("jobs", "the metadata of one recording is no JSON", "dead letter")
@pytest.mark.parametrize("text", BROKEN)
def test_metadata_whose_text_is_broken_is_rejected_and_the_others_arrive(scene: Scenes, text: str) -> None:
    at = scene(recordings_each=2)
    path = f"/api/v2/conversations/{IDS[0]}/recordingmetadata"
    good = at.client.decode(path, bytes)
    body = good.replace(b"{", b'{"mediaSubject": ' + BROKEN[text] + b", ", 1)
    at.genesys.fail_next(path, status=200, body=body)
    [page] = at.pages(IDS[:2])
    assert [error.rule for error in page.refused.values()] == ["not-json"]
    assert list(page.refused) == [0]
    assert bytes(page.records[0]) in body
    assert page.ids[0].split("/")[1] in good.decode()
    assert len(page.records) == 4


@pytest.mark.outcome("jobs", "an element that is no object among the metadata of recordings", "dead letter")
def test_metadata_that_is_no_object_is_rejected_and_the_others_arrive(scene: Scenes) -> None:
    at = scene()
    path = f"/api/v2/conversations/{IDS[0]}/recordingmetadata"
    at.genesys.fail_next(path, status=200, body=b'[5,"r",null,["r"],' + at.client.decode(path, bytes)[1:])
    [page] = at.pages(IDS[:1])
    assert [error.rule for error in page.refused.values()] == ["not-an-object"] * 4
    assert [bytes(record) for record in page.records[:4]] == [b"5", b'"r"', b"null", b'["r"]']
    assert len(page.records) == 5


def test_metadata_is_kept_with_the_digits_in_which_it_was_written(scene: Scenes) -> None:
    at = scene()
    path = f"/api/v2/conversations/{IDS[0]}/recordingmetadata"
    written = b'"odd":{"a":1e-400,"b":1.0,"c":123456789012345678901234567890,"d":1E5,"e":-0,"f":[1.10],"a":2}'
    body = at.client.decode(path, bytes).replace(b"{", b"{" + written + b", ", 1)
    for _ in range(2):
        at.genesys.fail_next(path, status=200, body=body)
        [page] = at.pages(IDS[:1])
        assert written in bytes(page.records[0])
    [described] = [key for key in at.bucket.listed("media/") if key.endswith(".metadata.json")]
    assert written in msgspec.json.format(at.bucket.read(described), indent=-1)
    assert at.fetched() == 1


@pytest.mark.usefixtures("at_once")
@pytest.mark.outcome("jobs", "400, 500, 502, 503 or 504 for good, for one conversation", "dead letter")
@pytest.mark.parametrize("status", [400, 500, 502, 503, 504])
def test_a_conversation_that_fails_for_ever_is_rejected(scene: Scenes, status: int) -> None:
    at = scene()
    at.genesys.fail_next(f"/api/v2/conversations/{IDS[1]}/recordingmetadata", status=status, times=99)
    [page] = at.pages(IDS[:4])
    assert [(place, error.rule) for place, error in page.refused.items()] == [(1, UNAVAILABLE)]
    assert str(status) in str(page.refused[1])


@pytest.mark.usefixtures("at_once")
@pytest.mark.outcome("jobs", "502, 503 or 504 for good, for the only conversation of a page", "dead letter")
@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_conversation_alone_on_its_page_is_rejected_if_genesys_answers_for_another(
    scene: Scenes, status: int
) -> None:
    at = scene()
    at.genesys.fail_next(f"/api/v2/conversations/{IDS[1]}/recordingmetadata", status=status, times=99)
    [page] = at.pages(IDS[1:2])
    assert [error.rule for error in page.refused.values()] == [UNAVAILABLE]


@pytest.mark.usefixtures("at_once")
@pytest.mark.outcome("jobs", "502, 503 or 504 for good, for the only recording of a batch", "dead letter")
@pytest.mark.parametrize("status", [502, 504])
def test_a_recording_alone_in_its_batch_is_rejected_if_genesys_answers_for_another(scene: Scenes, status: int) -> None:
    at, real = scene(), CloudClient.request
    [one] = _of(at, 0)

    def refuse(client: CloudClient, method: str, path: str, **options: Any) -> Any:
        if one["id"] in str(options.get("json")):
            at.genesys.fail_next(PATH, status=status, times=ATTEMPTS)
        return real(client, method, path, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(CloudClient, "request", refuse)
        [result] = at.batches.results([Recording(IDS[0], one["id"])])
    assert result.unavailable


@pytest.mark.outcome("jobs", "403 for one conversation, and not for all", "dead letter")
def test_a_conversation_that_the_client_may_not_see_is_rejected(scene: Scenes) -> None:
    at = scene()
    at.genesys.fail_next(f"/api/v2/conversations/{IDS[1]}/recordingmetadata", status=403, times=99)
    [page] = at.pages(IDS[:4])
    assert [(place, error.rule) for place, error in page.refused.items()] == [(1, "permission-denied")]
    assert "Give the OAuth client a role" in str(page.refused[1])
    with pytest.raises(PermissionDeniedError, match="Give the OAuth client a role"):
        at.pages(IDS[1:2])


@pytest.mark.usefixtures("at_once")
@pytest.mark.outcome("jobs", "503 for good, for all conversations", "CloudUnavailableError")
@pytest.mark.parametrize("ids", [IDS[:4], IDS[1:2]])
def test_a_conversation_that_meets_an_outage_is_not_rejected(scene: Scenes, ids: list[str]) -> None:
    at = scene()
    at.genesys.fail_next("/api/v2/conversations/", status=503, times=999)
    with pytest.raises(CloudUnavailableError):
        at.pages(ids)


@pytest.mark.usefixtures("at_once")
@pytest.mark.outcome("jobs", "400, 500 or 503 for a batch with one recording in it", "dead letter")
@pytest.mark.parametrize("status", [400, 500, 503])
def test_a_recording_that_spoils_its_batch_is_found_and_rejected(scene: Scenes, status: int) -> None:
    at, real = scene(recordings_each=5), CloudClient.request
    bad = _of(at, 1)[3]["id"]

    def refuse(client: CloudClient, method: str, path: str, **options: Any) -> Any:
        if bad in str(options.get("json")):
            at.genesys.fail_next(PATH, status=status, times=1 if status == 400 else ATTEMPTS)
        return real(client, method, path, **options)

    wanted = [Recording("c1", one["id"]) for one in _of(at, 1)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(CloudClient, "request", refuse)
        results = at.batches.results(wanted)
    assert [one.recording.recording_id for one in results if one.unavailable] == [bad]
    assert len(results) == 5
    assert sum(one.url is not None for one in results) == 4


@pytest.mark.outcome("jobs", "a batch request says COMPLETED, or has all its results and no status", "recovers")
@pytest.mark.parametrize(
    ("answer", "results"),
    [
        ({"status": "COMPLETED", "results": []}, 0),
        ({"expectedResultCount": 1, "results": [{"conversationId": "c", "recordingId": "r", "errorMsg": "no"}]}, 1),
        ({"status": "Completed", "results": None}, 0),
        ({"status": "Completed", "results": ["?", {"resultUrl": 7}, {"resultUrl": "/path"}]}, 2),
        ({"status": "FULFILLED", "results": []}, 0),
        ({"status": "PROCESSING", "expectedResultCount": 1, "results": [{"errorMsg": "no"}]}, 1),
        ({"expectedResultCount": "1", "results": [{"errorMsg": "no"}]}, 1),
        ({"status": {}, "expectedResultCount": 1, "results": [{"errorMsg": "no"}]}, 1),
        ({"expectedResultCount": 1, "resultCount": 0, "errorCount": 1, "results": []}, 0),
        ({"expectedResultCount": 1, "results": [{"errorMsg": "no"}, {"errorMsg": "nor that"}]}, 2),
    ],
)
def test_a_batch_has_ended_when_it_says_so_or_all_is_there(scene: Scenes, answer: Any, results: int) -> None:
    at = scene(job_polls=3)
    at.genesys.fail_next(f"{PATH}/", status=200, body=answer)
    found = at.batches.results([Recording("c", "r")])
    assert len(found) == results
    assert all(one.error and one.url is None for one in found)


@pytest.mark.outcome("jobs", "a batch request without a status expects nothing, or lacks its counts", "recovers")
@pytest.mark.parametrize(
    ("answer", "results"),
    [
        ({"expectedResultCount": 0, "resultCount": 0}, 0),
        ({"expectedResultCount": "0", "results": []}, 0),
        ({"status": "", "expectedResultCount": 2, "resultCount": 2, "results": [{"errorMsg": "no"}]}, 1),
        ({"results": [{"conversationId": "c", "recordingId": "r", "errorMsg": "no"}]}, 1),
    ],
)
def test_a_batch_that_seems_complete_is_believed_when_it_stays_so(scene: Scenes, answer: Any, results: int) -> None:
    at = scene(job_polls=99)
    at.genesys.fail_next(f"{PATH}/", status=200, body=answer, times=3)
    at.genesys.fail_next(f"{PATH}/", status=200, body={"expectedResultCount": 5, "results": []})
    at.genesys.fail_next(f"{PATH}/", status=200, body=answer, times=4)
    looks = len(at.genesys.requests)
    assert len(at.batches.results([Recording("c", "r")])) == results
    assert sum(PATH in seen.path for seen in list(at.genesys.requests)[looks:]) == 1 + 8


@pytest.mark.outcome("jobs", "a batch request ends FAILED, with one recording in it", "dead letter")
@pytest.mark.parametrize("status", ["FAILED", "Error", "CANCELLED"])
def test_a_batch_that_failed_is_asked_for_in_halves(scene: Scenes, status: str) -> None:
    at, real = scene(recordings_each=5), CloudClient.request
    bad, poisoned = _of(at, 1)[3]["id"], set[str]()

    def fail(client: CloudClient, method: str, path: str, **options: Any) -> Any:
        if method == "GET" and path.rpartition("/")[2] in poisoned:
            return {"status": status, "errorMsg": "broken inside", "results": []}
        answer = real(client, method, path, **options)
        if bad in str(options.get("json")):
            poisoned.add(answer["id"])
        return answer

    wanted = [Recording("c1", one["id"]) for one in _of(at, 1)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(CloudClient, "request", fail)
        results = at.batches.results(wanted)
    [refused] = [one for one in results if one.unavailable]
    assert refused.recording.recording_id == bad
    assert f"ended {status}: broken inside" in str(refused.error)
    assert sum(one.url is not None for one in results) == 4


@pytest.mark.outcome("jobs", "a batch request gives an error for one recording, or leaves it out", "dead letter")
def test_what_genesys_does_not_deliver_is_rejected_with_the_reason(scene: Scenes) -> None:
    at = scene(sensitive=0.3)
    some = next(one for page in at.pages(IDS[:1]) for one in page.ids)
    assert some
    at.genesys.media.gone.add(IDS[5])
    _, refused = at.outcome()
    rules = [error.rule for error in refused]
    assert rules.count("conversation-gone") == 1
    assert rules.count("left-out") >= 1
    assert any("viewSensitiveData" in str(error) for error in refused)


def test_an_error_of_one_item_is_in_its_dead_letter_and_others_arrive(scene: Scenes) -> None:
    at = scene()
    wanted = recording_metadata(at.client, IDS[1])
    assert wanted
    at.genesys.media.errors[wanted[0]["id"]] = "The recording is being restored."
    [page] = at.pages(IDS[:4])
    [(place, error)] = page.refused.items()
    assert error.rule == "not-delivered"
    assert msgspec.json.decode(page.records[place])["errorMsg"] == "The recording is being restored."
    assert len(page.records) == 4


def test_a_recording_in_several_results_has_several_files(scene: Scenes) -> None:
    at = scene()
    wanted = recording_metadata(at.client, IDS[0])
    assert wanted
    at.genesys.media.twice.add(wanted[0]["id"])
    [record], _ = at.outcome(IDS[:1])
    assert [file["key"].rpartition("/")[2].count("-2.") for file in record["files"]] == [0, 1]


@pytest.mark.parametrize("hostile", ["../../etc", "..", ".", "a/b", "a?b#c", "a\n", "\u202e", "%2e%2e", "ü" * 40])
def test_hostile_ids_name_one_object_below_the_prefix(scene: Scenes, hostile: str) -> None:
    at = scene()
    key = at.store.key(hostile, hostile, "audio/ogg", 1)
    folder, conversation, name = key.split("/")
    assert folder == "media"
    assert conversation.startswith("conversation_id=")
    assert name.endswith(".ogg")
    assert not {".", ".."} & set(key.split("/"))
    assert key.isascii()
    assert key.isprintable()
    assert "?" not in name


def test_an_id_that_no_store_takes_is_rejected(scene: Scenes) -> None:
    with pytest.raises(RecordError) as refused:
        scene().store.key("c" * 1000, "r", "audio/ogg", 1)
    assert refused.value.rule == "id-too-long"


def test_a_batch_has_a_hundred_items_at_most(scene: Scenes) -> None:
    at = scene(recordings_each=101)
    wanted = [Recording("c1", recording["id"]) for recording in _of(at, 1)]
    assert len(at.batches.results(wanted)) == 101
    assert sorted(len(batch.asked) for batch in at.genesys.media.batches.values()) == [1, 100]
    with pytest.raises(RequestRefusedError):
        at.client.request("POST", PATH, json={"batchDownloadRequestList": [{"conversationId": "c"}] * 101})


def _of(at: Scene, number: int) -> list[dict[str, Any]]:
    return recording_metadata(at.client, f"c{number}") or []


@pytest.mark.outcome("jobs", "a batch request never ends", "SourceUnavailableError")
def test_a_batch_that_never_ends_is_not_waited_for(scene: Scenes) -> None:
    at = scene(job_polls=10_000)
    at.batches = MediaBatches(at.client, Patience(0.01, 0.02, 0.1), at.stopped)
    with pytest.raises(SourceUnavailableError, match="InProgress"):
        at.batches.results([Recording("c", "r")])


def test_the_lifetime_of_a_url_is_read_from_it_or_from_the_settings(scene: Scenes) -> None:
    at = scene(batch_url_minutes=7)
    [recording] = _of(at, 1)
    now = datetime.now(timezone.utc)
    [result] = at.batches.results([Recording("c1", recording["id"])])
    assert result.url
    assert abs(result.url.expires_at - now - timedelta(minutes=7)) < timedelta(seconds=30)
    assert at.batches._lifetime == timedelta(minutes=7)
    assert "Signature" not in repr(result)
