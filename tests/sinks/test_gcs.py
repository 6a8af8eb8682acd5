"""Google Cloud Storage, on fake-gcs-server with sessions as Google documents them: what faults lead to."""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import ConfigurationError, SinkRefusedError, SinkUnavailableError
from airflow_provider_genesys.sinks.gcs import GCSSink
from airflow_provider_genesys.stores import piece_writer
from airflow_provider_genesys.stores.base import PIECE_UNIT, SentPieces
from airflow_provider_genesys.stores.gcs import GCSStore
from airflow_provider_genesys.testing.services import GCSServer
from airflow_provider_genesys.testing.services.gcs import client_for
from tests.sinks.batches import LENGTH, make_batches, make_load, recording_row
from tests.sinks.flaky import FAULTS, SHORT_STALL, Fault, FlakyProxy, flaky_proxy
from tests.sinks.gcs import CIPHER
from tests.sinks.lake import CUT, MEBIBYTE, batches_of, run

LOAD = make_load()
KEY = "raw/large.ndjson"
PIECE = 2 * PIECE_UNIT


@pytest.fixture(scope="module")
def gcs_proxy(gcs: GCSServer) -> Iterator[FlakyProxy]:
    with flaky_proxy(gcs.endpoint_url, SHORT_STALL) as running:
        yield running


@pytest.fixture
def proxy(gcs_proxy: FlakyProxy) -> FlakyProxy:
    gcs_proxy.seen.clear()
    gcs_proxy.rule = lambda _method, _path: None
    return gcs_proxy


@pytest.fixture
def through_proxy(proxy: FlakyProxy, gcs_bucket: Any) -> Any:
    return client_for(proxy.endpoint_url).bucket(gcs_bucket.name)


def sink_on(bucket: Any, **settings: Any) -> Any:
    return GCSSink(lambda: bucket, **{"prefix": "raw", "part_size": CUT, "dead_letter_raw": "keep", **settings})


def read(bucket: Any, location: str) -> int:
    """Read a load as docs/gcs.md tells readers to; return the number of its rows."""
    page = (Path(__file__).parents[2] / "docs" / "gcs.md").read_text()
    shown: dict[str, Any] = {}
    [code] = [code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "def rows" in code]
    exec(code, shown)  # noqa: S102 - our own page
    return len({row["recordingId"] for row in shown["rows"](bucket.client, location)})


REQUESTS = [
    *(("POST", "uploadType=multipart", nth) for nth in (1, 2, 3, 4, 7)),  # claim, its proof, part, entry, manifest
    ("GET", "/download/", 1),
    ("GET", "prefix=", 1),
]
CASES = [
    *((request, fault) for request in REQUESTS for fault in ("slow-down", "lose-answer")),
    *((REQUESTS[2], fault) for fault in FAULTS if fault not in ("slow-down", "lose-answer")),
]


@pytest.mark.outcome(
    "object stores", "any request is refused, times out, meets 500 or SlowDown, or loses its answer", "recovers"
)
@pytest.mark.parametrize(("request_", "fault"), CASES)
def test_a_request_that_fails_once_is_repeated(
    gcs_bucket: Any, through_proxy: Any, proxy: FlakyProxy, request_: tuple[str, str, int], fault: Fault
) -> None:
    method, part, nth = request_
    numbers = itertools.count(1)
    proxy.rule = lambda m, path: fault if m == method and part in path and next(numbers) == nth else None
    certificate = run(sink_on(through_proxy), LOAD, batches_of(LOAD, 130))
    assert next(numbers) > nth + 1
    assert read(gcs_bucket, certificate.location) == 130


@pytest.mark.outcome(
    "object stores", "any request is refused, times out, meets 500 or SlowDown, or loses its answer", "recovers"
)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("nth", [1, 3])  # of three; the last makes the object appear
def test_a_piece_that_fails_once_is_sent_as_far_as_the_store_lacks_it(
    gcs_bucket: Any, through_proxy: Any, proxy: FlakyProxy, nth: int, fault: Fault
) -> None:
    upload = GCSStore(through_proxy).upload(KEY)
    numbers = itertools.count(1)
    proxy.rule = lambda m, path: fault if m == "PUT" and "upload_id" in path and next(numbers) == nth else None
    first, second, last = b"a" * PIECE, b"b" * PIECE, b"c"
    upload.send(first)
    upload.send(second)
    upload.complete(last, _sha256(first + second + last))
    assert gcs_bucket.blob(KEY).download_as_bytes() == first + second + last


def _sha256(body: bytes) -> str:
    import hashlib

    return hashlib.sha256(body).hexdigest()


@pytest.mark.outcome("object stores", "an upload was completed, and its answer never comes", "recovers")
def test_a_large_part_whose_last_answers_are_all_lost_is_read_back(
    through_proxy: Any, proxy: FlakyProxy, gcs_bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(piece_writer, "PIECE", MEBIBYTE)
    numbers = itertools.count(1)
    proxy.rule = lambda m, path: "lose-answer" if m == "PUT" and "upload_id" in path and next(numbers) > 4 else None
    rows = make_batches(LOAD, 4, size=2, row=partial(recording_row, metadata=b'"%s"' % (b"x" * MEBIBYTE)))
    sink = sink_on(through_proxy, output_format="ndjson", part_size=20 * LENGTH, retries=1)
    certificate = run(sink, LOAD, rows)
    assert certificate.parts[0]["etag"] == str(gcs_bucket.get_blob(certificate.parts[0]["key"]).generation)


@pytest.mark.outcome("object stores", "an unfinished upload of an earlier attempt", "recovers")
def test_an_upload_is_continued_by_another_process_and_what_is_there_is_not_sent_again(
    gcs_bucket: Any, through_proxy: Any, proxy: FlakyProxy
) -> None:
    store = GCSStore(through_proxy, cipher=CIPHER)
    upload = store.upload(KEY)
    upload.send(b"a" * PIECE)
    known = upload.sent
    upload.send(b"b" * PIECE)  # the ledger does not know of it
    assert "upload_id" not in known.name
    proxy.seen.clear()
    resumed = store.resume(known)
    assert resumed
    resumed.send(b"b" * PIECE)
    resumed.complete(b"c", "")
    assert gcs_bucket.blob(KEY).download_as_bytes() == b"a" * PIECE + b"b" * PIECE + b"c"
    assert proxy.count("PUT", "upload_id") == 2, "it is asked once, and gets the last piece"
    assert store.resume(known) is None, "it is complete"


@pytest.mark.parametrize("name", ["", "no cipher text"])
def test_an_upload_whose_address_cannot_be_read_is_not_continued(gcs_bucket: Any, name: str) -> None:
    assert GCSStore(gcs_bucket, cipher=CIPHER).resume(SentPieces(KEY, name, 1, PIECE)) is None


def test_bytes_that_were_damaged_on_the_way_make_no_object(gcs_bucket: Any) -> None:
    upload = GCSStore(gcs_bucket).upload(KEY)
    upload.send(b"a" * PIECE)
    upload._crc32c.update(b"other")  # type: ignore[union-attr]
    with pytest.raises(SinkRefusedError, match="CRC32C does not match"):
        upload.complete(b"c", "")
    assert gcs_bucket.get_blob(KEY) is None


def test_an_upload_that_a_newer_attempt_has_ended_is_a_matter_of_the_next_try(gcs: GCSServer, gcs_bucket: Any) -> None:
    upload = GCSStore(gcs_bucket).upload(KEY)
    upload.send(b"a" * PIECE)
    gcs.forget_uploads()
    with pytest.raises(SinkUnavailableError, match="the upload is no longer there"):
        upload.send(b"b" * PIECE)
    upload.abort()


def test_another_generation_counts_as_absent(gcs_bucket: Any) -> None:
    store = GCSStore(gcs_bucket)
    first = store.put(KEY, b"one")
    assert store.read(KEY, 1, 2, etag=first) == b"ne"
    second = store.put(KEY, b"two")
    assert (store.read(KEY, 0, 3, etag=first), store.read(KEY, 0, 3, etag=second)) == (None, b"two")
    assert [(one.key, one.size, one.etag) for one in store.list_objects("raw/")] == [(KEY, 3, second)]
    store.delete(KEY)
    store.delete(KEY)
    assert store.get(KEY) is None


def test_objects_have_the_settings_that_are_given(gcs_bucket: Any) -> None:
    store = GCSStore(gcs_bucket, extra_args={"metadata": {"owner": "data"}, "storage_class": "NEARLINE"})
    store.put("a.parquet", b"x")
    upload = store.upload(KEY)
    upload.complete(b"y", "")
    found = [gcs_bucket.get_blob(key) for key in ("a.parquet", KEY)]
    assert [one.metadata for one in found] == [{"owner": "data"}] * 2
    assert [one.content_type for one in found] == ["application/vnd.apache.parquet", "application/x-ndjson"]
    with pytest.raises(ConfigurationError, match="extra_args has tags"):
        sink_on(gcs_bucket, extra_args={"tags": {}})


@pytest.mark.outcome("object stores", "no such container", "SinkRefusedError")
def test_a_bucket_that_is_not_there_is_refused_with_what_to_do(gcs: GCSServer) -> None:
    with pytest.raises(SinkRefusedError, match=r"export-1.*404.*Create the bucket"):
        sink_on(gcs.client().bucket("nowhere")).open(LOAD, restart=False)


@pytest.mark.outcome("object stores", "a right is missing, or credentials have expired", "SinkRefusedError")
def test_a_missing_right_is_refused_with_what_to_do(through_proxy: Any, proxy: FlakyProxy) -> None:
    proxy.fail("POST", "uploadType=multipart", "deny")
    with pytest.raises(SinkRefusedError, match=r"export-1.*403.*docs/gcs.md"):
        sink_on(through_proxy).open(LOAD, restart=False)


def test_the_address_of_an_upload_is_in_no_message_and_no_log(
    through_proxy: Any, proxy: FlakyProxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    upload = GCSStore(through_proxy, retries=1).upload(KEY)
    for fault in ("refuse", "internal-error", "deny"):
        proxy.rule = lambda m, path, fault=fault: fault if "upload_id" in path else None  # type: ignore[misc]
        with pytest.raises((SinkUnavailableError, SinkRefusedError)) as raised:
            upload.send(b"a" * PIECE)
        said, error = caplog.text, raised.value
        while error:
            said += str(error)
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)  # type: ignore[assignment]
        assert "upload_id" not in said
