"""With worker processes a load makes the same batches as without: rows, offsets, dead letters, drift, checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import datetime
from itertools import cycle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_genesys.contracts.contract import Contract, Modes
from airflow_provider_genesys.pipeline import workers as module
from airflow_provider_genesys.pipeline.batch import Batcher
from airflow_provider_genesys.pipeline.checkpoint import Checkpoint, Counts
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.pipeline.run import open_at
from airflow_provider_genesys.pipeline.worker import SLOT_BYTES, SLOTS, Given, Job, Pack, Packing, Slots, _Reader
from airflow_provider_genesys.pipeline.workers import Workers
from airflow_provider_genesys.sinks.objects.ndjson import packed_lines, packed_members
from airflow_provider_genesys.sinks.objects.parquet import packed_columns
from airflow_provider_genesys.source.records import Slice
from tests.properties.test_contract_evolve import EVOLVING, archive, records
from tests.unit.pipeline.sources import InMemory, a_load

BEGIN = Checkpoint("load-1", "export-1", "2026-11-23T03:00:00+00:00")
BROKEN = [b'{"id":', b"no JSON", b'{"id":5,"at":1}', b'{"id":"\xff"}', b'{"id":"a\\u0000"}', b"x" * 900]
PACKINGS: dict[str, Packing] = {"ndjson": packed_lines, "ndjson.gz": packed_members, "parquet": packed_columns}


@pytest.fixture(scope="module")
def pools() -> Iterator[dict[str, Workers]]:
    """Two workers that pack lines, and one that packs columns."""
    now = datetime.fromisoformat(BEGIN.processed_at)
    with pytest.MonkeyPatch.context() as patch, ExitStack() as running:
        patch.setattr(module, "START_WAIT", 60)
        counts = {"ndjson": 2, "ndjson.gz": 1, "parquet": 1}
        made = {name: Workers(Job(EVOLVING, now, packing), counts[name]) for name, packing in PACKINGS.items()}
        yield {name: running.enter_context(pool) for name, pool in made.items()}


def batches(load: Load, data: bytes, start: Checkpoint, cut: tuple[int, int, int], pool: Workers) -> list[Batch]:
    """Read ``data`` from ``start`` on, as the pipeline does. ``cut`` has the sizes of chunks, batches and parts."""
    chunk, limit, part = cut
    source = open_at(InMemory(data, chunk)(start), load, start, max_record_bytes=800)
    batcher = Batcher(load, start)
    with closing(source.slices(limit, cut_every=part, flush_interval=60)) as slices:
        return [
            batcher.batch(*piece)
            for part, ready in pool.ahead(slices, lambda: batcher.known)
            for piece in batcher.rows(part, ready)
        ]


def shown(batch: Batch) -> tuple[Any, ...]:
    facts = (batch.offsets, batch.dead_letters, batch.start, batch.end, batch.checkpoint, batch.contract)
    return (list(batch.rows), *facts, batch.raw())


@pytest.mark.parametrize("packed_as", PACKINGS)
@settings(max_examples=60)
@given(data=st.data(), drawn=st.lists(records, min_size=1, max_size=40), shape=st.sampled_from(["lines", "array"]))
def test_batches_are_the_same(
    pools: dict[str, Workers], packed_as: str, data: st.DataObject, drawn: list[Any], shape: str
) -> None:
    document = archive(drawn, shape)
    if shape == "lines":
        lines = document.split(b"\n")
        for broken in data.draw(st.lists(st.sampled_from(BROKEN), max_size=2)):
            lines.insert(data.draw(st.integers(0, len(lines))), broken)
        document = b"\n".join(lines) + b"\n"
    mode = st.sampled_from(["evolve", "discard_value", "quarantine"])
    load = a_load(contract=replace(EVOLVING, modes=Modes(data.draw(mode), data.draw(mode), data.draw(mode))))
    size = st.integers(1, 12)
    cut = (data.draw(st.integers(1, 2000)), data.draw(size), 200 * data.draw(size))
    alone = batches(load, document, BEGIN, cut, Workers(None, 0))
    at = data.draw(st.integers(0, len(alone)))
    before = alone[:at]
    read = sum(batch.records for batch in before)
    start = replace(before[-1].checkpoint, counts=Counts(read=read)) if before else BEGIN
    again = batches(load, document, start, cut, Workers(None, 0))
    shared = batches(load, document, start, cut, pools[packed_as])
    assert [shown(batch) for batch in shared] == [shown(batch) for batch in again]
    for batch in shared:
        if batch.packed is not None and batch.source is not None:
            assert batch.packed == PACKINGS[packed_as](batch.contract)([list(batch.rows)], batch.source)
    assert pools[packed_as].are_running, "the workers were lost"


def test_workers_take_what_needs_no_closer_look(pools: dict[str, Workers]) -> None:
    document = archive([{}] * 30, "lines")
    made = batches(a_load(contract=EVOLVING), document, BEGIN, (4096, 5, 100_000), pools["ndjson"])
    assert len(made) >= 6
    assert all(batch.packed is not None for batch in made)


def test_an_oversize_record_among_others_is_rejected_by_the_task(pools: dict[str, Workers]) -> None:
    lines = archive([{}] * 12, "lines").splitlines()
    document = b"\n".join([*lines[:4], b"x" * 900, *lines[4:]]) + b"\n"
    made = batches(a_load(contract=EVOLVING), document, BEGIN, (4096, 12, 100_000), pools["ndjson"])
    assert [letter.rule for batch in made for letter in batch.dead_letters] == ["record-too-large"]
    assert sum(len(batch.rows) for batch in made) == 12


@pytest.mark.parametrize("packed_as", PACKINGS)
def test_workers_pack_by_the_contract_as_it_has_evolved(pools: dict[str, Workers], packed_as: str) -> None:
    document = archive([{}] * 10 + [{"grown": "x"}] * 60, "lines")
    made = batches(a_load(contract=EVOLVING), document, BEGIN, (4096, 5, 100_000), pools[packed_as])
    assert [column.name for column in made[-1].contract.columns] != [column.name for column in EVOLVING.columns]
    for batch in made[-2:]:  # by each of two workers
        assert batch.source
        assert batch.packed == PACKINGS[packed_as](batch.contract)([list(batch.rows)], batch.source)


def test_a_slice_that_a_worker_refuses_is_read_by_the_task(
    pools: dict[str, Workers], monkeypatch: pytest.MonkeyPatch
) -> None:
    document = archive([{}] * 40, "lines")
    turns, put = cycle([False, True, True]), Slots.put
    monkeypatch.setattr(Slots, "put", lambda slots, slot, part: next(turns) and put(slots, slot, part))
    made = batches(a_load(contract=EVOLVING), document, BEGIN, (4096, 5, 100_000), pools["ndjson"])
    alone = batches(a_load(contract=EVOLVING), document, BEGIN, (4096, 5, 100_000), Workers(None, 0))
    assert [shown(batch) for batch in made] == [shown(batch) for batch in alone]
    assert [batch.packed is None for batch in made] == [number % 3 == 0 for number in range(len(made))]


def _too_large(_contract: Contract) -> Pack:
    return lambda _rows, _part: bytes(SLOT_BYTES + 1)


def test_rows_that_do_not_fit_into_the_shared_memory_are_packed_by_the_task() -> None:
    with closing(Slots(module.shared_file())) as slots:
        document = archive([{}] * 3, "lines") + b"\n"
        ends = [place + 1 for place, byte in enumerate(document) if byte == ord("\n")]
        part = Slice(0, len(document), document, [0, *ends[:-1]], ends, "lines")
        assert slots.put(SLOTS - 1, part)
        given = Given(SLOTS - 1, 0, len(document), len(document), 3, "lines", None)
        assert list(slots.get(given).pieces(2)) == list(part.pieces(2))
        assert not slots.put(0, replace(part, held=bytes(SLOT_BYTES - 2 * 3 * 8 + 1)))
        assert slots.put(0, replace(part, held=bytes(SLOT_BYTES - 2 * 3 * 8)))
        now = datetime.fromisoformat(BEGIN.processed_at)
        assert _Reader(Job(EVOLVING, now, packed_lines), slots).ready(given)
        slots.put(SLOTS - 1, part)
        assert _Reader(Job(EVOLVING, now, _too_large), slots).ready(given) is None
