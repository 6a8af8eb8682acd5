"""Every fault of the download, at every kind of offset, with every shape of archive: each has its stated outcome."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import pytest
from memory_sink import MemorySink
from outcomes import OUTCOMES, RECOVERS

from airflow_provider_genesys import exceptions
from airflow_provider_genesys.cloud.client import CloudClient
from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.exports import ExportRequest, family
from airflow_provider_genesys.cloud.handle import make_handle, open_handle
from airflow_provider_genesys.cloud.presigned import PresignedUrl
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.pipeline.contract import RECORDINGS
from airflow_provider_genesys.pipeline.download import Download, DownloadSettings
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.sinks.base import Load
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from airflow_provider_genesys.testing.fault_proxy import FaultProxy

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc), datetime(2026, 11, 23, tzinfo=timezone.utc)
SHAPES: dict[str, dict[str, Any]] = {
    "ndjson": {"records": 200},
    "array": {"records": 200, "file_format": "json"},
    "gzip": {"records": 1500, "compression": "gzip"},
}
SLOW = {"stall", "trickle"}
MATRIX = [pytest.param(n, p, id=f"{n}-{p}") for n, outcome in OUTCOMES.items() for p in outcome.places]


@dataclass
class Source:
    """An export behind a proxy, and what a perfect run makes of it."""

    genesys: FakeGenesys
    proxy: FaultProxy
    client: CloudClient
    handle: dict[str, Any]
    places: dict[str, int]
    perfect: MemorySink

    def load(self, sink: MemorySink, **settings: Any) -> list[float]:
        """Load into ``sink``; return the seconds that it would have slept."""
        pauses: list[float] = []

        def download(start: Checkpoint) -> Download:
            return Download(
                self.open_url,
                self.handle["export_id"],
                start.source,
                DownloadSettings(**{"timeout": 5.0, "verify": False} | settings),
                pauses.append,
            )

        load = Load("load", self.handle["export_id"], "recordings", *DAY, DAY[1], RECORDINGS, "test")
        run(load, download, sink, Options(batch_size=20))
        return pauses

    def open_url(self, fresh: bool) -> PresignedUrl:  # noqa: FBT001 - as the download calls it
        return open_handle(self.handle, self.client, fresh=fresh)


def make_source(stack: ExitStack, settings: dict[str, Any]) -> Source:
    genesys = stack.enter_context(FakeGenesys(**{"requests_per_minute": 1_000_000} | settings))
    proxy = stack.enter_context(FaultProxy(genesys.url))
    connection = genesys.connection()
    extra = connection["extra"] | {"requests_per_minute": 1_000_000}
    config = CloudConfig.from_connection(
        login=connection["login"], password=connection["password"], host=proxy.url, extra=extra
    )
    client = stack.enter_context(CloudClient(config))
    recordings = family("recordings", config)
    export_id = recordings.create(client, ExportRequest(*DAY))
    while not (status := recordings.status(client, export_id)).state.terminal:
        pass
    source = Source(genesys, proxy, client, make_handle(status, config.client_secret), {}, MemorySink())
    source.load(source.perfect)
    source.places = places(genesys, export_id)
    return source


def places(genesys: FakeGenesys, export_id: str) -> dict[str, int]:
    export = genesys.exports[export_id]
    size = export.delivered.size
    boundary = size // 3  # a gzip has none
    if not export.compressed:
        boundary = export.archive.read().index(b'{"recordingId"', size // 2)
    return {"start": 0, "inside": size * 2 // 3, "boundary": boundary, "end": size}


@pytest.fixture(scope="module")
def sources() -> Iterator[dict[str, Source]]:
    with ExitStack() as stack:
        yield {shape: make_source(stack, settings) for shape, settings in SHAPES.items()}


@pytest.fixture(params=SHAPES)
def source(sources: dict[str, Source], request: pytest.FixtureRequest) -> Iterator[Source]:
    source = sources[request.param]
    source.proxy.requests.clear()
    yield source
    source.proxy.clear()


def assert_perfect(sink: MemorySink, source: Source) -> None:
    expected = source.perfect
    assert sink.certificate is not None
    assert expected.certificate is not None
    assert sink.rows == expected.rows
    assert sink.certificate.counts == expected.certificate.counts
    assert sink.certificate.digest == expected.certificate.digest
    assert sink.certificate.source.etag == expected.certificate.source.etag


@pytest.mark.parametrize(("name", "place"), MATRIX)
def test_fault_ends_as_stated(name: str, place: str, source: Source) -> None:
    outcome, sink = OUTCOMES[name], MemorySink()
    source.proxy.plan(*outcome.plan(source.places[place]), path="/archive/")
    timeout = 0.2 if name in SLOW else 5.0
    if outcome.at(place) == RECOVERS:
        source.load(sink, timeout=timeout)
        assert_perfect(sink, source)
    else:
        with pytest.raises(getattr(exceptions, outcome.at(place))) as raised:
            source.load(sink, timeout=timeout)
        assert_clear(str(raised.value), sink, source)
        assert outcome.says in str(raised.value) or place in outcome.otherwise


def assert_clear(message: str, sink: MemorySink, source: Source) -> None:
    assert source.handle["export_id"] in message
    assert "X-Amz-" not in message
    assert sink.aborted
    assert sink.certificate is None
    assert sink.rows == source.perfect.rows[: len(sink.rows)]  # what was committed stays, and it is right
