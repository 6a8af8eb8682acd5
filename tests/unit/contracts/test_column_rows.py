"""Rows that are held by column are the rows that reading one by one makes, and are written as the same bytes."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Literal

import pytest

from airflow_provider_genesys.contracts.column import Column
from airflow_provider_genesys.contracts.column_rows import ColumnRows
from airflow_provider_genesys.contracts.contract import Contract
from airflow_provider_genesys.contracts.transform import Transform
from airflow_provider_genesys.sinks.objects.ndjson import RowEncoder
from airflow_provider_genesys.sinks.objects.parquet import packed_columns
from airflow_provider_genesys.source.records import Slice

NOW = datetime(2026, 11, 1, tzinfo=timezone.utc)
CONTRACT = Contract(
    "some",
    1,
    "id",
    "at",
    (
        Column("id", "id", "string", required=True),
        Column("at", "at", "timestamp", required=True),
        Column("free", "free", "json"),
        Column("deep", "in.deep", "json"),
        Column("must", "must", "json", required=True),
        Column("usual", "usual", "json", default={"a": 1}),
        Column("hidden", "hidden", "json", pii="mask"),
        Column("now", "@processed_at", "timestamp"),
    ),
)
RECORDS = [
    b'{"id":"a","at":"2026-11-01T12:00:00.123456+02:00","free":{"x":%b[1.0]},"in":{"deep":"\xc3\xa4"},"must":1}',
    b'{"id":"b","at":"1969-12-31T23:59:59.999999Z","free":null,"in":null,"must":false,"usual":2,"hidden":"secret"}',
    b'{"id":"c","at":"9999-12-31T23:59:59.999999Z","in":{"deep":null},"must":%b{},"usual":null}',
]


def a_slice(records: list[bytes], shape: Literal["lines", "array"]) -> Slice:
    starts, ends, data = [], [], b""
    for record in records:
        starts.append(len(data))
        data += record + (b"\n" if shape == "lines" else b",")
        ends.append(len(data) if shape == "lines" else len(data) - 1)
    return Slice(0, len(data), data, starts, ends, shape)


@pytest.mark.parametrize(("shape", "space"), [("lines", b" \r "), ("lines", b""), ("array", b"\r\n\n"), ("array", b"")])
def test_columns_hold_the_same_rows(shape: Literal["lines", "array"], space: bytes) -> None:
    part = a_slice([record.replace(b"%b", space) for record in RECORDS], shape)
    transform = Transform(CONTRACT, NOW)
    at_once = transform.at_once(part)
    one_by_one, count = transform._one_by_one(part)
    assert at_once
    assert count == len(RECORDS)
    assert isinstance(at_once.rows, ColumnRows)
    assert at_once.rows.raw == {2, 3, 4}, "JSON is copied although nobody asked for rows"
    lines = RowEncoder(CONTRACT).encode(at_once.rows)
    assert lines == RowEncoder(CONTRACT).encode(one_by_one.rows)
    assert lines.count(b"\n") == len(RECORDS)
    assert packed_columns(CONTRACT)([at_once.rows], part) == packed_columns(CONTRACT)([one_by_one.rows], part)
    assert transform.facts(at_once) == transform.facts(one_by_one)
    assert list(at_once.rows) == one_by_one.rows
    assert at_once.rows[1] == one_by_one.rows[1]


@pytest.mark.parametrize("value", [b"null", b""])
def test_required_json_that_is_not_there_is_examined(value: bytes) -> None:
    field = b',"must":' + value if value else b""
    assert (
        Transform(CONTRACT, NOW).at_once(a_slice([b'{"id":"a","at":"2026-11-01T12:00:00Z"' + field + b"}"], "lines"))
        is None
    )
