"""Stores that speak the protocol of S3 and lack some of it; docs/s3.md says which."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import SinkRefusedError
from airflow_provider_genesys.testing.services import S3Server
from tests.sinks.batches import LENGTH, make_load
from tests.sinks.flaky import FlakyProxy
from tests.sinks.lake import Bucket, batches_of, bulky, client_for, run

IN_PIECES = {"output_format": "ndjson", "part_size": 20 * LENGTH}


@dataclass
class Wire:
    """What a client sends."""

    requests: list[Any] = field(default_factory=list)

    def watch(self, client: Any) -> None:
        client.meta.events.register("before-send.s3", lambda request, **_: self.requests.append(request))

    def headers(self, *methods: str) -> list[dict[str, str]]:
        return [
            {name.lower(): value.decode() if isinstance(value, bytes) else value for name, value in one.headers.items()}
            for one in self.requests
            if one.method in methods
        ]


@pytest.mark.usefixtures("_small_pieces")
@pytest.mark.parametrize("sent", [True, False])
def test_bodies_have_a_length_and_a_checksum_where_the_client_is_to_send_one(
    new_sink: Any, lake: Bucket, s3: S3Server, sent: bool
) -> None:
    """A store that wants a Content-Length refuses chunks; one that does not know checksums refuses them."""
    client, wire, load = client_for(s3.endpoint_url), Wire(), make_load()
    if not sent:
        client = client_for(s3.endpoint_url, request_checksum_calculation="when_required")
    wire.watch(client)
    run(new_sink(client=client, **IN_PIECES), load, bulky(load, 12, size=6))
    assert len(lake.rows()) == 12
    assert {"partNumber" in one.url for one in wire.requests} == {True, False}
    for headers in wire.headers("PUT"):
        assert int(headers["content-length"]) > 0
        assert not {"transfer-encoding", "content-encoding", "x-amz-trailer"} & headers.keys()
        assert headers["x-amz-content-sha256"] not in {"UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
    named = {name for headers in wire.headers("PUT", "POST") for name in headers if "checksum" in name}
    assert named == ({"x-amz-checksum-crc32", "x-amz-checksum-algorithm"} if sent else set())


@pytest.mark.outcome("object stores", "the store cannot list unfinished uploads", "recovers")
@pytest.mark.usefixtures("_small_pieces")
def test_a_store_that_cannot_list_uploads_is_loaded_into(new_sink: Any, lake: Bucket, proxy: FlakyProxy) -> None:
    load = make_load()
    proxy.rule = lambda method, path: "not-implemented" if method == "GET" and "uploads" in path else None
    run(new_sink(client=client_for(proxy.endpoint_url), **IN_PIECES), load, bulky(load, 12, size=6))
    assert proxy.count("GET", "uploads") >= 2
    assert len(lake.rows()) == 12


@pytest.mark.outcome("object stores", "the store does not know conditional writes", "SinkRefusedError")
def test_a_store_that_does_not_know_the_condition_is_refused_with_both_ways_out(
    new_sink: Any, lake: Bucket, proxy: FlakyProxy
) -> None:
    load = make_load()
    proxy.fail("PUT", "_ledger", "not-implemented", times=99)
    with pytest.raises(SinkRefusedError, match=r"fencing='none'.*request_checksum_calculation.*docs/s3.md"):
        run(new_sink(client=client_for(proxy.endpoint_url)), load, batches_of(load, 60))
    assert lake.listed() == []
