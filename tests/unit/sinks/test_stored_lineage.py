"""What rows of PostgreSQL are ranked and found by."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_genesys.sinks.postgres.upsert import lineage
from airflow_provider_genesys.source.shards import NO_END, WHOLE, Shard
from tests.sinks.batches import DAY, make_load


@pytest.mark.parametrize(
    ("number", "cut", "first", "end"),
    [
        (0, WHOLE, 0, NO_END),
        (2, Shard(2, 3, 100, 200), 100, 200),
        (2, WHOLE, None, None),  # in a replay: its rows are found by the number
    ],
)
def test_rows_carry_what_they_are_ranked_by(number: int, cut: Shard, first: int | None, end: int | None) -> None:
    load = replace(make_load(), shard=number, range=cut)
    assert lineage(load, "public.t", DAY) == {
        "target": "public.t",
        "export": "export-1",
        "submitted": load.submitted_at,
        "shard": number,
        "first": first,
        "end": end,
        "source": f"export-1/{number}",
        "contract": str(load.contract),
        "begun_at": DAY,
    }
