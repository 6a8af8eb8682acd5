"""Whole loads whose contract evolves, into a table that others read meanwhile, killed and resumed."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from airflow_provider_genesys import failpoints
from airflow_provider_genesys.contracts.contract import RECORDINGS
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.sinks.postgres.sink import PostgresSink
from tests.sinks.warehouse import Warehouse
from tests.unit.pipeline.sources import InMemory, a_load

RECORDS = 60
CONTRACT = RECORDINGS.with_modes(dict.fromkeys(("unknown", "type", "missing"), "evolve"))
CHANGES: dict[int, dict[str, Any]] = {
    15: {"wrapUp": "sold"},
    25: {"durationMs": "NA"},
    35: {"score": 4.5, "wrapUp": "lost"},
    45: {"durationMs": None},
}
"""What records bring that no record before them has."""
COLUMNS = ["duration_ms__v_string", "score", "wrap_up"]


def archive() -> bytes:
    def record(number: int) -> dict[str, Any]:
        time = f"2026-11-22T10:{number:02}:00Z"
        return {"recordingId": f"r{number:02}", "timestamp": time, "durationMs": 1, **CHANGES.get(number, {})}

    return b"\n".join(json.dumps(record(number)).encode() for number in range(RECORDS))


@dataclass
class Readers:
    """What those saw who read the table all the time: numbers of rows, and errors."""

    seen: list[int] = field(default_factory=list)
    errors: list[psycopg.Error] = field(default_factory=list)


@contextmanager
def reading(dsn: str) -> Iterator[Readers]:
    readers, done = Readers(), threading.Event()

    def read() -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            while not done.is_set():
                try:
                    [(count,)] = connection.execute("SELECT count(*) FROM recordings").fetchall()
                    readers.seen.append(count)
                except psycopg.errors.UndefinedTable:
                    pass  # the load has not begun
                except psycopg.Error as error:
                    readers.errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield readers
    finally:
        done.set()
        for thread in threads:
            thread.join()


def loaded(dsn: str, load: Load, publish: Any, table: str = "recordings") -> Certificate:
    sink = PostgresSink(
        lambda: psycopg.connect(dsn),
        table,
        publish=publish,
        dead_letter_raw="keep",
        commit_rows=1,
        retries=9,
        retry_wait=0.01,
    )
    return run(load, InMemory(archive()), sink, Options(batch_size=10, flush_interval=60.0))


def rows(warehouse: Warehouse, table: str) -> list[dict[str, Any]]:
    """Rows without when they were loaded."""
    read = warehouse.execute(f"SELECT * FROM {table} ORDER BY recording_id")
    return [{name: value for name, value in row.items() if name not in ("_loaded_at", "processed_at")} for row in read]


@pytest.mark.parametrize(
    ("publish", "nth"),
    [
        # Without --long beside the table only in the middle and as it is published.
        pytest.param(publish, nth, marks=[pytest.mark.long] if publish == "atomic" and nth in (1, 5) else [])
        for publish in ("batches", "atomic")
        for nth in (None, 1, 3, 5, 8)
    ],
)
def test_a_load_that_evolves_ends_as_one_that_nothing_disturbed(
    warehouse: Warehouse, publish: str, nth: int | None
) -> None:
    """Killed before its n-th commit and resumed, while others read: every column and row is there, once."""
    load = a_load(contract=CONTRACT)
    if nth:
        _load_and_die(warehouse.dsn, load, publish, nth)
    with reading(warehouse.dsn) as readers:
        certificate = loaded(warehouse.dsn, load, publish)
    whole = loaded(warehouse.dsn, load, "batches", table="whole")

    assert readers.seen
    assert readers.errors == []
    assert set(readers.seen) <= ({0, RECORDS} if publish == "atomic" else set(range(RECORDS + 1)))
    assert rows(warehouse, "recordings") == rows(warehouse, "whole")
    assert len(rows(warehouse, "whole")) == RECORDS
    assert set(COLUMNS) <= rows(warehouse, "whole")[0].keys()
    assert rows(warehouse, "recordings")[25]["duration_ms__v_string"] == "NA"
    assert (certificate.counts, certificate.digest) == (whole.counts, whole.digest)
    assert certificate.evolved == whole.evolved
    assert certificate.drift == whole.drift


NAMES = ['qu"ote', "back\\slash", "tab\t", "nul\0", "bell\x07", "del\x7f", "ctid", "xmin", "CMAX", "tableoid", "ö" * 60]


@pytest.mark.parametrize("publish", ["batches", "atomic"])
def test_fields_of_any_name_land_or_are_counted(warehouse: Warehouse, publish: Any) -> None:
    """Names that PostgreSQL keeps for itself get a number; those that no path can hold are drift."""
    record = {"recordingId": "r", "timestamp": "2026-11-22T10:00:00Z", "durationMs": 1, **dict.fromkeys(NAMES, "x")}
    sink = warehouse.sink(publish=publish)

    certificate = run(a_load(contract=CONTRACT), InMemory(json.dumps(record).encode()), sink, Options())

    [row] = warehouse.rows()
    landed = {name for name, value in row.items() if value == "x"}
    assert landed == {"del", "ctid_2", "xmin_2", "cmax_2", "tableoid_2", "field"}
    assert {drift.field for drift in certificate.drift} == {name.replace("\0", "\ufffd") for name in NAMES}
    assert certificate.counts.dead_letters == 0


def _load_and_die(dsn: str, load: Load, publish: str, nth: int) -> None:
    """Load in a forked child until the n-th commit is about to be made; then be killed."""
    child = os.fork()
    if child:
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        return
    reached = 0

    def hook(step: str) -> None:
        nonlocal reached
        reached += step == failpoints.COMMITTING
        if reached == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        failpoints.hook = hook
        loaded(dsn, load, publish)
    finally:
        os._exit(1)
