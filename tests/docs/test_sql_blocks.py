"""Every SQL block of the docs runs in a real PostgreSQL, in tables that real sinks made, or has a reason here.

The tables have the names that the pages use. Whatever a block changes is rolled back.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from airflow_provider_genesys.pipeline.load import Load
from airflow_provider_genesys.sinks.postgres.sink import PostgresSink
from airflow_provider_genesys.tasks.arguments import contract_for
from airflow_provider_genesys.testing.services import PostgresServer
from tests.docs.code_blocks import Block, blocks
from tests.faults.crash_child import DAY

TABLES = {
    "recordings": "recordings",
    "genesys_recordings": "recordings",
    "conversation_details": "conversation_details",
    "conversations": "conversation_details",
    "user_details": "user_details",
    "genesys_aggregates_conversations": "aggregates",
}
"""The kind that each table of the pages has."""
NOT_RUN = {
    "read_json('s3://lake/recordings/_dead_letters": "tests/sinks/test_object_replay.py runs it",
    "ADD PARTITION (dt": "is for Athena or Hive",
    "IAM_ROLE default MANIFEST": "is for Redshift; tests/unit/operators/test_warehouse_lists.py holds its list",
    "read_parquet(['…']": "names no files; tests/unit/sinks/test_parquet.py reads with DuckDB's engine",
}
"""By what is in the block."""
IN_DUCKDB = "read_json_auto("
DATABASE = "sql_of_the_docs"


def reason(block: Block) -> str | None:
    return next((why for what, why in NOT_RUN.items() if what in block.code), None)


RUN = [block for block in blocks("sql") if not reason(block)]


@pytest.fixture(scope="module")
def warehouse(postgres: PostgresServer) -> str:
    """DSN of a database with every table that the pages name, as the sinks create them."""
    dsn = postgres.create_database(DATABASE)
    for table, kind in TABLES.items():
        handle = {"kind": kind, "request": {"options": {"domain": "conversations"}}}
        contract = contract_for(handle, None, None, ".", lambda _: None)
        load = Load("load", "export", kind, *DAY, DAY[1], contract, "test")
        sink = PostgresSink(lambda: psycopg.connect(dsn), table, child_tables=True, dead_letter_raw="keep")
        sink.open(load, restart=False)
        sink.abort()
    return dsn


@pytest.fixture
def connection(warehouse: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(warehouse) as connection:
        connection.execute("CREATE ROLE genesys_loader")
        yield connection
        connection.rollback()


@pytest.mark.parametrize("block", [block for block in RUN if IN_DUCKDB not in block.code], ids=str)
def test_sql_runs(block: Block, connection: psycopg.Connection[Any]) -> None:
    for statement in filter(str.strip, block.code.replace("DATABASE warehouse", f"DATABASE {DATABASE}").split(";\n")):
        connection.execute(statement, {"export_id": "export", "load_id": "load"})  # type: ignore[arg-type]


@pytest.mark.parametrize("block", [block for block in RUN if IN_DUCKDB in block.code], ids=str)
def test_sql_of_duckdb_runs(block: Block, tmp_path: Path) -> None:
    folders = {"conversation_details": "conversationId", "conversation_details_segments": "conversationId, segmentType"}
    for folder, columns in folders.items():
        place = tmp_path / folder / "dt=2026-11-22" / "load" / "00000"
        place.mkdir(parents=True)
        row = ", ".join(f"'x' AS {column}" for column in columns.split(", "))
        duckdb.sql(f"COPY (SELECT {row}, '2026-11-23' AS processedAt) TO '{place}/part.ndjson.gz' (FORMAT json)")
    assert duckdb.sql(block.code.replace("s3://genesys", str(tmp_path))).fetchall() == [("x", 1)]


@pytest.mark.parametrize("what", NOT_RUN)
def test_each_reason_is_of_a_block_of_sql(what: str) -> None:
    assert any(what in block.code for block in blocks("sql"))
