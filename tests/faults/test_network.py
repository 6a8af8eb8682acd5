"""Every fault of the download, at every kind of offset, with every shape of archive: each has its stated outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_provider_genesys import exceptions
from airflow_provider_genesys.cloud.config import CloudConfig
from airflow_provider_genesys.cloud.exports.base import ExportRequest
from airflow_provider_genesys.cloud.exports.handle import make_handle, open_handle
from airflow_provider_genesys.cloud.exports.registry import family
from airflow_provider_genesys.cloud.http.client import CloudClient
from airflow_provider_genesys.cloud.presigned import PresignedUrl
from airflow_provider_genesys.contracts.contract import RECORDINGS
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.source.download import Download
from airflow_provider_genesys.source.download_client import DownloadSettings
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from airflow_provider_genesys.testing.fault_proxy import Fault, FaultProxy
from tests.faults.outcomes import NEXT_TRY, NEXT_TRY_OF_GZIP, NEXT_TRY_SAYS, OUTCOMES, RECOVERS, START_OF_GZIP
from tests.support.watching import reading_ahead, until
from tests.unit.pipeline.memory_sink import MemorySink, Shelf

DAY = datetime(2026, 11, 22, tzinfo=timezone.utc), datetime(2026, 11, 23, tzinfo=timezone.utc)
SHAPES: dict[str, dict[str, Any]] = {
    "ndjson": {"records": 200},
    "array": {"records": 200, "file_format": "json"},
    "gzip": {"records": 700, "compression": "gzip"},
}
SLOW = {"stall", "trickle"}


def shows(name: str, place: str) -> list[pytest.MarkDecorator]:
    """The lines of docs/guarantees.md: what is not so everywhere says where it is."""
    outcome, at = OUTCOMES[name], f" at the {place}"
    ends = [f"{outcome.at(place)}{at if place in outcome.otherwise else ''}"]
    if place == "start" and name in START_OF_GZIP:
        ends.append(f"{START_OF_GZIP[name]}{at} of gzip")
    return [pytest.mark.outcome("download", outcome.fault, end) for end in ends]


LONG_OF = {"array": {"start", "boundary"}, "gzip": {"boundary"}}
"""Left to --long: at its start and between two records an array is as any archive, and gzip has no boundary."""
ANSWERS_OF = {"ndjson": "boundary", "gzip": "start"}
"""Left to --long where an answer is at fault, not the transfer: such an answer meets the others of these places."""


def is_long(name: str, place: str, shape: str) -> bool:
    if place in LONG_OF.get(shape, ()):
        return True
    return name in NEXT_TRY and name not in START_OF_GZIP and place == ANSWERS_OF.get(shape)


MATRIX = [
    pytest.param(
        name,
        place,
        shape,
        id=f"{shape}-{name}-{place}",
        marks=[*shows(name, place), *([pytest.mark.long] if is_long(name, place, shape) else [])],
    )
    for shape in SHAPES
    for name, outcome in OUTCOMES.items()
    for place in outcome.places
]


class TimelessSink(MemorySink):
    """Gives each load the same time, so that their rows can be compared."""

    processed_at = DAY[1].isoformat()

    def __init__(self) -> None:
        super().__init__(Shelf())


@dataclass
class Source:
    """An export behind a proxy, and what a perfect run makes of it."""

    genesys: FakeGenesys
    proxy: FaultProxy
    client: CloudClient
    handle: dict[str, Any]
    places: dict[str, int]
    perfect: TimelessSink

    def load(self, sink: TimelessSink, pause: Callable[[float], object] = lambda _: None, **settings: Any) -> None:
        """Load into ``sink``; call ``pause`` instead of sleeping."""

        def download(start: Checkpoint) -> Download:
            return Download(
                self.open_url,
                self.handle["export_id"],
                start.source,
                DownloadSettings(**{"timeout": 5.0, "verify": False} | settings),
                pause,
            )

        load = Load("load", self.handle["export_id"], "recordings", *DAY, DAY[1], RECORDINGS, "test")
        run(load, download, sink, Options(batch_size=20))

    def open_url(self, fresh: bool) -> PresignedUrl:
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
    source = Source(genesys, proxy, client, make_handle(status, config), {}, TimelessSink())
    source.load(source.perfect)
    assert len(source.perfect.shelf.rows) == genesys.expected().distinct_ids == settings["records"]
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


def assert_perfect(sink: TimelessSink, source: Source) -> None:
    expected = source.perfect
    assert sink.shelf.certificate is not None
    assert expected.shelf.certificate is not None
    assert sink.shelf.rows == expected.shelf.rows
    assert sink.shelf.certificate.counts == expected.shelf.certificate.counts
    assert sink.shelf.certificate.digest == expected.shelf.certificate.digest
    assert sink.shelf.certificate.source.etag == expected.shelf.certificate.source.etag


@pytest.mark.parametrize(("name", "place", "source"), MATRIX, indirect=["source"])
def test_fault_ends_as_stated(name: str, place: str, source: Source) -> None:
    outcome = OUTCOMES[name]
    source.proxy.plan(*outcome.plan(source.places[place]), path="/archive/")
    says = "" if place in outcome.otherwise else outcome.says
    of_gzip = START_OF_GZIP if source.genesys.compression and place == "start" else {}
    assert_ends(
        source, TimelessSink(), of_gzip.get(name, outcome.at(place)), says, timeout=0.2 if name in SLOW else 5.0
    )


@pytest.mark.parametrize("source", ["ndjson", "gzip", pytest.param("array", marks=[pytest.mark.long])], indirect=True)
@pytest.mark.parametrize("name", NEXT_TRY)
def test_fault_in_the_next_try_ends_as_stated(name: str, source: Source) -> None:
    outcome, sink = OUTCOMES[name], TimelessSink()
    broken, *answers = outcome.plan(source.places["inside"])
    source.proxy.plan(broken, Fault(no_head=True), *answers, path="/archive/")
    with pytest.raises(exceptions.SourceUnavailableError):
        source.load(sink, retries=0)
    assert sink.shelf.rows, "the next try has nothing to go on from"
    compressed = source.genesys.compression is not None
    ends = NEXT_TRY_OF_GZIP.get(name, outcome.ends) if compressed else outcome.ends
    says = "" if ends != outcome.ends or compressed else NEXT_TRY_SAYS.get(name, outcome.says)
    assert_ends(source, sink, ends, says, timeout=0.2 if name in SLOW else 5.0)


def assert_ends(source: Source, sink: TimelessSink, ends: str, says: str, *, timeout: float) -> None:
    if ends == RECOVERS:
        source.load(sink, timeout=timeout)
        assert_perfect(sink, source)
        return
    with pytest.raises(getattr(exceptions, ends)) as raised:
        source.load(sink, timeout=timeout)
    assert says in str(raised.value)
    assert_clear(str(raised.value), sink, source)


def assert_clear(message: str, sink: TimelessSink, source: Source) -> None:
    assert source.handle["export_id"] in message
    assert "X-Amz-" not in message
    assert sink.aborted
    assert sink.shelf.certificate is None
    assert (
        sink.shelf.rows == source.perfect.shelf.rows[: len(sink.shelf.rows)]
    )  # what was committed stays, and it is right


@pytest.mark.outcome("download", "the connection is reset", "recovers")
def test_a_reset_at_any_offset_recovers(source: Source) -> None:
    size = source.places["end"]
    around = [at + near for at in source.places.values() for near in (-1, 1) if 0 < at + near < size]
    for offset in [*around, *range(1, size, size // 20)]:
        sink = TimelessSink()
        source.proxy.plan(Fault(after=offset))
        source.load(sink)
        assert_perfect(sink, source)


def test_resets_one_after_another_recover(source: Source) -> None:
    # Each transfer brings 64 KiB that are known and a little more than 64 KiB that are new.
    source.proxy.plan(Fault(after=140_000), forever=True)
    sink = TimelessSink()
    source.load(sink, retries=0)
    assert_perfect(sink, source)


@pytest.fixture
def own_source() -> Iterator[Source]:
    """For tests that leave it other than it was."""
    with ExitStack() as stack:
        yield make_source(stack, SHAPES["ndjson"])


@pytest.mark.outcome("download", "403: the URL has expired", "recovers")
def test_a_url_that_expired_between_two_requests_is_renewed(own_source: Source) -> None:
    own_source.proxy.requests.clear()
    own_source.proxy.plan(Fault(after=own_source.places["inside"]), path="/archive/")
    sink = TimelessSink()
    own_source.load(sink, lambda _: own_source.genesys.expire_urls())
    assert_perfect(sink, own_source)
    asked = [(seen.path.split("/")[1], seen.status) for seen in own_source.proxy.requests]
    assert asked == [("archive", 200), ("archive", 403), ("api", 200), ("archive", 206)]


@pytest.mark.outcome("download", "the archive is replaced between two requests", "SourceChangedError")
def test_an_archive_that_was_replaced_is_refused_by_its_etag(own_source: Source) -> None:
    own_source.proxy.plan(Fault(after=own_source.places["inside"]), path="/archive/")
    sink = TimelessSink()
    with pytest.raises(exceptions.SourceChangedError, match="HTTP 412 PreconditionFailed") as raised:
        own_source.load(sink, lambda _: own_source.genesys.replace_archive(own_source.handle["export_id"]))
    assert_clear(str(raised.value), sink, own_source)


@pytest.mark.outcome("download", "bytes only trickle, for good", "SourceUnavailableError")
def test_a_source_that_only_trickles_is_given_up(source: Source) -> None:
    source.proxy.plan(Fault(rate=20_000), forever=True)
    with pytest.raises(
        exceptions.SourceUnavailableError, match=r"(only \d+ bytes came in|no byte came in time).*2 attempts in a row"
    ):
        source.load(TimelessSink(), timeout=0.1, retries=1)


class FailingSink(TimelessSink):
    """Does not take the first batch."""

    def write(self, batch: Batch) -> Checkpoint:
        raise exceptions.SinkUnavailableError(f"no room for {batch.records} records")


def test_a_sink_that_fails_ends_a_download_that_stalls(source: Source) -> None:
    source.proxy.plan(Fault(after=source.places["inside"], then="stall"))
    with pytest.raises(exceptions.SinkUnavailableError):
        source.load(FailingSink(), timeout=300.0)
    until(lambda: not reading_ahead(), what="the end of the reading thread")
    assert len(source.proxy.requests) == 1


def test_every_name_is_of_an_outcome() -> None:
    assert SLOW | set(NEXT_TRY_OF_GZIP) | set(NEXT_TRY_SAYS) <= set(OUTCOMES)
