"""S3 as a server has it that checks signatures, their time, checksums and conditions, which moto does not."""

from __future__ import annotations

import itertools
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import botocore.auth
import pytest

from airflow_provider_genesys.exceptions import FencedError, SinkRefusedError, SinkUnavailableError, SourceRefusedError
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.pipeline.land import land
from airflow_provider_genesys.pipeline.run import Options
from airflow_provider_genesys.sinks.s3 import S3Sink
from airflow_provider_genesys.source.download import Download
from airflow_provider_genesys.source.download_client import DownloadSettings
from airflow_provider_genesys.source.landed import LandedArchive, find_landed
from airflow_provider_genesys.source.position import PROVEN, Identity
from airflow_provider_genesys.stores import piece_writer
from airflow_provider_genesys.stores.s3 import S3Store
from airflow_provider_genesys.testing.sink_conformance.source import written
from tests.sinks.batches import LENGTH, make_load
from tests.sinks.lake import CUT, MEBIBYTE, Bucket, batches_of, bulky, ids, run
from tests.sinks.strict_s3 import STRANGER, SwiftServer
from tests.unit.pipeline.sources import InMemory, Signed

_numbers = itertools.count(1)
NOTHING = Identity()


@pytest.fixture(scope="module")
def swift() -> Iterator[SwiftServer]:
    with SwiftServer() as server:
        yield server


@pytest.fixture
def client(swift: SwiftServer) -> Any:
    return swift.client()


@pytest.fixture
def bucket(client: Any) -> str:
    """Name of an empty bucket of this test's own; it stands in for the one on moto."""
    name = f"strict-{next(_numbers)}"
    client.create_bucket(Bucket=name)
    return name


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piece_writer, "PIECE", 5 * MEBIBYTE)


def test_a_load_with_parts_pieces_and_dead_letters_is_whole(new_sink: Any, lake: Bucket) -> None:
    load = make_load()
    certificate = run(new_sink(), load, batches_of(load, 230, dead={7}))
    assert [row["recordingId"] for row in lake.rows()] == ids(number for number in range(230) if number != 7)
    assert certificate.counts.dead_letters == 1
    run(new_sink(output_format="ndjson", part_size=20 * LENGTH), load, bulky(load, 12, size=6))
    assert [row["recordingId"] for row in lake.rows()] == ids(range(12))
    assert lake.uploads() == []


def test_of_two_attempts_one_is_fenced(new_sink: Any, lake: Bucket) -> None:
    load = make_load()
    older, batches = new_sink(), list(batches_of(load, 200))
    older.open(load, restart=False)
    run(new_sink(), load, batches)
    with pytest.raises(FencedError):
        deque(map(older.write, batches), maxlen=0)
    assert len(lake.rows()) == 200


def test_a_landing_goes_on_and_is_read_under_its_etag(client: Any, bucket: str) -> None:
    data = b"".join(b'{"a": %012d}\n' % number for number in range(14 * MEBIBYTE // 20))

    class Breaking(InMemory):
        def read(self, start: int) -> Iterator[bytes]:
            for number, chunk in enumerate(super().read(start)):
                if number * 65536 > 12 * MEBIBYTE:
                    raise SinkUnavailableError("the network is gone")
                yield chunk

    def landing() -> Any:
        return S3Sink(lambda: client, bucket, "raw", part_size=5 * MEBIBYTE, dead_letter_raw="drop").landing()

    with pytest.raises(SinkUnavailableError):
        land(make_load(), {}, Breaking(data), landing(), Options())
    again = InMemory(data)
    certificate = land(make_load(), {}, again, landing(), Options())
    assert again.read_from == 10 * MEBIBYTE - PROVEN
    store, folder = S3Store(client, bucket), certificate.location.split("/", 3)[3]
    landed = find_landed(store, folder)
    assert b"".join(LandedArchive(store, landed, identity=Identity()).read(0)) == data


@pytest.mark.outcome("object stores", "a body is damaged on its way", "recovers")
@pytest.mark.parametrize("times", [1, 9])
def test_a_body_that_was_damaged_is_sent_again_and_never_kept(
    new_sink: Any, lake: Bucket, client: Any, times: int
) -> None:
    """The checksum is that of other bytes than come."""
    load, left = make_load(), itertools.count(1)

    def damage(params: dict[str, Any], **_: Any) -> None:
        if "00000/0" in params["url_path"] and next(left) <= times:
            params["headers"]["x-amz-checksum-crc32"] = "AAAAAA=="

    client.meta.events.register("before-call.s3.PutObject", damage)
    if times == 1:
        run(new_sink(), load, batches_of(load, 130))
        assert [row["recordingId"] for row in lake.rows()] == ids(range(130))
    else:
        with pytest.raises(SinkUnavailableError, match=r"export-1.*put_object .*BadDigest"):
            run(new_sink(), load, batches_of(load, 130))
        assert [key for key in lake.listed() if "_ledger" not in key] == []
    assert next(left) > times or times > 4


@dataclass
class Skewed:
    """A clock that is wrong by so much."""

    hours: float

    def __call__(self, *, remove_tzinfo: bool = True) -> datetime:
        now = datetime.now(timezone.utc) + timedelta(hours=self.hours)
        return now.replace(tzinfo=None) if remove_tzinfo else now


def refused(sink: S3Sink) -> str:
    with pytest.raises(SinkRefusedError) as raised:
        sink.open(make_load(), restart=False)
    assert "Export export-1, opening the load" in str(raised.value)
    assert raised.value.code
    return str(raised.value)


@pytest.mark.outcome("object stores", "the worker's clock is wrong", "SinkRefusedError")
@pytest.mark.parametrize("hours", [-2, 2])
def test_a_clock_that_is_wrong_is_told(new_sink: Any, monkeypatch: pytest.MonkeyPatch, hours: float) -> None:
    monkeypatch.setattr(botocore.auth, "get_current_datetime", Skewed(hours))
    told = refused(new_sink())
    assert "RequestTimeTooSkewed" in told
    assert "The worker's clock is wrong: set it" in told


@pytest.mark.outcome("object stores", "wrong credentials, or no right to the bucket", "SinkRefusedError")
@pytest.mark.parametrize(
    ("credentials", "told"),
    [
        (("test:owner", "another secret"), "SignatureDoesNotMatch.*Correct the secret key"),
        (
            ("test:nobody", "a secret"),
            "(InvalidAccessKeyId|SignatureDoesNotMatch).*Correct the (credentials|secret key)",
        ),
        (STRANGER, "AccessDenied.*docs/s3.md"),
    ],
)
def test_credentials_and_rights_are_told(
    new_sink: Any, swift: SwiftServer, lake: Bucket, credentials: tuple[str, str], told: str
) -> None:
    message = refused(new_sink(client=swift.client(credentials)))
    assert re.search(told, message), message
    assert credentials[1] not in message
    assert lake.listed() == []


@pytest.mark.outcome("object stores", "no such bucket", "SinkRefusedError")
def test_a_bucket_that_is_not_there_is_told(new_sink: Any) -> None:
    assert "NoSuchBucket" in (told := refused(new_sink(bucket="nowhere-at-all")))
    assert "Create the bucket, or correct its name" in told


Reading = Callable[..., tuple[Download, list[bool]]]


@pytest.fixture
def reading(swift: SwiftServer, client: Any, bucket: str) -> Reading:
    """Makes downloads of an archive of 200,000 bytes, from presigned URLs that live for so many seconds each."""
    signer = swift.client(signature_version="s3v4")
    client.put_object(Bucket=bucket, Key="archive", Body=ARCHIVE)

    def download(*lives: int, tamper: Callable[[str], str] = str, identity: Identity = NOTHING) -> Any:
        asked, left = [], iter(lives)

        def open_url(fresh: bool) -> Signed:
            asked.append(fresh)
            url = signer.generate_presigned_url(
                "get_object", Params={"Bucket": bucket, "Key": "archive"}, ExpiresIn=next(left)
            )
            return Signed(tamper(url))

        return Download(open_url, "export-1", identity, DownloadSettings(timeout=10), sleep=lambda _: None), asked

    return download


ARCHIVE = b'{"recordingId": "a recording"}\n' * 6452


def expired(url: str) -> str:
    """Wait until a URL of one second is dead."""
    if "X-Amz-Expires=1&" in url:
        time.sleep(2.1)
    return url


@pytest.mark.outcome("download", "403: the URL has expired", "recovers")
def test_an_expired_url_is_replaced_and_the_archive_is_whole(reading: Reading) -> None:
    download, asked = reading(1, 3600, tamper=expired)
    assert b"".join(download.read(0)) == ARCHIVE
    assert asked == [False, True]


def test_a_range_under_if_match_goes_on_where_it_broke_off(reading: Reading, client: Any, bucket: str) -> None:
    etag = client.head_object(Bucket=bucket, Key="archive")["ETag"]
    download, _ = reading(3600, identity=Identity(len(ARCHIVE), etag))
    assert b"".join(download.read(150_000)) == ARCHIVE[150_000:]
    client.put_object(Bucket=bucket, Key="archive", Body=ARCHIVE.upper())
    changed, _ = reading(3600, identity=Identity(len(ARCHIVE), etag))
    with pytest.raises(Exception, match=r"export-1 is not the one that the load began with"):
        [*changed.read(150_000)]


def test_a_url_that_was_tampered_with_is_refused(reading: Reading) -> None:
    download, asked = reading(*[3600] * 9, tamper=lambda url: url.replace("X-Amz-Signature=", "X-Amz-Signature=0"))
    with pytest.raises(SourceRefusedError, match=r"export-1.*HTTP 403 SignatureDoesNotMatch.*new URLs from Genesys"):
        [*download.read(0)]
    assert asked == [False, True, True]


def test_what_the_ledger_says_is_read_back(new_sink: Any, lake: Bucket) -> None:
    load = make_load()
    sink = new_sink(part_size=CUT)
    sink.open(load, restart=False)
    for batch in batches_of(load, 250):
        written(sink, batch)
    sink.abort()
    checkpoint: Checkpoint | None = new_sink(part_size=CUT).open(load, restart=False)
    assert checkpoint
    assert checkpoint.counts.written == 200
    assert len(lake.ledger()) == 4
