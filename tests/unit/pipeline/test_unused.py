"""A column that no record has a value for is named; where it is to protect something, the load is not complete."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_genesys.contracts.contract import RECORDINGS, Column, Contract, Modes
from airflow_provider_genesys.contracts.drift import Drift
from airflow_provider_genesys.exceptions import ContractError, SinkUnavailableError
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.pipeline.shards import join_certificates
from airflow_provider_genesys.source.position import Identity
from airflow_provider_genesys.source.shards import Shard
from tests.unit.pipeline.memory_sink import MemorySink, Shelf
from tests.unit.pipeline.sources import InMemory, a_load

KNOWN = (
    Column("recordingId", "recordingId", "string", required=True),
    Column("timestamp", "timestamp", "timestamp", required=True),
)
QUEUE = Column("queueName", "queue.nmae", "string")


def reading(*columns: Column, modes: Modes | None = None) -> Contract:
    return Contract("own", 1, "recordingId", "timestamp", (*KNOWN, *columns), modes or Modes())


def record(number: int, **more: Any) -> bytes:
    fields = {"recordingId": f"r{number}", "timestamp": "2026-11-22T10:00:00Z", "queue": {"name": "sales"}, **more}
    return json.dumps(fields).encode()


def document(*records: bytes) -> bytes:
    return b"\n".join(records or [record(number) for number in range(10)]) + b"\n"


def load(contract: Contract, data: bytes, sink: MemorySink | None = None, **options: Any) -> Certificate:
    given = {"batch_size": 2, "flush_interval": 60.0, **options}
    return run(a_load(contract=contract), InMemory(data), sink or MemorySink(Shelf()), Options(**given))


@pytest.mark.outcome("bad input", "a column of the contract that no record has a value for", "recovers with a warning")
def test_it_is_in_the_log_the_certificate_and_the_drift(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        certificate = load(reading(QUEUE, Column("name", "queue.name", "string")), document())

    assert certificate.unused == ["queue.nmae"]
    assert certificate.drift == [Drift("queue.nmae", "unused", 10)]
    assert "none of 10 records has a value at 'queue.nmae'" in caplog.text


@pytest.mark.parametrize("last", [{"queue": {"nmae": "x"}}, {"queue": {"nmae": 5}}])
def test_one_value_in_the_last_record_is_enough(last: dict[str, Any]) -> None:
    certificate = load(reading(QUEUE), document(*map(record, range(9)), record(9, **last)))
    assert certificate.unused == []


def test_where_every_record_was_rejected_no_column_is_to_blame() -> None:
    certificate = load(reading(replace(QUEUE, pii="mask")), document(b"no JSON"), max_dead_letter_ratio=None)
    assert (certificate.counts.dead_letters, certificate.drift) == (1, [])


def test_a_record_that_was_rejected_does_not_count() -> None:
    certificate = load(reading(QUEUE), document(record(1), b"no JSON"), max_dead_letter_ratio=None)
    assert Drift("queue.nmae", "unused", 1) in certificate.drift


def test_what_may_be_empty_is_in_the_certificate_alone() -> None:
    certificate = load(reading(replace(QUEUE, may_be_empty=True)), document())
    assert certificate.unused == ["queue.nmae"]
    assert [drift.kind for drift in certificate.drift] == ["unknown"]
    assert reading(replace(QUEUE, may_be_empty=True)).fingerprint == reading(QUEUE).fingerprint


def test_the_built_in_contracts_expect_it() -> None:
    certificate = load(RECORDINGS, document(record(1, durationMs=1)))
    assert "conversationId" in certificate.unused
    assert [drift.kind for drift in certificate.drift] == []


def test_nothing_is_said_of_a_load_without_rows() -> None:
    secret = Column("phone", "phnoe", "string", pii="mask")
    certificate = load(reading(secret), b"", allow_empty=True)
    assert certificate.drift == []


PROTECTED = {
    "mask": Column("phone", "custmer.phone", "string", pii="mask"),
    "hash": Column("phone", "customer.phnoe", "string", pii="hash"),
    "drop": Column("phone", "customer.phnoe", "string", pii="drop"),
    "mask with a default": Column("phone", "customer.phnoe", "string", pii="mask", default="none"),
    "mask inside": Column("customer", "customer", "json", pii_inside=(("phnoe", "mask"),)),
    "drop in a list": Column("calls", "calls", "json", pii_inside=(("[].phnoe", "drop"),)),
}
CALLER = {"customer": {"phone": "+49 89 1234567"}, "calls": [{"phone": "+49 89 1234567"}, {}]}


@pytest.mark.outcome("bad input", "a column that is to be protected, and no record has a value for it", "ContractError")
@pytest.mark.parametrize("how", PROTECTED)
def test_a_protected_place_that_no_record_has_fails(how: str) -> None:
    contract, shelf = reading(PROTECTED[how], modes=Modes(unknown="evolve")), Shelf()
    data = document(*(record(number, **CALLER) for number in range(5)))
    with pytest.raises(ContractError, match=r"none of 5 records has a value at '.*ph?noe|custmer") as caught:
        load(contract, data, MemorySink(shelf), pii_key=b"key")
    assert "1234567" not in str(caught.value)
    assert shelf.certificate is None
    load(contract, data, pii_key=b"key", allow_unused_protected=True)
    allowed = replace(PROTECTED[how], may_be_empty=True)
    load(reading(allowed, modes=Modes(unknown="evolve")), data, pii_key=b"key")


@pytest.mark.parametrize("missing", ["evolve", "discard_value"])
def test_a_required_place_that_may_be_missing_all_the_same_fails(missing: Any) -> None:
    phone = Column("phone", "customer.phnoe", "string", required=True, pii="mask")
    data = document(*(record(number, **CALLER) for number in range(5)))
    with pytest.raises(ContractError, match="none of 5 records has a value at"):
        load(reading(phone, modes=Modes(unknown="evolve", missing=missing)), data)


@pytest.mark.parametrize("how", PROTECTED)
def test_a_protected_place_that_one_record_has_is_right(how: str) -> None:
    right = {"customer": {"phnoe": "+49 89 1234567"}, "custmer": {"phone": "x"}, "calls": [{}, {"phnoe": "x"}]}
    data = document(*(record(number, **CALLER) for number in range(5)), record(5, **right))
    certificate = load(reading(PROTECTED[how]), data, pii_key=b"key")
    assert certificate.unused == []


@pytest.mark.parametrize("fail_at", range(5))
def test_what_an_earlier_try_has_seen_counts(fail_at: int) -> None:
    first = document(record(0, queue={"nmae": "x"}), *map(record, range(1, 10)))
    for data, unused in ((first, []), (document(), ["queue.nmae"])):
        shelf = Shelf()
        with pytest.raises(SinkUnavailableError):
            load(reading(QUEUE), data, MemorySink(shelf, fail_at=fail_at))
        assert load(reading(QUEUE), data, MemorySink(shelf)).unused == unused


def test_of_shards_it_is_what_none_of_them_has() -> None:
    whole = load(reading(QUEUE, Column("a", "a", "string")), document())
    source = Identity(20, '"etag"')
    shards = [
        replace(whole, source=source, shard=Shard(number, 2, start, start + 10), unused=unused)
        for number, start, unused in ((1, 0, ["queue.nmae", "a"]), (2, 10, ["queue.nmae"]))
    ]
    assert join_certificates(shards).unused == ["queue.nmae"]
