"""Lists for warehouses name what the manifest lists, and do not outlive it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_genesys import failpoints
from airflow_provider_genesys.exceptions import AccountError, ConfigurationError
from airflow_provider_genesys.operators.warehouse_lists import GenesysWriteListsOperator
from airflow_provider_genesys.sinks.objects.parts import Part
from airflow_provider_genesys.sinks.objects.warehouse_lists import LISTS, SNOWFLAKE_FILES, write_lists
from airflow_provider_genesys.sinks.s3 import S3Sink
from airflow_provider_genesys.stores.folder import FolderStore
from airflow_provider_genesys.testing.services import S3Server
from tests.sinks.batches import make_load
from tests.sinks.lake import LOAD, Bucket, batches_of, run


def part(key: str) -> Part:
    return Part(key, 0, 1, 1, 10, "", "")


@pytest.fixture
def _connection(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {"conn_type": "aws", "login": "test", "password": "testtest"}
    extra = {"endpoint_url": s3.endpoint_url, "region_name": "us-east-1"}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps({**fields, "extra": extra}))


@pytest.mark.usefixtures("_connection")
@pytest.mark.parametrize("output_format", ["ndjson.gz", "parquet"])
def test_lists_name_the_parts_and_go_with_them(
    new_sink: Callable[..., S3Sink], client: Any, lake: Bucket, bucket: str, output_format: str
) -> None:
    load, both = make_load(), ("redshift", "snowflake")
    sink = new_sink(output_format=output_format, lists=both)
    summary = run(sink, load, batches_of(load, 250, dead={7})).summary()

    rows = summary["lists"]["rows"]
    assert rows.pop("rows") == summary["counts"]["written"]
    parts = lake.manifest()["parts"]
    keys = {name: url.removeprefix(f"s3://{bucket}/") for name, url in rows.items()}
    read = {name: json.loads(lake.read(key)) for name, key in keys.items()}
    assert read["redshift"]["entries"] == [
        {"url": f"s3://{bucket}/{one['key']}", "mandatory": True, "meta": {"content_length": one["bytes"]}}
        for one in parts
    ]
    assert read["snowflake"]["files"] == [[one["key"] for one in parts]]
    assert all(f"'{one['key']}'" in read["snowflake"]["statements"][0] for one in parts)

    for key in keys.values():
        client.delete_object(Bucket=bucket, Key=key)
    later = GenesysWriteListsOperator(task_id="lists", certificate=summary, lists=both)
    assert later.execute({})["lists"] == {"rows": {**rows, "rows": summary["counts"]["written"]}}  # type: ignore[typeddict-item]
    assert {name: json.loads(lake.read(key)) for name, key in keys.items()} == read

    run(new_sink(output_format=output_format), load, batches_of(load, 150), restart=True)
    assert not set(keys.values()) & set(lake.listed(LOAD))


def test_lists_are_there_before_the_load_is_complete(new_sink: Callable[..., S3Sink], lake: Bucket) -> None:
    load = make_load()
    killed: list[set[str]] = []

    def at(step: str) -> None:
        if step == failpoints.MANIFEST_WRITTEN:
            killed.append({key for key in lake.listed(LOAD) if "_list-" in key})
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("airflow_provider_genesys.sinks.objects.attempt.failpoint", at)
        with pytest.raises(KeyboardInterrupt):
            run(new_sink(lists=("snowflake",)), load, batches_of(load, 250))
    assert [len(one) for one in killed] == [1]


def test_a_shard_has_no_lists(new_sink: Callable[..., S3Sink]) -> None:
    with pytest.raises(ConfigurationError, match="GenesysWriteListsOperator follow"):
        new_sink(lists=("snowflake",)).open(replace(make_load(), shard=1), restart=False)


def test_bigquery_takes_ten_thousand_uris_at_once() -> None:
    made: dict[str, Any] = LISTS["bigquery"]("gs://b", [part(f"p/{n}.ndjson.gz") for n in range(10_001)])
    assert [len(group) for group in made["source_uris"]] == [10_000, 1]
    assert (made["source_format"], made["source_uris"][1]) == ("NEWLINE_DELIMITED_JSON", ["gs://b/p/10000.ndjson.gz"])
    assert LISTS["bigquery"]("gs://b", [part("p/0.parquet")])["source_format"] == "PARQUET"


def test_snowflake_takes_a_thousand_files_at_once() -> None:
    parts = [part(f"p/{number}.parquet") for number in range(2 * SNOWFLAKE_FILES + 1)]
    made: dict[str, Any] = LISTS["snowflake"]("s3://b", parts)
    assert [len(group) for group in made["files"]] == [1000, 1000, 1]
    assert [statement.count(".parquet'") for statement in made["statements"]] == [1000, 1000, 1]
    assert LISTS["snowflake"]("s3://b", []) == {"files": [], "statements": []}


def test_a_key_with_quotes_stays_one_literal() -> None:
    [statement] = LISTS["snowflake"]("s3://b", [part("it's\\here/a.ndjson")])["statements"]
    assert r"FILES = ('it''s\\here/a.ndjson') FILE_FORMAT = (TYPE = JSON)" in statement


def test_what_cannot_be_listed_is_refused(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    for wrong in ((), ("oracle",)):
        with pytest.raises(ConfigurationError, match="it has to name some of: redshift, snowflake, bigquery"):
            write_lists(store, "load/", wrong)
    for warehouse, scheme in (("redshift", "s3"), ("bigquery", "gs")):
        with pytest.raises(ConfigurationError, match=f"{warehouse} cannot load from .* but from {scheme}:// alone"):
            write_lists(store, "load/", (warehouse,))
    with pytest.raises(AccountError, match="has no manifest with rows"):
        write_lists(store, "load/", ("snowflake",))
