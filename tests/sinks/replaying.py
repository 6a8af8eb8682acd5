"""What the replay's tests share: a contract as a team mends it, and records that only the mended one takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airflow_provider_genesys.contracts.contract import RECORDINGS, Contract
from airflow_provider_genesys.exceptions import DeadLetterError
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.source.records import DeadLetter
from tests.sinks.batches import LENGTH, make_batch


def contract(**changes: dict[str, Any]) -> Contract:
    """Return the recordings contract with changed columns, as a team mends it."""
    columns = tuple(replace(column, **changes.get(column.name, {})) for column in RECORDINGS.columns)
    return replace(RECORDINGS, version=2, columns=columns)


_READ = (
    "load_id",
    "export_id",
    "kind",
    "window_start",
    "processed_at",
    "source_offset",
    "rule",
    "raw",
    "raw_form",
)


def as_it_is(token: bytes, _: bytes) -> bytes:
    """Decrypts nothing."""
    return token


LENIENT = contract(durationMs={"required": False})
HASHING = contract(durationMs={"required": False}, queueName={"pii": "hash"})
"""It cannot be read without a key."""
KEY = b"a key of more than sixteen bytes"


def record(number: int, **fields: Any) -> bytes:
    return json.dumps({"recordingId": f"recording-{number:07}", "timestamp": "2026-11-01T10:00:00Z", **fields}).encode()


LETTER = {
    "load_id": "load-1",
    "shard": 0,
    "export_id": "export-1",
    "kind": "recordings",
    "window_start": "2026-11-01T00:00:00Z",
    "window_end": "2026-11-02T00:00:00Z",
    "submitted_at": "2026-11-02T01:00:00Z",
    "processed_at": "2026-11-02T03:00:00Z",
    "contract": "recordings@1",
    "run_id": "dag/run/task",
    "source_offset": 5,
    "stage": "contract",
    "rule": "missing-required",
    "message": "said so",
    "raw": "{}",
    "raw_form": "text",
    "created_at": "2026-11-02T03:00:00Z",
    "state": "open",
}

STRAYS = [
    "not ours",
    "",
    "[1, 2]",
    "{}",
    "[" * 100_000,
    '"\\ud800"',
    *(json.dumps({name: value for name, value in LETTER.items() if name != left_out}) for left_out in _READ),
    *(
        json.dumps({**LETTER, **other})
        for other in (
            {"window_end": "2026-11-02T00:00:00"},
            {"window_end": "infinity"},
            {"processed_at": 7},
            {"source_offset": -1},
            {"source_offset": 2**63},
            {"source_offset": "5"},
            {"shard": -1},
            {"raw": 5},
            {"raw_form": None},
            {"kind": "nothing we know"},
        )
    ),
]
"""What lies among dead letters and is none."""


def contract_of(kind: str) -> Contract:
    """Return the mended contract, as the operator does."""
    if kind != "recordings":
        raise DeadLetterError(f"There is no contract for {kind}")
    return LENIENT


def letters_of(load: Load, records: Mapping[int, bytes], *, numbers: range = range(10)) -> Batch:
    """A batch in which some records were rejected for a missing duration."""
    batch = make_batch(load, numbers, dead=records)
    said = "contract", "missing-required", "durationMs is missing or null; the contract requires it."
    return replace(batch, dead_letters=[DeadLetter(number * LENGTH, raw, *said) for number, raw in records.items()])
