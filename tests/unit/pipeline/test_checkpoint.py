"""A checkpoint is read as it was written, or refused."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_provider_genesys.contracts.drift import Drift
from airflow_provider_genesys.exceptions import AccountError, CheckpointError
from airflow_provider_genesys.pipeline.checkpoint import VERSION, Checkpoint, Counts, from_json
from airflow_provider_genesys.source.position import Identity, Proof

WRITTEN = Checkpoint(
    load_id="load-1",
    export_id="export-1",
    processed_at="2026-11-23T00:00:00+00:00",
    proof=Proof(3, "ab" * 32),
    source=Identity(1_000, '"etag"'),
    counts=Counts(3, 2, 1),
    digest=2**63,
    rules={"not-json": 1},
    drift=[Drift("queue.colour", "unknown", 2)],
    last_record_id="é\u2028",
    fence=7,
)


def test_what_is_written_is_read() -> None:
    assert from_json(WRITTEN.to_json(), where="here") == WRITTEN
    assert from_json(json.loads(WRITTEN.to_json()), where="here") == WRITTEN


def test_what_a_former_release_kept_of_failed_batches_is_left_out() -> None:
    failed = {"start": 0, "end": 7, "records": 1, "error": "SinkUnavailableError", "code": None, "resolved": False}
    assert from_json(json.loads(WRITTEN.to_json()) | {"failed_batches": [failed]}, where="here") == WRITTEN


@pytest.mark.outcome(
    "processes", "the checkpoint is truncated, of another version or of another export", "CheckpointError"
)
def test_a_checkpoint_that_is_cut_off_anywhere_is_refused() -> None:
    text = WRITTEN.to_json()
    for length in range(len(text)):
        with pytest.raises(CheckpointError, match=r"in s3://lake/ledger cannot be read .*on_clear='restart'"):
            from_json(text[:length], where="s3://lake/ledger")


@pytest.mark.outcome(
    "processes", "the checkpoint is truncated, of another version or of another export", "CheckpointError"
)
@pytest.mark.parametrize("version", [0, VERSION + 1, "1", None])
def test_a_checkpoint_of_an_unknown_release_is_refused(version: Any) -> None:
    other = json.loads(WRITTEN.to_json()) | {"version": version}
    with pytest.raises(CheckpointError, match=rf"in here has version {version}; this release reads up to {VERSION}"):
        from_json(other, where="here")


@pytest.mark.parametrize("value", ["[]", "null", "7", b"\xff", "{}", '{"version": 1}', '{"version": 1, "load_id": 5}'])
def test_what_is_no_checkpoint_is_refused(value: str | bytes) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        from_json(value, where="here")


def test_an_account_that_does_not_close_is_not_kept() -> None:
    now = datetime.now(timezone.utc)
    with pytest.raises(AccountError, match="at bytes 0 to 9: 4 records read, but 2 written, 1 rejected"):
        WRITTEN.at(now, Counts(4, 2, 1), where="bytes 0 to 9")
    assert replace(WRITTEN, committed_at=now.isoformat()) == WRITTEN.at(now, WRITTEN.counts, where="here")
