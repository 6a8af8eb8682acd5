"""The column ``_raw``: each record as it came, and never by accident with what the contract keeps out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_genesys.contracts.contract import RECORDINGS, Column
from airflow_provider_genesys.exceptions import ConfigurationError, ContractError, SinkRefusedError
from airflow_provider_genesys.pipeline.batch import Batcher
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.source.position import Identity, Place, Position, Proof
from airflow_provider_genesys.source.records import Slice
from airflow_provider_genesys.testing.sink_conformance.source import make_checkpoint
from tests.sinks.batches import make_certificate, make_load
from tests.sinks.warehouse import Warehouse, counts


def record(number: int, **more: Any) -> dict[str, Any]:
    return {"recordingId": f"r-{number}", "timestamp": "2026-11-01T08:00:00Z", "durationMs": number, **more}


class Places:
    """Any place, with nothing to prove it."""

    def at(self, end: int) -> Place:
        return Place(Position(end), Proof(), Identity())


def read(load: Load, records: Sequence[dict[str, Any] | bytes], *, bom: bytes = b"") -> Batch:
    """Return the batch that the pipeline makes of these lines."""
    lines = [bom + (line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\r\n" for line in records]
    ends = [sum(map(len, lines[: place + 1])) for place in range(len(lines))]
    part = Slice(0, ends[-1], b"".join(lines), [0, *ends[:-1]], ends, "lines", places=Places())
    batcher = Batcher(load, make_checkpoint(load, 0))
    ((piece, rows),) = batcher.rows(part)
    return batcher.batch(piece, rows)


def load_all(warehouse: Warehouse, load: Load, batch: Batch, **options: Any) -> Any:
    sink = warehouse.sink(**{"raw_column": True, **options})
    sink.open(load, restart=False)
    last = sink.write(batch)
    return sink.finish(replace(make_certificate(load, last), counts=counts(last.counts.read)))


def raws(warehouse: Warehouse) -> list[Any]:
    return [row["_raw"] for row in warehouse.rows()]


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("publish", ["batches", "atomic"])
def test_each_record_is_kept_as_it_came(warehouse: Warehouse, bom: bytes, publish: str) -> None:
    load = make_load()
    records = [record(1, queue={"id": "q", "colour": "red"}), record(2, unnamed=[1, None]), b"{broken", record(3)]
    certificate = load_all(warehouse, load, read(load, records, bom=bom), publish=publish)
    assert certificate.counts == counts(4, dead_letters=1)
    assert raws(warehouse) == [records[0], records[1], records[3]]
    assert [row["duration_ms"] for row in warehouse.rows()] == [1, 2, 3]


def test_a_record_that_jsonb_cannot_hold_is_rejected(warehouse: Warehouse) -> None:
    load = make_load()
    batch = read(load, [record(1), record(2, unnamed="a\0b")])
    assert load_all(warehouse, load, batch).counts == counts(2, dead_letters=1)
    assert warehouse.dead_letters()[0]["rule"] == "untranslatable-character"


def test_a_table_without_the_column_is_refused_with_the_sql_to_run(warehouse: Warehouse) -> None:
    load = make_load()
    warehouse.sink().open(load, restart=False)
    with pytest.raises(SinkRefusedError, match="lacks the columns _raw") as caught:
        warehouse.sink(raw_column=True).open(load, restart=False)
    text = str(caught.value)
    warehouse.execute(text[text.index("ALTER TABLE") :])
    assert load_all(warehouse, load, read(load, [record(1)])).counts == counts(1)


def test_personal_data_that_the_contract_keeps_out_does_not_come_in_by_the_record(warehouse: Warehouse) -> None:
    guarded = RECORDINGS.evolved([Column("caller", "caller", "string", pii="drop")])
    load = make_load(contract=guarded)
    with pytest.raises(ConfigurationError, match="caller would be in the column _raw in clear"):
        warehouse.sink(raw_column=True).open(load, restart=False)
    batch = read(load, [record(1, caller="+15550100")])
    load_all(warehouse, load, batch, allow_raw_pii=True)
    assert raws(warehouse)[0]["caller"] == "+15550100"


def test_a_contract_with_a_column_of_that_name_is_refused(warehouse: Warehouse) -> None:
    load = make_load(contract=RECORDINGS.evolved([Column("_raw", "raw", "string")]))
    with pytest.raises(ContractError, match="has a column _raw"):
        warehouse.sink(raw_column=True).open(load, restart=False)


def test_the_column_says_what_is_in_it(warehouse: Warehouse) -> None:
    warehouse.sink(raw_column=True).open(make_load(), restart=False)
    (row,) = warehouse.execute(
        "SELECT col_description(attrelid, attnum) AS text, atttypid::regtype::text AS type FROM pg_attribute"
        " WHERE attrelid = 'recordings'::regclass AND attname = '_raw'"
    )
    assert row == {"text": "The record as it came", "type": "jsonb"}
