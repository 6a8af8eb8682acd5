"""A file that is put together from row groups is the file that one writer makes, byte for byte."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_genesys.pipeline.load import Batch, Load
from airflow_provider_genesys.sinks.objects import compact, parquet, row_groups
from airflow_provider_genesys.sinks.objects.parquet import ParquetRows, packed_columns
from airflow_provider_genesys.sinks.objects.row_groups import HEAD, RowGroupFile, is_file
from airflow_provider_genesys.source.records import Slice
from tests.sinks.batches import LENGTH, make_batches, make_load

GROUPS = 40  # more than the short form of a list can count
SETTINGS: dict[str, dict[str, Any]] = {
    "as we write": {"compression": "zstd", "compression_level": 1, "use_dictionary": ["few"]},
    "with all that a footer may have": {
        "write_page_checksum": True,
        "store_decimal_as_integer": True,
        "sorting_columns": [pq.SortingColumn(0)],
        "data_page_version": "2.0",
    },
}


def table(number: int) -> pa.Table:
    """Values of many types, some null, of another length in each row group."""
    made = random.Random(number)  # noqa: S311 - it hides nothing
    rows = range(made.randint(1, 300))
    return pa.table(
        {
            "few": [made.choice(["a", "ß", None]) for _ in rows],
            "many": pa.array([made.choice([None, str(made.random()) * 9]) for _ in rows], pa.string()),
            "real": pa.array([made.choice([None, made.random()]) for _ in rows], pa.float64()),
            "flag": pa.array([made.choice([None, True, False]) for _ in rows], pa.bool_()),
            "at": pa.array([made.randint(-(2**40), 2**40) for _ in rows], pa.timestamp("us", tz="UTC")),
            "nested": pa.array([[{"a": n}] * (n % 3) for n in rows], pa.list_(pa.struct([("a", pa.int32())]))),
        }
    )


def encoded(schema: pa.Schema, *tables: pa.Table, **settings: Any) -> bytes:
    out = pa.BufferOutputStream()
    with pq.ParquetWriter(out, schema, **settings) as writer:
        for one in tables:
            writer.write_table(one)
    return out.getvalue().to_pybytes()  # type: ignore[no-any-return]


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_one_writer_would_have_made_the_same_file(tmp_path: Path, settings: dict[str, Any]) -> None:
    tables = [table(number) for number in range(GROUPS)]
    schema = tables[0].schema.with_metadata({"where": "from"})
    file = RowGroupFile(memoryview(encoded(schema, **settings)))
    bodies = [bytes(file.add(memoryview(encoded(one.schema, one, **settings)))) for one in tables]
    made = b"".join([HEAD, *bodies, file.end()])
    assert made == encoded(schema, *tables, **settings)
    path = tmp_path / "a.parquet"
    path.write_bytes(made)
    assert pq.read_table(path).equals(pa.concat_tables(tables))
    assert pq.ParquetFile(path).metadata.num_row_groups == GROUPS
    [sums] = duckdb.read_parquet(str(path)).aggregate("count(*), sum(real), count(many)").fetchall()
    whole = pa.concat_tables(tables)
    real = sum(value for value in whole["real"].to_pylist() if value is not None)
    assert sums == (whole.num_rows, pytest.approx(real), whole.num_rows - whole["many"].null_count)


def test_a_file_without_rows_is_read() -> None:
    schema = table(1).schema
    empty = encoded(schema)
    made = HEAD + RowGroupFile(memoryview(empty)).end()
    assert made == empty


def test_every_type_of_a_footer_is_written_as_it_was_read() -> None:
    fields: compact.Struct = {
        1: (1, None),
        2: (2, None),
        3: (3, 200),
        4: (4, -300),
        5: (5, 2**31 - 1),
        6: (6, -(2**63)),
        7: (7, b"eight by"),
        8: (8, b"x" * 300),
        9: (9, (12, [{1: (6, 0)}, {}])),
        40: (10, (1, [1, 2, 1])),
        1000: (12, {3: (9, (5, list(range(20))))}),
    }
    assert compact.read(compact.written(fields)) == fields


def with_packed(load: Load, cuts: list[int], packed: set[int]) -> list[Batch]:
    """Cut the rows at ``cuts``. Another process has packed the batches whose numbers are ``packed``."""
    [whole] = make_batches(load, cuts[-1], size=cuts[-1])
    pack, made = packed_columns(load.contract), list[Batch]()
    for number, (first, last) in enumerate(pairwise(cuts)):
        rows, offsets = whole.rows[first:last], whole.offsets[first:last]
        part = Slice(first * LENGTH, last * LENGTH, b"", offsets, [], "lines")
        pieces = [rows[:7], rows[7:]] if len(rows) > 7 else [rows]
        made.append(replace(whole, rows=rows, offsets=offsets, packed=pack(pieces, part) if number in packed else None))
    return made


def written(load: Load, batches: list[Batch]) -> bytes:
    rows = ParquetRows(load, load.contract)
    return b"".join(map(rows.pack, batches)) + rows.end()


@pytest.mark.parametrize("first", [0, 30, 70])
def test_row_groups_that_another_process_has_encoded_change_no_byte(
    first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (parquet, row_groups):
        monkeypatch.setattr(module, "ROW_GROUP", 100 * LENGTH)
        monkeypatch.setattr(module, "BLOCK", 10 * LENGTH)
    load = make_load()
    groups = [0, first, 100, 200, 230, 300, 400, 450][first == 0 :]
    shared = with_packed(load, groups, set(range(len(groups))))
    elsewhere = [is_file(batch.packed or b"") for batch in shared]
    assert elsewhere[-4:] == [False, True, True, False], "a slice that is most of a row group was not encoded"
    alone = written(load, with_packed(load, [0, 450], set()))
    assert written(load, shared) == alone
    assert written(load, with_packed(load, groups, {1, 3, 4})) == alone
