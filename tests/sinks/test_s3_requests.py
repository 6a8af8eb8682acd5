"""How many requests a load sends to S3: each costs some hundredths of a second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_genesys.testing.sink_conformance.source import written
from tests.sinks.batches import make_certificate, make_checkpoint, make_load
from tests.sinks.lake import batches_of

A_PART = {"GetObject": 1, "PutObject": 2}
"""Whether the attempt is fenced; the part and its ledger entry."""
OPENING = {
    "ListObjectsV2": 1,  # all ledgers of the load
    "PutObject": 2,  # the first entry of its ledger, and once more: the store has to refuse that
    "ListMultipartUploads": 2,  # left by earlier attempts, below parts and dead letters; and a right that the end needs
}
CLOSING = {
    "ListObjectsV2": 3,  # the parts and the dead letters that are there, and the ledgers: a later export may have begun
    "GetObject": 1,  # whether the attempt is fenced
    "PutObject": 2,  # the manifest and the last ledger entry
    "ListMultipartUploads": 2,  # of attempts that were fenced meanwhile, and of requests whose answer was lost
}


@pytest.fixture
def sent(client: Any) -> Callable[[], Counter[str]]:
    """Return the requests since the last call, by operation."""
    names: list[str] = []
    client.meta.events.register("before-call.s3", lambda model, **_: names.append(model.name))

    def since() -> Counter[str]:
        found = Counter(names)
        names.clear()
        return found

    return since


def test_a_load_of_one_part_sends_no_request_that_it_does_not_need(
    new_sink: Any, sent: Callable[[], Counter[str]]
) -> None:
    load, sink = make_load(), new_sink()
    sink.open(load, restart=False)
    assert sent() == OPENING
    for batch in batches_of(load, 50):
        written(sink, batch)
    assert sent() == {}
    sink.finish(make_certificate(load, make_checkpoint(load, 50)))
    assert sent() == Counter(A_PART) + Counter(CLOSING)


def test_a_load_that_goes_on_also_reads_the_newest_entry(new_sink: Any, sent: Callable[[], Counter[str]]) -> None:
    load, killed = make_load(), new_sink()
    killed.open(load, restart=False)
    for batch in batches_of(load, 100):
        written(killed, batch)
    sent()
    new_sink().open(load, restart=False)
    assert sent() == {**OPENING, "GetObject": 1}
