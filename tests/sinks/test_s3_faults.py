"""An S3 endpoint that fails."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_genesys.exceptions import SinkRefusedError, SinkUnavailableError
from airflow_provider_genesys.testing.sink_conformance.source import written
from tests.sinks.batches import LENGTH, make_load
from tests.sinks.flaky import FAULTS, STALL, Fault, FlakyProxy
from tests.sinks.lake import CUT, LOAD, Bucket, batches_of, bulky, client_for, ids, run
from tests.support.watching import until


@pytest.mark.usefixtures("_small_pieces")
def test_abort_leaves_no_upload_and_is_silent_when_the_store_is_gone(
    new_sink: Any, lake: Bucket, proxy: FlakyProxy
) -> None:
    load = make_load()
    settings = {"output_format": "ndjson", "part_size": 20 * LENGTH, "client": client_for(proxy.endpoint_url)}
    sink = new_sink(**settings)
    for answer in ("whole", "none"):
        sink.open(load, restart=True)
        for batch in bulky(load, 7, size=7):
            written(sink, batch)
        until(lambda: len(lake.uploads()) == 1, seconds=30, pause=0.01, what="a thread begins the upload")
        if answer == "none":
            proxy.rule = lambda _method, _path: "refuse"
        sink.abort()
        assert len(lake.uploads()) == (1 if answer == "none" else 0)
    sink.abort()


def load_in_pieces(new_sink: Any, proxy: FlakyProxy) -> None:
    load = make_load()
    client = client_for(proxy.endpoint_url, read_timeout=STALL / 2)
    run(new_sink(client=client, output_format="ndjson", part_size=20 * LENGTH), load, bulky(load, 7, size=4))


@pytest.mark.outcome(
    "object stores",
    "any request is refused, times out, meets 500 or SlowDown, or loses its answer",
    "recovers",
)
@pytest.mark.parametrize("turn", range(len(FAULTS)))
def test_each_request_that_fails_once_is_repeated(
    new_sink: Any, lake: Bucket, bucket: str, proxy: FlakyProxy, turn: int
) -> None:
    requests = [
        ("PUT", "/_ledger/load-1/00000/00000001.json"),  # claim
        ("PUT", "/_ledger/load-1/00000/00000002.json"),  # entry behind a part
        ("PUT", "-000000000120000-"),  # part
        ("PUT", "_manifest.json"),
        ("GET", "/_ledger/load-1/00000/00000002.json"),  # fence
        ("GET", "list-type=2"),
        ("GET", "uploads"),
        ("DELETE", "stale"),
    ]
    client = client_for(proxy.endpoint_url, read_timeout=STALL / 2)
    load = make_load()
    client.put_object(Bucket=bucket, Key=f"{LOAD}00000/stale.ndjson", Body=b"{}")
    left = proxy.fail_each(requests, turn)

    certificate = run(new_sink(client=client), load, batches_of(load, 130, dead={3}))

    assert not left
    assert min(proxy.count(*request) for request in requests) >= 2
    assert certificate.counts.read == 130
    assert [row["recordingId"] for row in lake.rows()] == ids(number for number in range(130) if number != 3)
    assert len(lake.parts()) == 2
    assert [entry["fence"] for entry in lake.ledger()] == [1, 1, 1, 1]


@pytest.mark.outcome(
    "object stores",
    "any request is refused, times out, meets 500 or SlowDown, or loses its answer",
    "recovers",
)
@pytest.mark.parametrize("turn", range(len(FAULTS)))
@pytest.mark.usefixtures("_small_pieces")
def test_each_multipart_request_that_fails_once_is_repeated(
    new_sink: Any, lake: Bucket, proxy: FlakyProxy, turn: int
) -> None:
    requests = [("POST", "uploads"), ("PUT", "partNumber=1"), ("PUT", "partNumber=2"), ("POST", "uploadId=")]
    left = proxy.fail_each(requests, turn)
    load_in_pieces(new_sink, proxy)
    assert not left
    assert min(proxy.count(*request) for request in requests) >= 2
    assert [row["recordingId"] for row in lake.rows()] == ids(range(7))
    assert lake.uploads() == []


@pytest.mark.usefixtures("_small_pieces")
def test_a_completion_that_fails_with_status_200_is_repeated(new_sink: Any, lake: Bucket, proxy: FlakyProxy) -> None:
    proxy.fail("POST", "uploadId=", "error-in-200")
    load_in_pieces(new_sink, proxy)
    assert proxy.count("POST", "uploadId=") >= 2
    assert [row["recordingId"] for row in lake.rows()] == ids(range(7))
    assert lake.uploads() == []


@pytest.mark.outcome(
    "object stores",
    "any request is refused, times out, meets 500 or SlowDown, or loses its answer",
    "recovers",
)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.usefixtures("_small_pieces")
def test_an_abort_that_fails_once_is_repeated(new_sink: Any, lake: Bucket, proxy: FlakyProxy, fault: Fault) -> None:
    load = make_load()
    client = client_for(proxy.endpoint_url, read_timeout=STALL / 2)
    sink = new_sink(client=client, output_format="ndjson", part_size=20 * LENGTH)
    sink.open(load, restart=False)
    for batch in bulky(load, 7, size=7):
        written(sink, batch)
    until(lambda: len(lake.uploads()) == 1, seconds=30, pause=0.01, what="a thread begins the upload")
    proxy.fail("DELETE", "uploadId=", fault)
    sink.abort()
    assert proxy.count("DELETE", "uploadId=") == 2
    assert lake.uploads() == []


@pytest.mark.outcome("object stores", "credentials expire in the middle of an upload", "SinkRefusedError")
@pytest.mark.usefixtures("_small_pieces")
def test_credentials_that_expire_in_an_upload_are_told_and_the_next_try_goes_on(
    new_sink: Any, lake: Bucket, proxy: FlakyProxy
) -> None:
    load = make_load()
    settings = {"output_format": "ndjson", "part_size": 10 * LENGTH}
    sink = new_sink(client=client_for(proxy.endpoint_url), **settings)
    proxy.rule = lambda method, path: "expire" if "-000000000024000-" in path and "partNumber=2" in path else None

    with pytest.raises(SinkRefusedError, match=r"export-1.*upload_part .*ExpiredToken.*Renew the session token"):
        run(sink, load, bulky(load, 24, size=5))

    assert len(lake.listed(LOAD)) == 1
    proxy.rule = lambda _method, _path: None
    run(new_sink(**settings), load, bulky(load, 24, size=5))
    assert [row["recordingId"] for row in lake.rows()] == ids(range(24))
    assert lake.uploads() == []


@pytest.mark.outcome("object stores", "a right is missing, or credentials have expired", "SinkRefusedError")
@pytest.mark.parametrize(
    ("request_", "fault", "advice"),
    [
        (("PUT", "-000000000120000-"), "expire", "ExpiredToken.*Renew the session token"),
        (("PUT", "-000000000120000-"), "deny", "AccessDenied.*s3:PutObject"),
        (("GET", "list-type=2"), "deny", "list_objects_v2 .*AccessDenied"),
        (("GET", "_dead_letters"), "deny", "list_multipart_uploads .*AccessDenied"),
        (("PUT", "00000001.json"), "not-implemented", "fencing='none'"),
    ],
)
def test_what_no_retry_heals_is_refused_at_once(
    new_sink: Any, proxy: FlakyProxy, request_: tuple[str, str], fault: Fault, advice: str
) -> None:
    load = make_load()
    proxy.fail(*request_, fault)

    with pytest.raises(SinkRefusedError, match=f"export-1.*{advice}"):
        run(new_sink(client=client_for(proxy.endpoint_url)), load, batches_of(load, 130))

    assert proxy.count(*request_) == 1


@pytest.mark.outcome("object stores", "an upload was completed, and its answer never comes", "recovers")
@pytest.mark.usefixtures("_small_pieces")
def test_an_upload_whose_completion_is_never_answered_is_read_back(
    new_sink: Any, lake: Bucket, proxy: FlakyProxy
) -> None:
    load = make_load()
    proxy.rule = lambda method, path: "lose-answer" if method == "POST" and "uploadId=" in path else None

    sink = new_sink(client=client_for(proxy.endpoint_url), output_format="ndjson", part_size=20 * LENGTH)
    run(sink, load, bulky(load, 7, size=4))

    assert len(lake.rows()) == 7


@pytest.mark.outcome("object stores", "the store stays away", "SinkUnavailableError")
def test_a_store_that_stays_away_fails_the_write_and_names_export_and_bytes(
    new_sink: Any, lake: Bucket, proxy: FlakyProxy
) -> None:
    load = make_load()
    batches = list(batches_of(load, 200))
    sink = new_sink(client=client_for(proxy.endpoint_url), retries=2)
    sink.open(load, restart=False)
    for batch in batches[:3]:
        written(sink, batch)
    proxy.fail("PUT", "-000000000240000-", "slow-down", times=99)

    with pytest.raises(SinkUnavailableError, match=r"export-1, bytes 120000 to 240000: put_object .*SlowDown"):
        written(sink, batches[3])

    assert proxy.count("PUT", "-000000000240000-") == 3
    with pytest.raises(RuntimeError, match="not open"):
        written(sink, batches[3])
    proxy.fail("PUT", "nothing", "refuse")
    assert run(new_sink(), load, batches).counts.read == 200
    assert len(lake.rows()) == 200


@pytest.mark.parametrize("fault", ["lose-answer", "refuse"])
def test_nothing_counts_before_its_ledger_entry(new_sink: Any, lake: Bucket, proxy: FlakyProxy, fault: Fault) -> None:
    load = make_load()
    batches = list(batches_of(load, 200))
    sink = new_sink(client=client_for(proxy.endpoint_url), retries=0)
    sink.open(load, restart=False)
    written(sink, batches[0])
    proxy.fail("PUT", "00000002.json", fault)

    with pytest.raises(SinkUnavailableError):
        written(sink, batches[1])

    # Where only the answer was lost, the entry is there: the next attempt continues behind it, and repeats nothing.
    checkpoint = new_sink().open(load, restart=False)
    assert (checkpoint.position.record_offset if checkpoint else 0) == (CUT if fault == "lose-answer" else 0)
    run(new_sink(), load, batches)
    assert [row["recordingId"] for row in lake.rows()] == ids(range(200))


@pytest.mark.outcome("object stores", "no such bucket", "SinkRefusedError")
def test_a_bucket_that_is_not_there_is_refused_with_what_to_do(new_sink: Any) -> None:
    with pytest.raises(SinkRefusedError, match=r"export-1.*NoSuchBucket.*Create the bucket"):
        new_sink(bucket="nowhere").open(make_load(), restart=False)


def test_a_bucket_name_that_cannot_be_one_is_refused(new_sink: Any) -> None:
    with pytest.raises(SinkRefusedError, match="Invalid bucket name"):
        new_sink(bucket="s3://lake/raw").open(make_load(), restart=False)
