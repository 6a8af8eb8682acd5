"""Records with very many unknown names: all counted, some told apart, in time and memory that grow with their size."""

from __future__ import annotations

import time
import tracemalloc
from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_provider_genesys.contracts.contract import Column, Contract, Modes
from airflow_provider_genesys.contracts.drift import MOST_NAMES, OTHERS
from airflow_provider_genesys.contracts.evolve import LONGEST_PATH
from airflow_provider_genesys.contracts.transform import Transform
from airflow_provider_genesys.limits import LONGEST_KEY
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.source.records import Slice
from tests.unit.pipeline.memory_sink import MemorySink, Shelf
from tests.unit.pipeline.sources import InMemory, a_load

NOW = datetime(2026, 11, 22, 3, tzinfo=timezone.utc)


def contract(unknown: Any) -> Contract:
    columns = (Column("id", "id", "string", required=True), Column("at", "at", "timestamp"))
    return Contract("c", 1, "id", "at", columns, modes=Modes(unknown=unknown))


def slice_of(*records: bytes) -> Slice:
    data, starts, ends = b"", [], []
    for record in records:
        starts.append(len(data))
        data += record + b"\n"
        ends.append(len(data))
    return Slice(0, len(data), data, starts, ends, "lines")


def record(names: range) -> bytes:
    return b'{"id": "r", "at": "2026-11-22T10:00:00Z", ' + b", ".join(b'"f%d": %d' % (n, n) for n in names) + b"}"


def counted(mode: str, *records: bytes) -> tuple[int, dict[str, int]]:
    """The rows and, by name, in how many records an unknown field is."""
    drift: dict[str, int] = {}
    found = 0
    for _, rows in Transform(contract(mode), NOW).read(slice_of(*records)):
        found += len(rows.rows)
        for one in rows.drift:
            drift[one.field] = drift.get(one.field, 0) + one.count
    return found, drift


@pytest.mark.parametrize("mode", ["discard_value", "evolve"])
def test_all_names_of_a_record_are_counted(mode: str) -> None:
    rows, drift = counted(mode, record(range(20_000)), record(range(5)))
    assert rows == 2
    assert len(drift) <= MOST_NAMES + 1 + (300 if mode == "evolve" else 0)
    assert drift[OTHERS] > 10_000
    assert sum(drift.values()) == 20_000 + (5 if mode == "discard_value" else 0)  # the contract has those five by now


def test_names_that_differ_from_record_to_record_are_counted() -> None:
    rows, drift = counted("discard_value", *[record(range(n * 100, n * 100 + 100)) for n in range(100)])
    assert (rows, sum(drift.values()), len(drift)) == (100, 10_000, MOST_NAMES + 1)


@pytest.mark.parametrize("mode", ["discard_value", "quarantine"])
def test_twice_the_names_take_at_most_two_and_a_half_times_as_much(mode: str) -> None:
    def cost(names: int) -> tuple[float, int]:
        body = record(range(names))
        began = time.process_time()
        counted(mode, body)
        took = time.process_time() - began
        tracemalloc.start()
        counted(mode, body)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return took, peak

    (once, once_held), (twice, twice_held) = cost(40_000), cost(80_000)
    assert twice <= 2.5 * once + 0.2
    assert twice_held <= 2.5 * once_held
    assert twice_held < 40 * 1024 * 1024


@pytest.mark.parametrize("length", [LONGEST_KEY, 3_000_000])
def test_of_a_long_id_the_begin_is_kept_to_be_seen(length: int) -> None:
    shelf = Shelf()
    data = b'{"id": "' + b"x" * length + b'", "at": "2026-11-22T10:00:00Z"}\n'
    load = a_load(contract=contract("discard_value"))
    run(load, lambda _: InMemory(data), MemorySink(shelf), Options())
    assert shelf.checkpoint
    assert shelf.checkpoint.last_record_id == "x" * LONGEST_KEY
    assert shelf.rows[0][0] == "x" * length


@pytest.mark.parametrize("name", ["x" * LONGEST_PATH, "X" * 150, "x" * (LONGEST_PATH + 1), "X" * 500_000])
def test_only_a_name_of_some_length_becomes_a_column(name: str) -> None:
    given = f'{{"id": "r", "at": "2026-11-22T10:00:00Z", "{name}": 1}}'.encode()
    began = time.process_time()
    transform = Transform(contract("evolve"), NOW)
    assert sum(len(rows.rows) for _, rows in transform.read(slice_of(given))) == 1
    assert time.process_time() - began < 2
    assert (len(transform.contract.columns) > 2) is (len(name) <= LONGEST_PATH)
