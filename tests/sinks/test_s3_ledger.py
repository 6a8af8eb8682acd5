"""The ledger on a real endpoint, where the sink's own tests do not reach."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from airflow_provider_genesys.exceptions import CheckpointError, FencedError, SinkUnavailableError
from airflow_provider_genesys.sinks.objects.ledger import Entry, Ledger, _to_json
from airflow_provider_genesys.stores.base import Stored
from airflow_provider_genesys.stores.s3 import S3Store
from airflow_provider_genesys.testing.sink_conformance.source import written
from tests.sinks.batches import make_load
from tests.sinks.lake import batches_of, client_for


class LaggingStore(S3Store):
    """Lists only the first object, as a store does that is eventually consistent."""

    def list_objects(self, prefix: str) -> Iterator[Stored]:
        yield from list(super().list_objects(prefix))[:1]


def entry_of(number: int, attempt: str = "a") -> Entry:
    return Entry(number, 1, attempt, "load-1", "export-1")


def test_attempts_that_open_at_once_get_fences_of_their_own_and_one_goes_on(new_sink: Any, s3: Any) -> None:
    load = make_load()
    sinks = [new_sink(client=client_for(s3.endpoint_url)) for _ in range(6)]

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda sink: sink.open(load, restart=False), sinks))

    fences = [sink._attempt.entry.fence for sink in sinks]
    assert sorted(fences) == [1, 2, 3, 4, 5, 6]
    for fence, sink in sorted(zip(fences, sinks, strict=True), key=lambda pair: pair[0]):
        first, second = batches_of(load, 100)
        written(sink, first)
        if fence == 6:
            assert written(sink, second)
        else:
            with pytest.raises(FencedError):
                written(sink, second)


def test_the_newest_entry_is_found_though_the_listing_lags(client: Any, bucket: str) -> None:
    ledger = Ledger(LaggingStore(client, bucket), "_ledger/", "conditional")
    for number in (1, 2, 3):
        ledger.append(entry_of(number))

    assert ledger.latest() == entry_of(3)


def test_an_entry_goes_through_json_unchanged(client: Any, bucket: str, new_sink: Any) -> None:
    load, sink = make_load(), new_sink()
    sink.open(load, restart=False)
    for batch in batches_of(load, 100, dead={3}):
        written(sink, batch)
    newest = sink._attempt.entry

    assert Ledger(S3Store(client, bucket), "raw/_ledger/load-1/00000/", "conditional").latest() == newest
    assert newest.checkpoint
    assert len(newest.parts) == len(newest.dead_letters) == 1


def test_a_claim_that_is_beaten_each_time_gives_up_as_unavailable(client: Any, bucket: str) -> None:
    ledger = Ledger(S3Store(client, bucket), "_ledger/", "conditional")

    def beaten(latest: Entry | None) -> Entry:
        number = latest.number + 1 if latest else 1
        ledger.append(entry_of(number, attempt="another"))
        return entry_of(number)

    with pytest.raises(SinkUnavailableError, match="claimed"):
        ledger.claim(beaten)


class _Copies(S3Store):
    """Answers a request for any entry with the first one, or makes entries up."""

    made_up = False

    def get(self, key: str) -> bytes | None:
        number = int(key[-13:-5]) if self.made_up else 1
        return _to_json(entry_of(number))


@pytest.mark.parametrize(("made_up", "said"), [(False, "holds entry 1"), (True, "1,000 entries that its list lacks")])
def test_a_ledger_without_an_end_is_left(client: Any, bucket: str, made_up: bool, said: str) -> None:
    store = _Copies(client, bucket)
    store.made_up = made_up
    with pytest.raises(CheckpointError, match=said):
        Ledger(store, "_ledger/", "conditional").latest()
