"""What docs/certificate.md tells readers to run, after a load into PostgreSQL and S3."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

import airflow_provider_genesys
from airflow_provider_genesys.hooks.genesys import GenesysCloudHook
from airflow_provider_genesys.operators.verify import compare
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.run import Options, run
from airflow_provider_genesys.sinks.postgres.sink import PostgresSink
from airflow_provider_genesys.sinks.s3 import S3Sink
from tests.unit.pipeline.sources import InMemory, a_load

PAGE = (Path(airflow_provider_genesys.__file__).parents[1] / "docs" / "certificate.md").read_text()
OPTIONS = Options(batch_size=10, max_dead_letter_ratio=None)
SECTION = PAGE[PAGE.index("## Its fields") : PAGE.index("## What is checked")]


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def archive() -> bytes:
    records = [{"recordingId": f"r{n}", "timestamp": f"2026-11-22T10:{n:02}:00Z", "durationMs": n} for n in range(50)]
    records[7]["durationMs"] = "NA"
    del records[9]["recordingId"]
    return b"\n".join(json.dumps(record).encode() for record in records) + b"\nno JSON"


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> GenesysCloudHook:
    monkeypatch.setenv("AIRFLOW_CONN_GENESYS_DEFAULT", "genesys-cloud://id:secret@/?region=eu-west-1")
    return GenesysCloudHook()


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    with closing(psycopg.connect(database)) as opened:
        yield opened


@pytest.fixture
def in_postgres(database: str, hook: GenesysCloudHook) -> dict[str, Any]:
    sink = PostgresSink(
        lambda: psycopg.connect(database), "genesys_recordings", encrypt=hook.encrypt_dead_letter, retries=0
    )
    return dict(json.loads(run(a_load(), InMemory(archive()), sink, OPTIONS).to_json()))


@pytest.fixture
def in_s3(client: Any, bucket: str) -> dict[str, Any]:
    sink = S3Sink(lambda: client, bucket, "recordings", part_size=1000, dead_letter_raw="drop", retries=0)
    return dict(json.loads(run(a_load(), InMemory(archive()), sink, OPTIONS).to_json()))


def test_every_field_is_on_the_page_and_nothing_else() -> None:
    named = re.findall(r"^\| (`.*?`) \|", SECTION, re.MULTILINE)
    shown = {name for names in named for name in re.findall(r"`(\w+)`", names)}
    assert shown - {"original_export_id"} == {field.name for field in dataclasses.fields(Certificate)}


def test_the_statements_find_what_the_certificate_says(
    in_postgres: dict[str, Any], connection: psycopg.Connection[Any]
) -> None:
    counted, by_rule, kept = examples("sql")[0].split(";")[:3]

    [row] = connection.execute(counted, in_postgres).fetchall()  # type: ignore[arg-type]
    rules = dict(connection.execute(by_rule, in_postgres).fetchall())  # type: ignore[arg-type]
    [(certificate,)] = connection.execute(kept, in_postgres).fetchall()  # type: ignore[arg-type]

    times = [datetime.fromisoformat(in_postgres[name]) for name in ("min_timestamp", "max_timestamp")]
    assert row == (in_postgres["parts"][0]["rows"], *times) == (48, *times)
    assert rules == in_postgres["rules"] == {"wrong-type": 1, "missing-required": 1, "not-json": 1}
    assert certificate == in_postgres


def test_the_digest_can_be_computed_from_rows_and_dead_letters(
    in_postgres: dict[str, Any], connection: psycopg.Connection[Any], hook: GenesysCloudHook
) -> None:
    shown: dict[str, Any] = {}
    exec(examples("python")[0], shown)  # noqa: S102 - our own page
    assert shown["digest"](connection, hook, in_postgres) == in_postgres["digest"]

    connection.execute("DELETE FROM genesys_dead_letters WHERE rule = 'not-json'")
    assert shown["digest"](connection, hook, in_postgres) != in_postgres["digest"]


def test_a_listing_shows_a_part_that_is_gone_or_cut(in_s3: dict[str, Any], client: Any, bucket: str) -> None:
    shown: dict[str, Any] = {}
    exec(examples("python")[1], shown)  # noqa: S102 - our own page
    assert shown["missing"](client, in_s3["location"]) == {}

    gone, cut = (part["key"] for part in in_s3["parts"][:2])
    client.delete_object(Bucket=bucket, Key=gone)
    client.put_object(Bucket=bucket, Key=cut, Body=b"x")
    assert shown["missing"](client, in_s3["location"]) == {gone: None, cut: 1}


def test_the_certificates_of_both_sinks_agree_and_one_of_another_contract_does_not(
    in_postgres: dict[str, Any], in_s3: dict[str, Any]
) -> None:
    assert compare([in_postgres, in_s3])["read"] == 51
    assert (in_postgres["digest"], in_postgres["min_timestamp"]) == (in_s3["digest"], in_s3["min_timestamp"])
