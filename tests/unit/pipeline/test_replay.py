"""What a dead letter is read as, wherever it is kept."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_genesys.contracts.contract import RECORDINGS
from airflow_provider_genesys.exceptions import DeadLetterError
from airflow_provider_genesys.pipeline.replay import judge, whole
from airflow_provider_genesys.source.records import RECORD_TOO_LARGE
from tests.sinks.batches import PROCESSED_AT
from tests.sinks.replaying import LETTER

RECORD = {"recordingId": "r", "timestamp": "2026-11-01T10:00:00Z", "durationMs": 1, "unheardOf": 1}


def refused(_: Any) -> bytes:
    raise DeadLetterError("another secret")


@pytest.mark.parametrize(
    ("rule", "opened", "expected"),
    [
        ("missing-required", lambda _: b"{}", b"{}"),
        ("missing-required", lambda _: b"", None),
        ("missing-required", refused, None),
        (RECORD_TOO_LARGE, lambda _: b"{}", None),  # only its beginning was kept
    ],
)
def test_only_whole_bytes_are_read(rule: str, opened: Any, expected: bytes | None) -> None:
    assert whole({**LETTER, "rule": rule}, opened) == expected


@pytest.mark.parametrize("mode", ["evolve", "freeze", "quarantine", "discard_value"])
def test_a_field_that_the_contract_does_not_know_stops_no_replay_and_adds_no_column(mode: Any) -> None:
    contract = replace(RECORDINGS, modes=replace(RECORDINGS.modes, unknown=mode))
    judged = judge([LETTER], contract, PROCESSED_AT, lambda _: json.dumps(RECORD).encode())
    assert ([len(row) for row in judged.rows], judged.failed) == ([len(RECORDINGS.columns)], {})
