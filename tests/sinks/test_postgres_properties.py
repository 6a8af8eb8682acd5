"""Any exports, in any order, cut in any way, with any crashes: the table holds what the rule says, and counts it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_genesys.exceptions import UnrankedExportError
from airflow_provider_genesys.pipeline.checkpoint import Counts
from airflow_provider_genesys.sinks.postgres.straight import Straight
from tests.sinks.batches import DAY, LENGTH, make_batches, make_certificate, make_load, recording_row
from tests.sinks.warehouse import Warehouse, write_all

Way = Literal["as it is", "straight", "upsert"]
"""Which batches are tried straight into the table: those that are likely to get there · all · none."""


@dataclass(frozen=True)
class Attempt:
    """How a load is run until it ends or is stopped."""

    size: int
    stop_after: int
    restart: bool
    way: Way
    commit_rows: int


@dataclass(frozen=True)
class Export:
    """An export whose record ``i`` has the key ``keys[i]``."""

    submitted: int | None
    """In hours; None where nobody knows."""
    keys: tuple[int, ...]
    attempts: tuple[Attempt, ...]
    size: int
    way: Way
    commit_rows: int


WAYS = st.sampled_from(get_args(Way))
ATTEMPTS = st.builds(Attempt, st.integers(1, 7), st.integers(0, 3), st.booleans(), WAYS, st.sampled_from([1, 8]))
EXPORTS = st.builds(
    Export,
    st.one_of(st.none(), st.integers(0, 4)),
    st.lists(st.integers(0, 9), min_size=1, max_size=20).map(tuple),
    st.lists(ATTEMPTS, max_size=3).map(tuple),
    st.sampled_from([20, 3]),
    WAYS,
    st.sampled_from([1, 8]),
)


@given(st.lists(EXPORTS, min_size=1, max_size=4))
@settings(max_examples=settings.default.max_examples // 2, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_newest_of_each_key_stays_and_everything_else_is_counted(
    warehouse: Warehouse, exports: Sequence[Export]
) -> None:
    warehouse.execute("DROP TABLE IF EXISTS recordings, genesys_ledger, genesys_dead_letters")
    expected: dict[int, tuple[int | None, str, int]] = {}
    for number, export in enumerate(exports):
        name = f"export-{number}"
        met = [expected[key] for key in set(export.keys) & expected.keys()]
        if any(export.submitted is None or submitted in {None, export.submitted} for submitted, _, _ in met):
            with pytest.raises(UnrankedExportError):
                load(warehouse, name, export)
            return
        ranks = {key: (export.submitted, name, offset) for offset, key in enumerate(export.keys)}
        won = {key: rank for key, rank in ranks.items() if key not in expected or _is_newer(rank, expected[key])}
        expected |= won
        counts = load(warehouse, name, export)
        assert counts == Counts(len(export.keys), len(won), 0, len(export.keys) - len(won))
    held = {
        int(row["recording_id"][-7:]): (row["_genesys_export_id"], row["_source_offset"]) for row in warehouse.rows()
    }
    assert held == {key: (name, offset * LENGTH) for key, (_, name, offset) in expected.items()}


def _is_newer(rank: tuple[int | None, str, int], held: tuple[int | None, str, int]) -> bool:
    assert rank[0] is not None
    assert held[0] is not None
    return rank[0] > held[0]


def load(warehouse: Warehouse, name: str, export: Export) -> Counts:
    """Run the export's attempts, each of which stops, and then one that ends."""
    submitted_at = None if export.submitted is None else DAY + timedelta(hours=export.submitted)
    load = make_load(name, load_id=f"load-{name}", submitted_at=submitted_at)
    numbers = range(len(export.keys))

    def row(number: int) -> tuple:
        return recording_row(export.keys[number])

    for attempt in export.attempts:
        with going(attempt.way):
            sink = warehouse.sink(commit_rows=attempt.commit_rows)
            start = sink.open(load, restart=attempt.restart)
            rest = numbers[start.position.record_offset // LENGTH :] if start else numbers
            for batch in list(make_batches(load, rest, size=attempt.size, row=row))[: attempt.stop_after]:
                sink.write(batch)
            sink.abort()
    with going(export.way):
        sink = warehouse.sink(commit_rows=export.commit_rows)
        start = sink.open(load, restart=False)
        rest = numbers[start.position.record_offset // LENGTH :] if start else numbers
        last = write_all(sink, make_batches(load, rest, size=export.size, row=row)) if rest else start
        assert last is not None
        return sink.finish(make_certificate(load, last)).counts


@contextmanager
def going(way: Way) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if way != "as it is":
            patch.setattr(Straight, "is_due", way == "straight")
        yield
