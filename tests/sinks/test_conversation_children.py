"""Evaluations, surveys and resolutions of conversations, in tables and in files: the rows that the records have."""

from __future__ import annotations

import gzip
import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal

import psycopg
import pyarrow.parquet as pq
import pytest
from psycopg.rows import dict_row

from airflow_provider_genesys.cloud.exports.base import Page
from airflow_provider_genesys.contracts.child import ChildColumn
from airflow_provider_genesys.contracts.contract import built_in
from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.pipeline.sink import Sink
from airflow_provider_genesys.sinks.local import LocalSink
from airflow_provider_genesys.sinks.postgres.sink import PostgresSink
from airflow_provider_genesys.source.pages import Pages
from airflow_provider_genesys.testing.fake_genesys.conversations import Interactions

KIND = "conversation_details"
CONTRACT = built_in(KIND)
DAY = datetime(2026, 11, 22, tzinfo=timezone.utc)
JUDGED = ["evaluations", "surveys", "resolutions"]
_INTERACTIONS = Interactions(90, seed=1)
RECORDS = [_INTERACTIONS.render(n) for n in _INTERACTIONS.of(DAY, DAY + timedelta(days=1), by_start_day=True)]


def load_into(sink: Sink) -> None:
    page = Page([str(number) for number in range(len(RECORDS))], [memoryview(record) for record in RECORDS])
    load = Load(KIND, KIND, KIND, DAY, DAY + timedelta(days=1), DAY, CONTRACT, "test")
    run(load, lambda _: Pages(lambda _job, _cursor: page, KIND), sink, Options())


def expected(child: str) -> list[tuple[Any, ...]]:
    """Return conversation, ordinal and the values of the child's columns, of each object in the records."""
    paths = [column.path for column in _columns(child)]
    return sorted(
        (conversation["conversationId"], ordinal, *(_value(one.get(path)) for path in paths))
        for conversation in map(json.loads, RECORDS)
        for ordinal, one in enumerate(conversation.get(child, []), 1)
    )


def _columns(child: str) -> tuple[ChildColumn, ...]:
    return next(found.columns for found in CONTRACT.children if found.name == child)


def _value(value: Any) -> str:
    """Return a value as text, so that rows can be sorted; a time in UTC."""
    if isinstance(value, str) and value[10:11] == "T":
        value = datetime.fromisoformat(value.replace("Z", "+00:00"))
    return value.astimezone(timezone.utc).isoformat() if isinstance(value, datetime) else json.dumps(value)


@pytest.mark.parametrize("child", JUDGED)
def test_what_conversations_are_judged_by_has_a_table(database: str, child: str) -> None:
    load_into(PostgresSink(lambda: psycopg.connect(database), KIND, dead_letter_raw="drop"))
    with psycopg.connect(database, row_factory=dict_row) as connection:
        rows = connection.execute(f"SELECT * FROM {KIND}_{child}".encode()).fetchall()
    names = [re.sub(r"(?<!^)(?=[A-Z])", "_", column.name).lower() for column in _columns(child)]
    found = [(row["conversation_id"], row["ordinal"], *(_value(row[name]) for name in names)) for row in rows]
    assert sorted(found) == expected(child)
    assert len(found) > 10


@pytest.mark.parametrize("child", JUDGED)
@pytest.mark.parametrize("output_format", ["ndjson.gz", "parquet"])
def test_what_conversations_are_judged_by_has_files(
    tmp_path: Path, child: str, output_format: Literal["ndjson.gz", "parquet"]
) -> None:
    load_into(LocalSink(tmp_path, output_format, dead_letter_raw="drop"))
    (manifest,) = tmp_path.glob("dt=*/*/_manifest.json")
    keys = [part["key"] for part in json.loads(manifest.read_text())["children"][child]]
    rows = [row for key in keys for row in _read(tmp_path / key)]
    names = [column.name for column in _columns(child)]
    found = [(row["conversationId"], row["ordinal"], *(_value(row.get(name)) for name in names)) for row in rows]
    assert sorted(found) == expected(child)


def _read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return list(pq.read_table(path).to_pylist())
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
