"""What a load says of itself: to whom watches it, in its certificate and in the facts that ledgers keep."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_genesys.contracts.contract import RECORDINGS
from airflow_provider_genesys.exceptions import AccountError, SourceUnavailableError
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, Counts
from airflow_provider_genesys.pipeline.load import Load, LoadFacts
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.source.position import Identity
from airflow_provider_genesys.testing.fake_genesys.archive import Archive
from tests.unit.pipeline.memory_sink import MemorySink, Shelf
from tests.unit.pipeline.sources import DAY, InMemory, a_load

RECORDS = 60
DOCUMENT = b"".join(map(bytes, Archive(DAY, DAY + timedelta(days=1), RECORDS, broken=2).chunks()))
OPTIONS = Options(batch_size=10, flush_interval=60)


class Breaking(InMemory):
    """Breaks when half of the archive is read."""

    def read(self, start: int) -> Any:
        for number, chunk in enumerate(super().read(start)):
            if number > 2:
                raise SourceUnavailableError("it broke")
            yield chunk


def test_a_load_that_goes_on_says_first_from_where() -> None:
    shelf, watched = Shelf(), list[Checkpoint]()
    with pytest.raises(SourceUnavailableError):
        run(a_load(), Breaking(DOCUMENT, len(DOCUMENT) // 6), MemorySink(shelf), OPTIONS, watched.append)
    assert watched, "at least one batch was committed"
    assert all(one.counts.read for one in watched), "a load that begins has nothing to say first"
    last, again = watched[-1], list[Checkpoint]()
    certificate = run(a_load(), InMemory(DOCUMENT), MemorySink(shelf), OPTIONS, again.append)
    assert again[0] == last
    read = [one.counts.read for one in again]
    assert read == sorted(read)
    assert (read[-1], again[-1].counts) == (RECORDS, certificate.counts)


def test_a_certificate_says_of_what_it_is() -> None:
    load = a_load()
    certificate = run(load, InMemory(DOCUMENT), MemorySink(Shelf()), OPTIONS)
    named = (certificate.load_id, certificate.export_id, certificate.kind, certificate.contract)
    assert named == ("load-1", "export-1", "recordings", str(RECORDINGS))
    times = (certificate.window_start, certificate.window_end, certificate.submitted_at)
    assert times == (DAY.isoformat(), *[(DAY + timedelta(days=1)).isoformat()] * 2)
    assert (certificate.bytes_read, certificate.source) == (len(DOCUMENT), Identity(len(DOCUMENT), '"etag"'))
    assert sum(certificate.rules.values()) == certificate.counts.dead_letters == 2
    assert certificate.min_timestamp
    assert certificate.max_timestamp
    assert certificate.min_timestamp < certificate.max_timestamp
    assert certificate.started_at
    assert certificate.ended_at
    assert certificate.started_at <= certificate.ended_at
    assert certificate.peak_memory_mb > 1
    assert sum(certificate.phases.values()) > 0
    assert certificate.shard is None
    assert not certificate.incomplete


@pytest.mark.parametrize(("until", "incomplete"), [(None, False), (0, False), (-1, True)])
def test_a_window_whose_data_was_not_all_there_is_incomplete(until: int | None, incomplete: bool) -> None:
    available = None if until is None else (DAY + timedelta(days=1, seconds=until)).isoformat()

    class Late(InMemory):
        def read(self, start: int) -> Any:
            for chunk in super().read(start):
                self.identity = replace(self.identity, available_until=available)
                yield chunk

    assert run(a_load(), Late(DOCUMENT), MemorySink(Shelf()), OPTIONS).incomplete is incomplete


@pytest.mark.parametrize(
    "counts", [Counts(9, 8, 1, 0), Counts(10, 8, 1, 0), Counts(11, 10, 1, 0), Counts(10, 10, 1, 0)]
)
def test_an_account_of_other_records_than_were_read_is_an_error(counts: Counts) -> None:
    read = Certificate.of(a_load(), Identity(), counts=Counts(read=10))
    with pytest.raises(AccountError):
        read.accounted(counts)
    assert read.accounted(Counts(10, 7, 1, 2), location="there").location == "there"


def test_a_ledger_s_facts_make_the_same_load_again() -> None:
    load = replace(a_load(), shard=2)
    assert LoadFacts.from_json(load.facts.as_json()) == load.facts
    assert load.facts.load(load.contract, load.run_id) == load
    kept = vars(load.facts)
    same = {one.name for one in fields(Load)} & set(kept) - {"contract"}
    assert {name: kept[name] for name in same} == {name: getattr(load, name) for name in same}
    assert kept["contract"] == str(load.contract)


def test_counts_are_added_each_to_its_own() -> None:
    assert Counts(1, 2, 3, 4) + Counts(10, 20, 30, 40) == Counts(11, 22, 33, 44)


def test_the_share_that_is_read_never_passes_the_whole() -> None:
    assert replace(_read(50), source=Identity(100)).share() == 0.5
    assert replace(_read(150), source=Identity(100)).share() == 1.0
    assert replace(_read(50), source=Identity(0)).share(expected=200) == 0.25
    assert replace(_read(50), read_share=0.75).share() == 0.75
    assert _read(50).share() is None


def _read(count: int) -> Checkpoint:
    start = Checkpoint("load-1", "export-1", "2026-11-23T03:00:00+00:00", counts=Counts(read=count))
    return replace(start, position=replace(start.position, record_offset=count))
