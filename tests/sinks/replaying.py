"""What the replay's tests share: a contract as a team mends it, and records that only the mended one takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airflow_provider_genesys.contracts.contract import RECORDINGS, Contract
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.source.records import DeadLetter
from tests.sinks.batches import LENGTH, make_batch


def contract(**changes: dict[str, Any]) -> Contract:
    """Return the recordings contract with changed columns, as a team mends it."""
    columns = tuple(replace(column, **changes.get(column.name, {})) for column in RECORDINGS.columns)
    return replace(RECORDINGS, version=2, columns=columns)


LENIENT = contract(durationMs={"required": False})


def record(number: int, **fields: Any) -> bytes:
    return json.dumps({"recordingId": f"recording-{number:07}", "timestamp": "2026-11-01T10:00:00Z", **fields}).encode()


def letters_of(load: Load, records: Mapping[int, bytes], *, numbers: range = range(10)) -> Batch:
    """A batch in which some records were set aside for a missing duration."""
    batch = make_batch(load, numbers, dead=records)
    said = "contract", "missing-required", "durationMs is missing or null; the contract requires it."
    return replace(batch, dead_letters=[DeadLetter(number * LENGTH, raw, *said) for number, raw in records.items()])
