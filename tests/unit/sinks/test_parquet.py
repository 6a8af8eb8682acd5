"""Rows become Parquet that DuckDB and polars read, the same bytes whatever batches the rows came in."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from decimal import Decimal
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest

from airflow_provider_genesys.contracts.column import ColumnType
from airflow_provider_genesys.contracts.contract import RECORDINGS, Column, Contract
from airflow_provider_genesys.contracts.transform import Transform
from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.sinks.local import LocalSink
from airflow_provider_genesys.sinks.objects import parquet
from airflow_provider_genesys.sinks.objects.parquet import ParquetRows
from airflow_provider_genesys.source.records import Slice
from tests.sinks.batches import LENGTH, make_batches, make_certificate, make_load, recording_row

NOON = datetime(2026, 11, 1, 12, 0, 0, 123456, tzinfo=timezone.utc)
EVERYTHING = Contract(
    "everything",
    1,
    "id",
    "at",
    (
        Column("id", "id", "string", required=True),
        Column("at", "at", "timestamp", required=True),
        Column("whole", "whole", "integer"),
        Column("real", "real", "number"),
        Column("exact", "exact", "decimal"),
        Column("yes", "yes", "boolean"),
        Column("uuid", "uuid", "uuid"),
        Column("json", "json", "json"),
    ),
)
FULL = ("ß", NOON, 2**63 - 1, 1.5, Decimal("12345678901234567890.10"), True, str(range(3)), b'{"a": [1.10]}')
NOTHING = ("b", NOON, None, None, None, None, None, None)
Written = Callable[..., Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    def write(batches: list[Batch], load: Load, name: str = "a") -> Path:
        rows = ParquetRows(load, batches[0].contract)
        path = tmp_path / f"{name}.parquet"
        path.write_bytes(b"".join(map(rows.pack, batches)) + rows.end())
        return path

    return write


def everything(*rows: tuple[Any, ...]) -> tuple[Load, Batch]:
    load = make_load(contract=EVERYTHING)
    [batch] = make_batches(load, 1)
    return load, replace(batch, rows=list(rows), offsets=[n * LENGTH for n in range(len(rows))])


def test_every_type_is_read_by_duckdb(written: Written) -> None:
    load, batch = everything(FULL, NOTHING)
    table = duckdb.read_parquet(str(written([batch], load)))
    assert [str(kind) for kind in table.types] == [
        "VARCHAR",
        "TIMESTAMP WITH TIME ZONE",
        "BIGINT",
        "DOUBLE",
        "VARCHAR",
        "BOOLEAN",
        "VARCHAR",
        "JSON",
    ]
    full, nothing = table.project('* REPLACE (epoch_us("at") AS "at")').fetchall()
    moment = int(NOON.timestamp()) * 1_000_000 + 123456
    assert full == ("ß", moment, 2**63 - 1, 1.5, "12345678901234567890.10", True, FULL[6], '{"a": [1.10]}')
    assert nothing == ("b", moment, *[None] * 6)


def test_every_type_is_read_by_polars(written: Written) -> None:
    load, batch = everything(FULL, NOTHING)
    full, nothing = pl.read_parquet(written([batch], load)).rows()
    assert full[:7] == ("ß", NOON, 2**63 - 1, 1.5, "12345678901234567890.10", True, FULL[6])
    assert nothing == ("b", NOON, *[None] * 6)


LONG = "ß\U0001f600" * 500_000
EXACT: dict[str, dict[str, Any]] = {
    "string": {
        f'"{LONG}"': LONG,
        '"a\\ud83d\\ude00"': "a\U0001f600",
        '""': "",
        "123": "123",
        "1.5": None,
        "true": None,
    },
    "integer": {
        "9223372036854775807": 2**63 - 1,
        "-9223372036854775808": -(2**63),
        "9223372036854775808": None,
        "1e3": 1000,
        '"-0"': 0,
        "1.5": None,
        '"NaN"': None,
    },
    "number": {
        "0.1": 0.1,
        "-0.0": -0.0,
        "5e-324": 5e-324,
        "1.7976931348623157e308": 1.7976931348623157e308,
        "9007199254740993": None,
        "1e400": None,
        "1e-400": None,
        '"NaN"': None,
        '"Infinity"': None,
    },
    "decimal": {
        "0.10": "0.10",
        "-1e-30": "-0." + "0" * 29 + "1",
        "12345678901234567890123456789.123456789": "12345678901234567890123456789.123456789",
        "1e41": None,
        '"NaN"': None,
    },
    "timestamp": {
        '"1969-12-31T23:59:59.999999Z"': datetime(1969, 12, 31, 23, 59, 59, 999999, timezone.utc),
        '"1500-01-01T00:00:00Z"': datetime(1500, 1, 1, tzinfo=timezone.utc),
        '"0001-01-01T00:00:00Z"': datetime(1, 1, 1, tzinfo=timezone.utc),
        '"9999-12-31T23:59:59.999999Z"': datetime(9999, 12, 31, 23, 59, 59, 999999, timezone.utc),
        '"2026-11-01T12:00:00"': datetime(2026, 11, 1, 12, tzinfo=timezone.utc),
        '"2026-11-01T12:00:00.5+05:30"': datetime(2026, 11, 1, 6, 30, 0, 500000, timezone.utc),
        '"9999-12-31T23:59:59-01:00"': None,
        '"2026-11-01"': None,
        '"infinity"': None,
    },
    "json": {"[1.10, {}]": "[1.10, {}]", "1e400": "1e400", f'"{LONG}"': f'"{LONG}"'},
}
"""By type: JSON texts and what is read back; None if the record becomes a dead letter."""


@pytest.mark.parametrize("kind", EXACT)
def test_a_value_is_read_back_as_it_was_or_its_record_is_a_dead_letter(kind: ColumnType, written: Written) -> None:
    contract = replace(EVERYTHING, columns=(*EVERYTHING.columns[:2], Column("value", "value", kind)))
    load = make_load(contract=contract)
    texts = [f'{{"id": "{n}", "at": "2026-11-01T12:00:00Z", "value": {text}}}' for n, text in enumerate(EXACT[kind])]
    raw = "\n".join([*texts, ""]).encode()
    [part] = read_lines(raw)
    [batch] = make_batches(load, 1)
    held: dict[str, Any] = {}
    for _, rows in Transform(contract, NOON).read(part):
        assert {letter.rule for letter in rows.dead_letters} <= {"wrong-type"}
        path = written([replace(batch, rows=rows.rows, offsets=rows.offsets)], load)
        held |= dict(zip(*pq.read_table(path).select(["id", "value"]).to_pydict().values(), strict=True))
    wanted = {str(n): value for n, value in enumerate(EXACT[kind].values()) if value is not None}
    assert held == wanted
    assert [*map(str, held.values())] == [*map(str, wanted.values())], "-0.0 is another number than 0.0"


def read_lines(raw: bytes) -> list[Slice]:
    ends = [*accumulate(len(line) for line in raw.splitlines(keepends=True))]
    return [Slice(0, len(raw), raw, [0, *ends[:-1]], ends, "lines")]


def test_an_exponent_does_not_survive_in_a_decimal(written: Written) -> None:
    load, batch = everything((*NOTHING[:4], Decimal("1E+30"), *NOTHING[5:]))
    assert pl.read_parquet(written([batch], load))["exact"].to_list() == ["1" + "0" * 30]


@pytest.mark.parametrize("sizes", [[1], [7, 500], [64, 1, 999]])
def test_batches_do_not_change_the_bytes(written: Written, sizes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROW_GROUP", 100 * LENGTH)
    monkeypatch.setattr(parquet, "BLOCK", 10 * LENGTH)
    load = make_load()
    whole = written(list(make_batches(load, 2000, size=2000)), load, "whole")
    [batch] = make_batches(load, 2000, size=2000)
    cuts = [0, *accumulate(sizes * (2000 // sum(sizes))), 2000]
    pieces = [replace(batch, rows=batch.rows[a:b], offsets=batch.offsets[a:b]) for a, b in pairwise(cuts)]
    assert written(pieces, load, "pieces").read_bytes() == whole.read_bytes()
    assert pq.ParquetFile(whole).metadata.num_row_groups == 20


def test_a_file_says_where_it_comes_from(written: Written) -> None:
    load, batch = everything(FULL)
    metadata = pq.read_schema(written([batch], load)).metadata
    assert metadata[b"genesys_load_id"] == load.load_id.encode()
    assert metadata[b"genesys_export_id"] == load.export_id.encode()
    assert metadata[b"genesys_contract"] == str(EVERYTHING).encode()


def evolved(load: Load, folder: Path) -> list[dict[str, Any]]:
    """Load 60 records, of which those from the 35th on have a column more, and return the parts."""
    wider = replace(RECORDINGS, columns=(*RECORDINGS.columns, Column("mood", "mood", "string")))
    sink = LocalSink(folder, "parquet", part_size=20 * LENGTH, dead_letter_raw="keep")
    sink.open(load, restart=False)
    last = None
    for batch in make_batches(load, 60, size=5):
        grown = replace(batch, contract=wider, rows=[(*row, "calm") for row in batch.rows])
        sink.write(grown if batch.start >= 35 * LENGTH else batch)
        last = batch.checkpoint
    assert last is not None
    return sink.finish(make_certificate(load, last)).parts


def test_a_part_ends_where_the_contract_evolves_and_both_are_read_together(tmp_path: Path) -> None:
    parts = evolved(make_load(), tmp_path)
    assert [(part["start"] // LENGTH, part["end"] // LENGTH) for part in parts] == [
        (0, 20),
        (20, 35),
        (35, 40),
        (40, 60),
    ]
    files = [str(tmp_path / part["key"]) for part in parts]
    told = duckdb.read_parquet(files, union_by_name=True)
    assert told.aggregate("count(*), count(mood)").fetchall() == [(60, 25)]
    read = pl.scan_parquet(files[::-1], missing_columns="insert").collect()
    assert (read.height, read["mood"].count()) == (60, 25)


def test_what_evolves_at_one_record_is_the_same_bytes_again(tmp_path: Path) -> None:
    digests = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        digests.append([(part["key"], part["sha256"]) for part in evolved(make_load(), tmp_path / name)])
    assert digests[0] == digests[1]


def test_json_is_kept_as_it_came(written: Written) -> None:
    load = make_load()
    row = partial(recording_row, metadata=b'{"price": 0.1000000000000000055511151231257827}')
    path = written(list(make_batches(load, 3, row=row)), load)
    values = duckdb.read_parquet(str(path)).project("metadata").fetchall()
    assert json.loads(values[0][0], parse_float=Decimal) == {"price": Decimal("0.1000000000000000055511151231257827")}


PROGRAM = """
import resource
from airflow_provider_genesys.sinks.objects.parquet import ParquetRows
from tests.sinks.batches import make_batches, make_load

load = make_load()
rows = ParquetRows(load, load.contract)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for batch in make_batches(load, 120_000):
    rows.pack(batch)
rows.end()
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_a_large_file_takes_the_memory_of_a_row_group() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 160
