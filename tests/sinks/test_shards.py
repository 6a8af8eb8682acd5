"""One archive loaded in shards, into sinks that hold the one certificate over all of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from airflow_provider_genesys.contracts.contract import RECORDINGS
from airflow_provider_genesys.exceptions import (
    AccountError,
    ConfigurationError,
    DeadLetterBudgetError,
    SinkUnavailableError,
)
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Counts
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.pipeline.shards import join_certificates
from airflow_provider_genesys.pipeline.sink import Sink
from airflow_provider_genesys.sinks.local import LocalSink
from airflow_provider_genesys.sinks.objects.ledger import unfinished_loads as of_objects_unfinished
from airflow_provider_genesys.sinks.postgres.ledger import unfinished_loads as of_table_unfinished
from airflow_provider_genesys.source.shards import Shard, plan_shards
from airflow_provider_genesys.stores.s3 import S3Store
from tests.sinks.batches import make_load
from tests.sinks.lake import Bucket
from tests.sinks.warehouse import Warehouse
from tests.unit.pipeline.sources import InMemory

NOW = "2026-11-24T00:00:00+00:00"
RECORDS = 300
BROKEN = frozenset({11, 150, 222})


def line(number: int) -> bytes:
    if number in BROKEN:
        return b"{broken\n"
    record = {"recordingId": f"r-{number:05}", "timestamp": f"2026-11-01T10:00:{number % 60:02}Z", "durationMs": number}
    return json.dumps(record).encode() + b"\n"


ARCHIVE = b"".join(line(number) for number in range(RECORDS))


@dataclass
class Place:
    """A sink of any kind, and what its readers see."""

    make_sink: Callable[[], Sink]
    ids: Callable[[], list[str]]
    """The ids of the rows that count, in order; doubles are shown."""
    certificate: Callable[[], dict[str, Any] | None]
    """That of the whole load; None while it is not complete."""


def of_table(warehouse: Warehouse) -> Place:
    def certificate() -> dict[str, Any] | None:
        found = warehouse.execute("SELECT certificate FROM genesys_ledger WHERE shard = 0 AND state = 'complete'")
        return found[0]["certificate"] if found else None

    return Place(warehouse.sink, lambda: sorted(row["recording_id"] for row in warehouse.rows()), certificate)


def of_objects(make_sink: Callable[[], Sink], read: Callable[[str], bytes | None]) -> Place:
    def certificate() -> dict[str, Any] | None:
        body = read("dt=2026-11-01/load-1/_manifest.json")
        return json.loads(body) if body else None

    def ids() -> list[str]:
        listed = (certificate() or {"parts": []})["parts"]
        lines = [row for part in listed for row in (read(part["key"]) or b"").splitlines()]
        return sorted(json.loads(row)["recordingId"] for row in lines)

    return Place(make_sink, ids, certificate)


NO_BUCKET = ["postgres", pytest.param("s3", marks=pytest.mark.long), "local"]
"""What a bucket and a folder do by the same code meets the bucket with --long only."""


@pytest.fixture(params=["postgres", "s3", "local"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "postgres":
        return of_table(request.getfixturevalue("warehouse"))
    settings = {"prefix": "", "output_format": "ndjson", "part_size": 8_000}
    if request.param == "s3":
        lake: Bucket = request.getfixturevalue("lake")
        new_sink = request.getfixturevalue("new_sink")
        return of_objects(lambda: new_sink(**settings), lambda key: lake.read(key) if key in lake.listed(key) else None)
    return in_folder(tmp_path)


def in_folder(folder: Path) -> Place:
    def read(key: str) -> bytes | None:
        return (folder / key).read_bytes() if (folder / key).exists() else None

    return of_objects(lambda: LocalSink(folder, output_format="ndjson", part_size=8_000, dead_letter_raw="keep"), read)


def shards(count: int) -> list[Shard]:
    return plan_shards(
        lambda known: InMemory(ARCHIVE, identity=known), "export-1", shard_size=1, max_shards=count, now=NOW
    )


def load_of(shard: Shard | None) -> Load:
    load = make_load()
    return replace(load, shard=shard.number, range=shard) if shard else load


def loaded(place: Place, shard: Shard | None, **options: Any) -> Certificate:
    return run(load_of(shard), InMemory(ARCHIVE), place.make_sink(), Options(batch_size=20, **options))


def ids() -> list[str]:
    return [f"r-{number:05}" for number in range(RECORDS) if number not in BROKEN]


def test_the_last_shard_closes_the_account_of_the_whole(place: Place) -> None:
    plan = shards(3)
    for shard in (plan[2], plan[0]):
        loaded(place, shard)
        assert place.certificate() is None
    loaded(place, plan[1])

    certificate = place.certificate()
    assert certificate is not None
    assert certificate["counts"] == {"read": 300, "written": 297, "dead_letters": 3, "duplicates": 0}
    assert [(one["start"], one["end"]) for one in certificate["shards"]] == [(one.start, one.end) for one in plan]
    assert certificate["shard"] is None
    assert place.ids() == ids()


@pytest.mark.parametrize("place", NO_BUCKET, indirect=True)
def test_the_whole_and_its_shards_have_one_digest(place: Place) -> None:
    for shard in shards(4):
        loaded(place, shard)
    in_shards = place.certificate()
    whole = loaded(place, None)
    assert whole.counts == Counts(read=300, written=297, dead_letters=3)
    assert in_shards is not None
    assert in_shards["digest"] == whole.digest
    assert place.ids() == ids()
    assert place.certificate()["shards"] == []  # type: ignore[index]


@pytest.mark.outcome(
    "processes",
    "one shard of a load is cleared and loaded again",
    "recovers; the certificate of the whole is withdrawn until that shard has ended",
)
def test_a_shard_that_is_loaded_again_withdraws_the_certificate_until_it_is_complete(place: Place) -> None:
    plan = shards(3)
    for shard in plan:
        loaded(place, shard)
    before = place.certificate()

    sink = place.make_sink()
    sink.open(load_of(plan[1]), restart=True)
    assert place.certificate() is None
    sink.abort()

    loaded(place, plan[1], restart=True)
    after = place.certificate()
    assert before is not None
    assert after is not None
    assert (after["counts"], after["digest"], after["shards"]) == (before["counts"], before["digest"], before["shards"])
    assert place.ids() == ids()


@pytest.mark.outcome("processes", "the contract is another one before the last shard is loaded", "AccountError")
@pytest.mark.parametrize("place", NO_BUCKET, indirect=True)
def test_shards_that_were_read_by_two_contracts_are_no_whole(place: Place) -> None:
    plan = shards(2)
    first = loaded(place, plan[0])
    other = replace(load_of(plan[1]), load_id="load-2", contract=replace(RECORDINGS, version=2))
    second = run(other, InMemory(ARCHIVE), place.make_sink(), Options(batch_size=20))
    assert place.certificate() is None
    with pytest.raises(
        AccountError, match=r"shard 2 belongs to another load.*'contract'.*Clear the task that plans them"
    ):
        join_certificates([first, second])


def test_a_shard_whose_rows_were_read_by_another_contract_since_is_loaded_again_before_the_whole_is_closed(
    warehouse: Warehouse,
) -> None:
    """The contract changes after the first shard, and changes back before the second."""
    place, plan = of_table(warehouse), shards(2)
    loaded(place, plan[0])
    other = replace(load_of(plan[0]), load_id="load-2", contract=replace(RECORDINGS, version=2))
    run(other, InMemory(ARCHIVE), place.make_sink(), Options(batch_size=20))
    loaded(place, plan[1])
    assert place.certificate() is None
    loaded(place, plan[0])
    assert place.certificate() is not None
    assert {row["_contract_version"] for row in warehouse.rows()} == {str(RECORDINGS)}


@pytest.mark.outcome("processes", "one shard of a load breaks off", "recovers in that shard, from its last commit")
@pytest.mark.parametrize("place", NO_BUCKET, indirect=True)
def test_a_shard_goes_on_where_its_former_try_has_stopped(place: Place) -> None:
    plan = shards(2)
    loaded(place, plan[0])

    def breaking() -> Iterator[bytes]:
        yield ARCHIVE[plan[1].start - plan[1].proof.length : plan[1].start + 9_000]
        raise SinkUnavailableError("the machine is switched off")

    archive = InMemory(ARCHIVE)
    archive.read = lambda _: breaking()  # type: ignore[method-assign]
    with pytest.raises(SinkUnavailableError):
        run(load_of(plan[1]), archive, place.make_sink(), Options(batch_size=20))

    again = InMemory(ARCHIVE)
    certificate = run(load_of(plan[1]), again, place.make_sink(), Options(batch_size=20))
    assert again.read_from is not None
    assert again.read_from >= plan[1].start - plan[1].proof.length
    assert certificate.attempts == 2
    assert place.ids() == ids()


@pytest.mark.outcome("processes", "an archive is loaded again in another number of shards", "recovers")
@pytest.mark.parametrize("place", NO_BUCKET, indirect=True)
def test_another_number_of_shards_leaves_nothing_of_the_former_ones(place: Place) -> None:
    for shard in shards(4):
        loaded(place, shard)
    for shard in shards(2):
        loaded(place, shard)
    certificate = place.certificate()
    assert certificate is not None
    assert certificate["counts"] == {"read": 300, "written": 297, "dead_letters": 3, "duplicates": 0}
    assert len(certificate["shards"]) == 2
    assert place.ids() == ids()


def test_objects_of_other_plans_are_removed(tmp_path: Path) -> None:
    place, load = in_folder(tmp_path), tmp_path / "dt=2026-11-01/load-1"
    loaded(place, None)
    for count in (4, 2):
        for shard in shards(count):
            loaded(place, shard)
        assert {part.parent.name for part in load.rglob("*.ndjson")} == {f"{n:05}" for n in range(1, count + 1)}
    loaded(place, None)
    left = {file.relative_to(load).parts[0] for file in load.rglob("*") if file.is_file()}
    assert left == {"00000", "_manifest.json"}


@pytest.mark.parametrize("place", NO_BUCKET, indirect=True)
def test_too_many_dead_letters_of_all_shards_leave_the_load_open(place: Place) -> None:
    first, second = shards(2)
    loaded(place, first, max_dead_letter_ratio=0.001)
    with pytest.raises(DeadLetterBudgetError, match="max_dead_letter_ratio"):
        loaded(place, second, max_dead_letter_ratio=0.001)
    assert place.certificate() is None


def test_what_is_published_at_once_is_not_loaded_in_shards(warehouse: Warehouse) -> None:
    sink = warehouse.sink(publish="atomic")
    with pytest.raises(ConfigurationError, match="in one piece"):
        run(load_of(shards(2)[0]), InMemory(ARCHIVE), sink, Options())


def test_a_shard_that_broke_off_is_no_load_to_be_finished_as_a_whole(
    warehouse: Warehouse, new_sink: Any, client: Any, bucket: str
) -> None:
    """Of the load's shards it alone has begun: nothing else tells that it is one."""
    shard = shards(3)[0]
    for sink in (warehouse.sink(), new_sink(prefix="", output_format="ndjson", part_size=8_000)):
        sink.open(load_of(shard), restart=False)
        sink.abort()
    assert of_table_unfinished(lambda: psycopg.connect(warehouse.dsn), "public", "recordings") == []
    assert of_objects_unfinished(S3Store(client, bucket), "", "conditional") == []


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_a_record_in_two_shards_the_later_one_stays(warehouse: Warehouse, order: tuple[int, int]) -> None:
    again = json.dumps({"recordingId": "r-00005", "timestamp": "2026-11-01T10:00:00Z", "durationMs": 77}).encode()
    archive = ARCHIVE + again + b"\n"
    plan = plan_shards(lambda known: InMemory(archive, identity=known), "export-1", shard_size=1, max_shards=2, now=NOW)
    for _ in range(2):
        for number in order:
            run(load_of(plan[number]), InMemory(archive), warehouse.sink(), Options(restart=True))
    (row,) = warehouse.execute("SELECT * FROM recordings WHERE recording_id = 'r-00005'")
    assert (row["duration_ms"], row["_source_shard"]) == (77, 2)
