from __future__ import annotations

import gzip
import re
import threading
import time
import zlib
from typing import Any

import httpx
import pytest
from fake_client import Client
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_genesys.testing.fake_genesys import FakeGenesys

RECORDS = 1_500


def expected(client: Client, status: dict[str, Any]) -> bytes:
    return client.genesys.exports[status["exportId"]].archive.read()


def code(answer: httpx.Response) -> tuple[int, str]:
    """Return status and code of an error of the object store."""
    assert answer.headers["Content-Type"] == "application/xml"
    return answer.status_code, re.findall("<Code>(.*)</Code>", answer.text)[0]


@pytest.mark.parametrize("asked", ["ndjson", "json"])
@pytest.mark.parametrize("settings", [{}, {"on_disk": True}])
def test_the_whole_archive_arrives_as_described(start: Any, asked: str, settings: dict[str, Any]) -> None:
    client = start(records=RECORDS, **settings)
    status = client.completed(format=asked)
    answer = client.download(status["fileUri"])
    assert answer.status_code == 200
    assert answer.content == expected(client, status)
    assert answer.headers["Content-Length"] == str(status["fileSize"])
    assert answer.headers["ETag"] == status["etag"]
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Type"] == f"application/{asked}"
    assert answer.headers["Last-Modified"].endswith("GMT")
    assert "Content-Encoding" not in answer.headers


def test_another_format_can_be_delivered_than_was_asked_for(start: Any) -> None:
    client = start(records=3, file_format="json-pretty")
    answer = client.download(client.completed(format="ndjson")["fileUri"])
    assert answer.content.startswith(b"[\n{\n  ")
    assert len(answer.json()) == 3


@pytest.mark.parametrize(("compression", "members"), [("gzip", 1), ("gzip-members", 3)])
@pytest.mark.parametrize("asked", ["ndjson", "json"])
def test_a_gzip_unpacks_to_the_plain_archive(start: Any, compression: str, members: int, asked: str) -> None:
    client = start(records=2_100, compression=compression)
    status = client.completed(format=asked)
    packed = client.download(status["fileUri"]).content
    assert status["fileUri"].partition("?")[0].endswith(f".{asked}.gz")
    assert len(packed) == status["fileSize"]
    assert gzip.decompress(packed) == expected(client, status)
    assert member_count(packed) == members
    assert client.download(client.completed(format=asked)["fileUri"]).content == packed, "it is always the same"


def member_count(packed: bytes) -> int:
    count = 0
    while packed:
        unpacker = zlib.decompressobj(31)
        unpacker.decompress(packed)
        assert unpacker.eof
        packed, count = unpacker.unused_data, count + 1
    return count


def test_an_export_runs_until_its_gzip_is_written(start: Any) -> None:
    client = start(records=80_000, compression="gzip")
    export_id = client.create()
    first = client.status(export_id)
    assert first["status"] == "RUNNING"
    assert first["percentComplete"] == 99
    client.genesys.exports[export_id].stored.wait()
    assert client.status(export_id)["status"] == "COMPLETED"


@pytest.fixture(scope="module")
def ranged() -> Any:
    with FakeGenesys(records=RECORDS, compression="gzip") as packed, FakeGenesys(records=RECORDS) as plain:
        clients = [Client(packed), Client(plain)]
        uris = [client.completed()["fileUri"] for client in clients]
        with httpx.Client() as browser:
            yield [(browser, uri, browser.get(uri).content) for uri in uris]
        for client in clients:
            client.close()


@given(data=st.data())
def test_any_range_is_that_part_of_the_whole(ranged: Any, data: st.DataObject) -> None:
    browser, uri, whole = data.draw(st.sampled_from(ranged))
    first = data.draw(st.integers(0, len(whole) - 1))
    last = data.draw(st.integers(first, len(whole) + 10))
    answer = browser.get(uri, headers={"Range": f"bytes={first}-{last}"})
    end = min(last, len(whole) - 1)
    assert answer.status_code == 206
    assert answer.headers["Content-Range"] == f"bytes {first}-{end}/{len(whole)}"
    assert answer.content == whole[first : end + 1]


@pytest.mark.parametrize(
    ("header", "start", "stop"), [("bytes=100-", 100, None), ("bytes=-7", -7, None), ("bytes=-99999999", 0, None)]
)
def test_open_ranges(ranged: Any, header: str, start: int, stop: int | None) -> None:
    browser, uri, whole = ranged[1]
    answer = browser.get(uri, headers={"Range": header})
    assert answer.status_code == 206
    assert answer.content == whole[start:stop]


@pytest.mark.parametrize("header", ["bytes=0-1,5-6", "bytes=9-3", "bytes=x-", "records=1-2"])
def test_what_is_no_single_range_gets_everything(ranged: Any, header: str) -> None:
    browser, uri, whole = ranged[1]
    answer = browser.get(uri, headers={"Range": header})
    assert (answer.status_code, len(answer.content)) == (200, len(whole))


def test_a_range_behind_the_end_is_refused(ranged: Any) -> None:
    browser, uri, whole = ranged[1]
    for header in (f"bytes={len(whole)}-", "bytes=-0"):
        answer = browser.get(uri, headers={"Range": header})
        assert code(answer) == (416, "InvalidRange")
        assert answer.headers["Content-Range"] == f"bytes */{len(whole)}"


def test_conditions_hold_only_for_the_same_archive(start: Any) -> None:
    client = start(records=10)
    status = client.completed()
    uri, etag = status["fileUri"], status["etag"]
    assert client.download(uri, If_Match=etag, Range="bytes=1-2").status_code == 206
    assert client.download(uri, If_Range=etag, Range="bytes=1-2").status_code == 206
    client.genesys.replace_archive(status["exportId"])
    assert code(client.download(uri, If_Match=etag)) == (412, "PreconditionFailed")
    assert client.download(uri, If_Range=etag, Range="bytes=1-2").status_code == 200
    assert client.status(status["exportId"])["etag"] != etag
    assert client.status(status["exportId"])["fileSize"] == status["fileSize"]


@pytest.mark.parametrize("settings", [{"compression": "gzip"}, {"on_disk": True}])
def test_a_stored_archive_can_be_replaced_too(start: Any, settings: dict[str, Any]) -> None:
    client = start(records=10, **settings)
    status = client.completed()
    before = client.download(status["fileUri"])
    client.genesys.replace_archive(status["exportId"])
    after = client.download(status["fileUri"])
    assert before.content != after.content
    assert before.headers["ETag"] != after.headers["ETag"]


def test_a_url_expires(start: Any) -> None:
    client = start(url_seconds=3)
    status = client.completed()
    assert client.download(status["fileUri"]).status_code == 200
    deadline = time.monotonic() + 60
    while (answer := client.download(status["fileUri"])).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert code(answer) == (403, "AccessDenied")
    assert "Request has expired" in answer.text


def test_all_urls_can_be_expired_and_new_ones_had(start: Any) -> None:
    client = start()
    status = client.completed()
    client.genesys.expire_urls()
    answer = client.download(status["fileUri"])
    assert code(answer) == (403, "AccessDenied")
    assert "Request has expired" in answer.text
    assert client.download(client.status(status["exportId"])["fileUri"]).status_code == 200


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("X-Amz-Expires=86400", "X-Amz-Expires=864000"),
        ("X-Amz-Date=2", "X-Amz-Date=3"),
        ("X-Amz-Signature=", "X-Amz-Signature=0"),
        ("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=host&response-content-type=text/html"),
        (".ndjson", ".json"),
    ],
)
def test_a_url_that_was_tampered_with_is_worthless(start: Any, old: str, new: str) -> None:
    client = start()
    uri = client.completed()["fileUri"]
    assert code(client.download(uri.replace(old, new, 1))) == (403, "SignatureDoesNotMatch")


def test_a_url_is_good_for_get_alone(start: Any) -> None:
    client = start()
    uri = client.completed()["fileUri"]
    head = httpx.head(uri)
    assert (head.status_code, head.content) == (403, b"")
    assert code(httpx.put(uri, content=b"x")) == (403, "SignatureDoesNotMatch")
    assert code(httpx.get(uri.partition("?")[0])) == (403, "AccessDenied")


def test_the_fake_closes_while_a_download_is_under_way(start: Any) -> None:
    threads = set(threading.enumerate())
    client = start(records=1_000_000)
    with httpx.stream("GET", client.completed()["fileUri"]) as answer:
        chunks = answer.iter_raw()
        next(chunks)
        began = time.monotonic()
        client.genesys.close()
        assert time.monotonic() - began < 30
        with pytest.raises(httpx.TransportError):
            list(chunks)
    assert set(threading.enumerate()) <= threads
