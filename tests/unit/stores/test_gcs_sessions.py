"""What a store does with answers of Google that no emulator gives, and with objects whose answers were lost."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import pytest

from airflow_provider_genesys.exceptions import AccountError, SinkUnavailableError
from airflow_provider_genesys.stores.base import SentPieces
from airflow_provider_genesys.stores.folder import FolderStore
from airflow_provider_genesys.stores.gcs import GCSStore
from airflow_provider_genesys.stores.gcs_upload import GCSUpload, UploadSession
from airflow_provider_genesys.stores.read_through import StoredFile, completed, read_through
from airflow_provider_genesys.testing.services.gcs import client_for
from tests.unit.cloud.scripted_server import Reply, ScriptedServer

OBJECT = "GET /download/storage/v1/b/lake/o/a"
SESSION = "PUT /session"


@pytest.fixture
def store(server: ScriptedServer) -> GCSStore:
    return GCSStore(client_for(server.url).bucket("lake"), retries=1)


def session(server: ScriptedServer, tries: int = 1) -> UploadSession:
    return UploadSession(f"{server.url}/session?upload_id=secret", "gs://lake/a", tries)


def crc32c(body: bytes) -> str:
    return "crc32c=" + base64.b64encode(google_crc32c.Checksum(body).digest()).decode()


def goes_on(end: int = 0) -> Reply:
    return Reply(308, headers={"Range": f"bytes=0-{end - 1}"} if end else {})


def spans(server: ScriptedServer) -> list[str]:
    return [one.headers["Content-Range"] for one in server.requests]


def test_a_session_that_keeps_nothing_is_asked_again_and_then_given_up(server: ScriptedServer) -> None:
    server.on(SESSION, goes_on())
    with pytest.raises(SinkUnavailableError, match="upload gs://lake/a failed after all retries") as caught:
        session(server).send(b"abc", 0, None, {})
    assert "secret" not in str(caught.value)
    assert spans(server) == ["bytes 0-2/*", "bytes 0-2/*"]
    server.on(SESSION, goes_on(), goes_on(3))
    assert session(server).send(b"abc", 0, None, {}) == "", "one that keeps it the second time has it"


def test_only_what_a_session_lacks_is_sent(server: ScriptedServer) -> None:
    server.on(SESSION, goes_on(2), goes_on(3), Reply(200, {"generation": "17"}))
    one = session(server)
    assert one.send(b"abc", 0, None, {"x-goog-hash": "of all"}) == ""
    assert one.send(b"d", 3, 4, {"x-goog-hash": "of all"}) == "17"
    assert spans(server) == ["bytes 0-2/*", "bytes 2-2/*", "bytes 3-3/4"]
    assert [one.body for one in server.requests] == [b"abc", b"c", b"d"]
    assert [one.headers.get("x-goog-hash") for one in server.requests] == [None, None, "of all"]


@pytest.mark.parametrize(("held", "there"), [(3, True), (4, True), (2, False), (0, False)])
def test_a_session_is_continued_if_it_has_what_was_sent(server: ScriptedServer, held: int, there: bool) -> None:
    server.on(SESSION, goes_on(held))
    assert session(server).holds(3) is there


@pytest.mark.parametrize("status", [200, 404, 410, 499])
def test_a_session_that_has_ended_is_not_continued(server: ScriptedServer, status: int) -> None:
    server.on(SESSION, Reply(status, {"generation": "17"}))
    assert session(server).holds(0) is False


def test_a_session_that_lost_bytes_which_it_had_is_given_up(server: ScriptedServer) -> None:
    server.on(SESSION, goes_on(3), Reply(503), goes_on(2))
    one = session(server, tries=2)
    one.send(b"abc", 0, None, {})
    with pytest.raises(SinkUnavailableError, match="no longer there"):
        one.send(b"d", 3, None, {})


@pytest.mark.parametrize("status", [204, 404, 499])
def test_an_upload_that_is_cancelled_may_be_gone(server: ScriptedServer, status: int) -> None:
    server.on("DELETE /session", Reply(status))
    session(server).cancel()
    assert server.count("DELETE /session") == 1


def test_the_checksum_of_all_pieces_goes_with_the_last(server: ScriptedServer, store: GCSStore) -> None:
    server.on(SESSION, goes_on(3), Reply(200, {"generation": "17"}))
    upload = GCSUpload(store, session(server), SentPieces("a", ""))
    upload.send(b"abc")
    assert upload.complete(b"de", "") == "17"
    assert server.requests[-1].headers["x-goog-hash"] == crc32c(b"abcde")
    server.on(SESSION, Reply(200, {"generation": "18"}))
    continued = GCSUpload(store, session(server), SentPieces("a", "", 1, 3))
    continued._session._held = 3
    assert continued.complete(b"de", "") == "18"
    assert "x-goog-hash" not in server.requests[-1].headers, "another process has the first bytes' sum"


def test_an_object_that_was_damaged_on_the_way_is_not_taken(server: ScriptedServer, store: GCSStore) -> None:
    whole = {"x-goog-generation": "7"}
    server.on(OBJECT, Reply(200, b"damaged", {**whole, "x-goog-hash": crc32c(b"written")}))
    with pytest.raises(SinkUnavailableError, match="failed after all retries"):
        store.get("a")
    assert server.count(OBJECT) == 2
    server.on(OBJECT, Reply(200, b"written", {**whole, "x-goog-hash": crc32c(b"written")}))
    assert store.get("a") == b"written"


def test_an_object_is_written_with_its_checksum(server: ScriptedServer, store: GCSStore) -> None:
    server.on("POST /upload/storage/v1/b/lake/o", Reply(200, {"name": "a", "generation": "7"}))
    assert store.put("a", b"written") == "7"
    [sent] = [one.body for one in server.requests if one.method == "POST"]
    assert crc32c(b"written").removeprefix("crc32c=").encode() in sent


def _lost() -> str:
    raise SinkUnavailableError("the answer was lost")


@pytest.mark.parametrize(
    ("body", "size", "digest", "there"),
    [
        (b"whole", 5, b"whole", True),
        (b"other", 5, b"whole", False),
        (b"whole and more", 5, b"whole", False),
        (b"whole", 5, b"", False),
        (None, 5, b"whole", False),
    ],
)
def test_an_object_whose_last_answer_was_lost_counts_if_its_digest_is_right(
    tmp_path: Path, body: bytes | None, size: int, digest: bytes, there: bool
) -> None:
    store = FolderStore(tmp_path)
    etag = store.put("a/b", body) if body is not None else ""
    store.put("a/b2", b"whole")
    asked: Callable[[], Any] = lambda: completed(  # noqa: E731
        _lost, store, "a/b", size=size, sha256=hashlib.sha256(digest).hexdigest()
    )
    if there:
        assert asked() == etag
        return
    with pytest.raises(SinkUnavailableError, match="the answer was lost"):
        asked()


def test_an_object_is_read_in_pieces_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_genesys.stores.read_through.PIECE", 4)
    store = FolderStore(tmp_path)
    for size in (1, 4, 5, 8):
        body = bytes(range(size))
        store.put("a", body)
        found = read_through(store, "a", size=size)
        assert found
        assert (found.size, found.sha256) == (size, hashlib.sha256(body).hexdigest())
    monkeypatch.setattr(store, "read", lambda *_given, **_more: None)
    assert read_through(store, "a", size=8) is None, "it has changed meanwhile"


def test_an_object_is_a_file_to_read_unless_it_changes(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    etag = store.put("a", b"0123456789")
    file = StoredFile(store, "a", 10, etag=etag)
    assert (file.read(3), file.tell(), file.seek(-2, 2), file.read(9), file.read(1)) == (b"012", 3, 8, b"89", b"")
    assert (file.seek(4), file.seek(1, 1), file.read(2), file.seek(-99, 1)) == (4, 5, b"56", 0)
    store.put("a", b"012345678")
    for changed in (StoredFile(store, "a", 10), file):
        with pytest.raises(AccountError, match="is no longer there, or has changed"):
            changed.read(10)
    store.delete("a")
    with pytest.raises(AccountError, match="is no longer there"):
        StoredFile(store, "a", 10).read(1)
