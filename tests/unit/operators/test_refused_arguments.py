"""Arguments that no operator or command can use are refused with what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_genesys.cloud.exports.base import ExportRequest
from airflow_provider_genesys.cloud.exports.results import _pieces
from airflow_provider_genesys.commands.app import main
from airflow_provider_genesys.exceptions import ConfigurationError, GenesysError, WindowError
from airflow_provider_genesys.hooks.checkpoint_store import open_store
from airflow_provider_genesys.lake.catalog import open_catalog
from airflow_provider_genesys.operators.verify import compare
from airflow_provider_genesys.transfers.genesys_entities_to_postgres import GenesysEntitiesToPostgresOperator
from airflow_provider_genesys.transfers.genesys_media_to_s3 import GenesysRecordingMediaToS3Operator
from airflow_provider_genesys.transfers.genesys_to_s3 import GenesysExportToS3Operator
from tests.support.task_context import DAY_END, DAY_START

SQL = {"conversations_sql": "SELECT 1 AS conversation_id"}


def listing(**given: Any) -> Callable[[], object]:
    return lambda: GenesysEntitiesToPostgresOperator(task_id="load", entity="users", **given)


def media(**given: Any) -> Callable[[], object]:
    return lambda: GenesysRecordingMediaToS3Operator(task_id="load", s3_bucket="b", table="t", **given)


REFUSED: list[tuple[Callable[[], object], type[GenesysError], str]] = [
    *(
        (listing(**{name: "x"}), ConfigurationError, f"loaded without {name}: those are for exports")
        for name in ("handle", "window_start", "filters", "contract", "shard", "expect_records")
    ),
    (media(), ConfigurationError, "none was given"),
    (media(handle="e", **SQL), ConfigurationError, "Give one of .*; handle and conversations_sql was given"),
    (media(handle="e", conversations_parameters={"a": 1}), ConfigurationError, "give both"),
    (media(write_mode="replace_window", **SQL), ConfigurationError, "replace_window"),
    (lambda: open_catalog("c", {"type": "none"}), ConfigurationError, "catalog 'c' cannot be opened"),
    (lambda: compare([]), ConfigurationError, "no certificates to verify"),
    (lambda: compare([{"export_id": "e"}, {}]), ConfigurationError, "no certificates to verify"),
    (lambda: compare([{"export_id": "e"}], ["rows"]), ConfigurationError, "may_differ has rows"),
    (lambda: _pieces({"export_id": "e"}, 2), ConfigurationError, "its handle needs the window"),
    (lambda: ExportRequest(DAY_START, DAY_START), WindowError, "is empty"),
    (lambda: ExportRequest(DAY_END, DAY_START), WindowError, "is empty"),
    (lambda: ExportRequest(DAY_START.replace(tzinfo=None), DAY_END), WindowError, "has no time zone"),
    (lambda: ExportRequest(DAY_START, DAY_END.replace(tzinfo=None)), WindowError, "has no time zone"),
]


@pytest.mark.parametrize(("make", "error", "message"), REFUSED, ids=[f"{n} {one[2]}" for n, one in enumerate(REFUSED)])
def test_what_cannot_be_used_is_refused(make: Callable[[], object], error: type[GenesysError], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_what_can_be_used_is_not_refused() -> None:
    listing()()
    for given in (
        {"handle": "e"},
        SQL,
        {**SQL, "conversations_parameters": {"a": 1}},
        {"handle": "e", "write_mode": "replace_window"},
    ):
        media(**given)()
    assert _pieces({"export_id": "e"}, 1) == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lists": ["redshift"]}, "leave out lists"),
        ({"publish_to_iceberg": {"namespace": "n", "table": "t"}}, "publish_to_iceberg needs"),
        ({"of": SimpleNamespace(shard=1, kind="recordings")}, "Leave out shard"),
        ({"of": SimpleNamespace(shard=0, kind="conversation_details")}, "has pages and no archive"),
        ({}, None),
    ],
)
def test_what_has_no_archive_is_not_landed(given: dict[str, Any], message: str | None, genesys: object) -> None:
    load = given.pop("of", SimpleNamespace(shard=0, kind="recordings"))
    task = GenesysExportToS3Operator(
        task_id="load", handle="e", s3_bucket="b", s3_prefix="p", output_format="raw", **given
    )
    if message is None:
        task._check_landable(load)
        return
    with pytest.raises(ConfigurationError, match=message):
        task._check_landable(load)


@pytest.mark.parametrize(
    ("connection", "message"),
    [
        ({"conn_type": "postgres"}, "has the type postgres, and redis or aws is needed"),
        ({"conn_type": "redis", "schema": "first"}, "the database 'first' is no number"),
    ],
)
def test_checkpoints_are_kept_in_two_kinds_of_stores(
    connection: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_KEPT", json.dumps(connection))
    with pytest.raises(ConfigurationError, match=message):
        open_store("kept")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["doctor", "--kind", "weather"], "doctor knows no kind 'weather'"),
        (["contract", "infer", "FILE"], "neither NDJSON nor a JSON array"),
        (["verify", "s3://lake"], "is not a folder in a bucket"),
        (["verify", "postgresql://host/only"], "is no table"),
    ],
)
def test_a_command_says_what_it_cannot_use(
    command: list[str], message: str, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("a,b\n1,2\n")
    assert main([str(tmp_path / "file") if word == "FILE" else word for word in command]) == 1
    assert message in capsys.readouterr().err
