"""Shards are one whole only where all were read to their ends, of one archive, and are judged together."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_genesys.contracts.drift import Drift
from airflow_provider_genesys.exceptions import AccountError, DeadLetterBudgetError, GenesysError, IncompleteError
from airflow_provider_genesys.pipeline.budget import Completeness
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Counts
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.pipeline.shards import join_certificates, whole_of
from airflow_provider_genesys.sinks.local import LocalSink
from airflow_provider_genesys.source.position import Identity
from airflow_provider_genesys.source.shards import Shard, plan_shards
from tests.unit.pipeline.sources import InMemory, a_load

RECORDS = 40
ARCHIVE = b"".join(
    json.dumps({"recordingId": f"r{number:02}", "timestamp": "2026-11-22T10:00:00Z", "durationMs": number}).encode()
    + b"\n"
    for number in range(RECORDS)
)
SOURCE = Identity(300, '"etag"')


def certificate(number: int, **others: Any) -> Certificate:
    """Of the shard ``number`` of three, of 100 bytes each."""
    shard = Shard(number, 3, 100 * number - 100, 100 * number, source=SOURCE)
    facts = {
        "bytes_read": 100,
        "counts": Counts(10 * number, 8 * number, number, number),
        "digest": f"{number:016x}",
        "min_timestamp": f"2026-11-0{number}T00:00:00Z",
        "max_timestamp": f"2026-11-1{number}T00:00:00Z",
        "rules": {"wrong-type": number},
        "drift": [Drift("a", "unknown", number, 100 * number)],
        "unused": ["never", f"not in {number}"],
        "parts": [{"key": str(number)}],
        "attempts": number,
        "started_at": f"2026-11-20T0{number}:00:00Z",
        "ended_at": f"2026-11-20T1{number}:00:00Z",
        "seconds": float(number),
        "phases": {"source": float(number), "sink": 1.0},
        "peak_memory_mb": 100.0 * number,
    }
    return replace(Certificate.of(a_load(), SOURCE, shard=shard), **{**facts, **others})


ALL = [certificate(number) for number in (2, 3, 1)]


def test_the_whole_is_the_sum_of_its_shards() -> None:
    whole = join_certificates(ALL)

    assert whole.shard is None
    assert [shard.number for shard in whole.shards] == [1, 2, 3]
    assert (whole.bytes_read, whole.counts, whole.digest) == (300, Counts(60, 48, 6, 6), f"{6:016x}")
    assert (whole.min_timestamp, whole.max_timestamp) == ("2026-11-01T00:00:00Z", "2026-11-13T00:00:00Z")
    assert (whole.rules, whole.unused, whole.attempts) == ({"wrong-type": 6}, ["never"], 6)
    assert [(drift.field, drift.count, drift.first) for drift in whole.drift] == [("a", 6, 100)]
    assert [part["key"] for part in whole.parts] == ["1", "2", "3"]
    assert (whole.started_at, whole.ended_at) == ("2026-11-20T01:00:00Z", "2026-11-20T13:00:00Z")
    assert (whole.seconds, whole.phases, whole.peak_memory_mb) == (3.0, {"source": 6.0, "sink": 3.0}, 300.0)
    assert whole_of(ALL) == whole
    assert whole_of([whole]) == whole


def changed(number: int, **others: Any) -> list[Certificate]:
    """Return all three, the one with ``number`` changed."""
    return [replace(one, **others) if one.shard and one.shard.number == number else one for one in ALL]


def of_range(number: int, count: int, start: int, end: int) -> dict[str, Any]:
    return {"shard": Shard(number, count, start, end, source=SOURCE)}


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (changed(2, load_id="other"), "'load_id'"),
        (changed(2, export_id="other"), "'export_id'"),
        (changed(2, kind="other"), "'kind'"),
        (changed(2, window_start="other"), "'window_start'"),
        (changed(2, window_end="other"), "'window_end'"),
        (changed(2, contract="other"), "'contract'"),
        (changed(2, delivery="at-least-once"), "'delivery'"),
        (changed(2, source=Identity(300, '"another"')), "'source'"),
        (changed(3, source=Identity(301, '"etag"')), "'source'"),
        (changed(2, shard=None), "to no shard"),
        (changed(2, **of_range(2, 3, 101, 200)), "bytes 100 and 101"),
        (changed(2, **of_range(2, 3, 99, 200)), "bytes 100 and 99"),
        (changed(2, **of_range(2, 3, 100, 199)), "bytes 199 and 200"),
        (changed(1, **of_range(1, 3, 1, 100)), "bytes 0 and 1"),
        (changed(3, **of_range(3, 3, 200, 299)), "bytes 299 and 300"),
        (changed(2, **of_range(2, 4, 100, 200)), "they should be"),
        (changed(2, **of_range(1, 3, 100, 200)), "they should be"),
        (ALL[:2], "they should be"),
        ([*ALL, ALL[0]], "they should be"),
    ],
)
def test_what_is_not_one_whole_is_not_joined(found: list[Certificate], says: str) -> None:
    with pytest.raises(AccountError, match=f"do not make one whole: .*{says}"):
        whole_of(found)


def planned(data: bytes = ARCHIVE) -> list[Shard]:
    return plan_shards(
        lambda known: InMemory(data, identity=known),
        "export-1",
        shard_size=1,
        max_shards=2,
        now="2026-11-24T00:00:00+00:00",
    )


def loaded(shard: Shard, folder: Path, data: bytes = ARCHIVE, **options: Any) -> Certificate:
    load = replace(a_load(), shard=shard.number, range=shard)
    sink = LocalSink(folder, output_format="ndjson", dead_letter_raw="keep")
    return run(load, InMemory(data), sink, Options(batch_size=7, **options))


def manifests(folder: Path) -> int:
    return len(list(folder.rglob("_manifest.json")))


def test_a_shard_that_is_not_read_to_its_end_is_not_complete(tmp_path: Path) -> None:
    first, _ = planned()
    for end in (first.end + 5, first.end - 5):
        with pytest.raises(GenesysError):
            loaded(replace(first, end=end), tmp_path)
    with pytest.raises(
        AccountError, match=f"Shard 1 of export export-1 was read to byte {first.end}, and ends at byte"
    ):
        loaded(replace(first, end=first.end + 5), tmp_path, ARCHIVE[: first.end])
    assert manifests(tmp_path) == 0


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"completeness": Completeness(reported=RECORDS + 1)}, IncompleteError),
        ({"completeness": Completeness(reported=RECORDS - 1, expect="fail")}, IncompleteError),
        ({"completeness": Completeness(reported_bytes=len(ARCHIVE) + 1)}, IncompleteError),
        ({"max_dead_letter_ratio": 0.02}, DeadLetterBudgetError),
    ],
)
def test_all_shards_are_judged_together_by_what_none_is_judged_by_alone(
    tmp_path: Path, options: dict[str, Any], error: type[GenesysError]
) -> None:
    data = ARCHIVE.replace(b'{"recordingId": "r01"', b'["recordingId", "r01"', 1)
    first, second = planned(data)
    loaded(first, tmp_path, data, **options)

    with pytest.raises(error):
        loaded(second, tmp_path, data, **options)

    assert not list(tmp_path.rglob("load-1/_manifest.json"))
    loaded(second, tmp_path, data)
    assert len(list(tmp_path.rglob("load-1/_manifest.json"))) == 1
