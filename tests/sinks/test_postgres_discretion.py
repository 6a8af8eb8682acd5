"""Personal data that a contract protects is in no table, no log and no certificate, whoever refuses its record."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_genesys.contracts.contract import RECORDINGS, Column
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.pipeline.run import Options, run
from tests.sinks.warehouse import Warehouse
from tests.unit.pipeline.sources import InMemory, a_load

SECRET = "Ada-4711-Lovelace"  # noqa: S105 - what must not be found again
OPTIONS = Options(batch_size=5, max_dead_letter_ratio=None, pii_key=b"a key of more than sixteen bytes")
CALLER = Column("caller", "caller", "string", pii="hash")
AGENT = Column("agent", "people[0].name", "string", pii="drop")


def protecting() -> Load:
    return a_load(contract=replace(RECORDINGS, columns=(*RECORDINGS.columns, CALLER, AGENT)))


def archive() -> bytes:
    def record(number: int) -> dict[str, Any]:
        people = {"caller": f"{SECRET}-{number}", "people": [{"name": SECRET}]}
        return {"recordingId": f"r{number}", "timestamp": "2026-11-22T10:00:00Z", "durationMs": number, **people}

    lines = [json.dumps(record(number)) for number in range(20)]
    broken = [
        f"no JSON {SECRET}",
        lines[0].replace("2026-11-22", "noon"),
        lines[1].replace('"durationMs": 1', '"n": 1'),
    ]
    return "\n".join([*lines, *broken]).encode()


def opened(warehouse: Warehouse, load: Load) -> None:
    """Let the tables be created."""
    sink = warehouse.sink()
    sink.open(load, restart=False)
    sink.abort()


def everything_in(warehouse: Warehouse) -> str:
    tables = ("recordings", "genesys_dead_letters", "genesys_ledger")
    return "".join(str(warehouse.execute(f"SELECT t::text FROM {table} t")) for table in tables)


@pytest.mark.parametrize("dead_letter_raw", ["keep", "encrypt"])
def test_rows_that_postgresql_refuses_and_broken_records_tell_nothing(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture, dead_letter_raw: str
) -> None:
    caplog.set_level(logging.DEBUG)
    load = protecting()
    opened(warehouse, load)
    warehouse.execute("ALTER TABLE recordings ADD CHECK (duration_ms <> 7), ADD CHECK (duration_ms <> 8)")

    sink = warehouse.sink(dead_letter_raw=dead_letter_raw, encrypt=lambda raw, _: raw.hex().encode())
    certificate = run(load, InMemory(archive()), sink, OPTIONS)

    assert certificate.rules == {"not-json": 1, "wrong-type": 1, "missing-required": 1, "check-violation": 2}
    assert SECRET not in caplog.text
    assert SECRET not in everything_in(warehouse)
    assert SECRET not in str(certificate)
    forms = [letter["raw_form"] for letter in warehouse.dead_letters()]
    assert set(forms) == ({"protected", "encrypted"} if dead_letter_raw == "keep" else {"encrypted"})
