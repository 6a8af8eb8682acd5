"""Which contract a loading operator reads by, and when it is checked."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, Asset, AssetAlias
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_provider_genesys.contracts.column import Column
from airflow_provider_genesys.contracts.contract import RECORDINGS, Modes
from airflow_provider_genesys.contracts.drift import Drift
from airflow_provider_genesys.exceptions import ConfigurationError, ContractError
from airflow_provider_genesys.hooks.genesys import GenesysCloudHook
from airflow_provider_genesys.pipeline.certificate import Certificate
from airflow_provider_genesys.pipeline.checkpoint import Counts
from airflow_provider_genesys.sensors.export import GenesysExportSensor
from airflow_provider_genesys.source.position import Identity
from airflow_provider_genesys.source.shards import WHOLE
from airflow_provider_genesys.tasks.arguments import contract_of, read_pii_key, shard_of
from airflow_provider_genesys.tasks.failures import AirflowFailException
from airflow_provider_genesys.tasks.handle import read_handle
from airflow_provider_genesys.tasks.rendered import limit, required
from airflow_provider_genesys.testing.fake_genesys import FakeGenesys
from airflow_provider_genesys.transfers.genesys_to_postgres import GenesysExportToPostgresOperator
from tests.support.task_context import context

BROKEN = "name: mine\nversion: 1\nkey: id\ntimestamp: at\ncolumns:\n  id: {type: text}\n"


def operator(**arguments: Any) -> GenesysExportToPostgresOperator:
    return GenesysExportToPostgresOperator(task_id="load", handle="e", table="t", **arguments)


def test_a_broken_file_fails_when_the_dag_is_parsed(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(BROKEN)
    with pytest.raises(ContractError, match=r"mine\.yaml, line 6: Column 'id': unknown type 'text'"):
        operator(contract=str(tmp_path / "mine.yaml"))


def test_a_path_begins_at_the_folder_of_the_dag_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(BROKEN.replace("type: text", "type: string, required: true") + "  at: 1\n")
    dag = DAG("d", schedule=None, start_date=datetime(2026, 11, 1, tzinfo=timezone.utc))
    dag.fileloc = str(tmp_path / "dag.py")
    with dag, pytest.raises(ContractError, match=r"mine\.yaml, line 7: Column 'at' has to be a mapping"):
        operator(contract="mine.yaml")


@pytest.mark.parametrize(
    "arguments",
    [
        {"contract": "{{ params.contract }}"},
        {"contract": "recordings", "contract_modes": {"unknown": "{{ params.mode }}"}},
        {"contract": "nothing.yaml", "kind": "{% if true %}recordings{% endif %}"},
    ],
)
def test_what_is_templated_is_checked_when_it_is_rendered(arguments: dict[str, Any]) -> None:
    operator(**arguments)


@pytest.mark.parametrize("arguments", [{"contract": "recordnigs"}, {"contract_modes": {"unknown": "ignore"}}])
def test_names_and_modes_are_checked_at_once(arguments: dict[str, Any]) -> None:
    with pytest.raises(ContractError):
        operator(**arguments)


def test_modes_are_laid_over_the_contract() -> None:
    load = operator(contract=RECORDINGS, contract_modes={"unknown": "freeze"})
    frozen = RECORDINGS.with_modes({"unknown": "freeze"})
    assert contract_of(load.contract, load.contract_modes, kind="recordings", folder=".") == frozen
    assert contract_of("", None, kind="recordings", folder=".") == RECORDINGS  # as a template may render


def certificate(**facts: Any) -> Certificate:
    identity, counts = Identity(), Counts(1, 1)
    return Certificate("l", "e", "recordings", "from", "to", str(RECORDINGS), identity, 1, counts, "0", **facts)


@pytest.fixture
def reporting(genesys: FakeGenesys) -> dict[str, Any]:
    """A context that takes reports."""
    return {**context(), "outlet_events": OutletEventAccessors()}


def test_drift_is_told_through_the_asset_alias_with_the_sql(reporting: Any) -> None:
    load, events = operator(outlets=[Asset("table")]), reporting["outlet_events"]
    assert load.outlets == [Asset("table"), AssetAlias("genesys_drift")]
    found = certificate(drift=[Drift("new", "unknown", 1, 0, "boolean")], evolved=[Column("new", "new", "boolean")])
    load.report(reporting, found, RECORDINGS)
    (event,) = events[AssetAlias("genesys_drift")].asset_alias_events
    assert event.dest_asset_key.uri == "genesys://drift/recordings"
    assert event.extra["drift"] == [
        {"field": "new", "kind": "unknown", "count": 1, "first": 0, "example": "boolean"},
    ]
    assert event.extra["sql"] == 'ALTER TABLE "public"."t" ADD COLUMN IF NOT EXISTS "new" boolean;'
    assert events[Asset("table")].extra["export_id"] == "e"
    summary = found.summary()
    assert summary == json.loads(json.dumps(summary))  # Airflow would store a tuple with the name of its class


@pytest.mark.parametrize("alias", [None, "genesys_drift"])
def test_without_drift_or_without_an_alias_nothing_is_told(reporting: Any, alias: str | None) -> None:
    drift = [] if alias else [Drift("new", "unknown", 1)]
    operator(drift_alias=alias).report(reporting, certificate(drift=drift), RECORDINGS)
    assert len(reporting["outlet_events"]) == 0


def test_the_key_of_the_hash_comes_from_a_variable_or_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_PII", "a random text of 32 characters..")
    monkeypatch.setenv("AIRFLOW_CONN_PII", '{"conn_type": "generic", "password": "another text, long enough"}')
    monkeypatch.setenv("AIRFLOW_VAR_SHORT", "short")
    assert read_pii_key("variable:pii") == b"a random text of 32 characters.."
    assert read_pii_key("connection:pii") == b"another text, long enough"
    with pytest.raises(ConfigurationError, match="fewer than 16 characters"):
        read_pii_key("variable:short")
    for missing in ("variable:nobody", "connection:nobody"):
        with pytest.raises(ConfigurationError, match=rf"'{missing}', and there is none: create the"):
            read_pii_key(missing)
    for wrong in (None, "", "pii", "file:x", "variable:"):
        with pytest.raises(ConfigurationError, match="needs a key"):
            read_pii_key(wrong)


HANDLE = {
    "export_id": "e",
    "kind": "recordings",
    "window_start": "2026-11-22T00:00:00Z",
    "window_end": "2026-11-23T00:00:00Z",
    "submitted_at": "2026-11-23T00:05:00Z",
}
HASHING = replace(
    RECORDINGS, columns=tuple(replace(c, pii="hash" if c.name == "queueName" else c.pii) for c in RECORDINGS.columns)
)
REWORDED = replace(
    RECORDINGS, columns=tuple(replace(column, description="in other words") for column in RECORDINGS.columns)
)


def load_id(run_id: str = "run", handle: dict[str, Any] = HANDLE, **arguments: Any) -> str:
    given: Any = context(dag_id="day", run_id=run_id, task_id="load")
    return str(operator(**arguments).load_of(handle, given).load_id)


def test_a_load_is_the_same_in_each_try_run_and_export_of_its_window() -> None:
    others = [
        load_id(run_id="backfill"),
        load_id(handle={**HANDLE, "export_id": "f"}),
        load_id(contract="recordings"),
        load_id(contract=REWORDED),
        load_id(batch_size=7, max_dead_letters=1),
    ]
    assert set(others) == {load_id()}


def test_another_contract_or_key_of_the_hash_makes_another_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_OLD", "a random text of 32 characters..")
    monkeypatch.setenv("AIRFLOW_VAR_NEW", "another text of 32 characters...")
    different = [
        load_id(),
        load_id(contract=replace(RECORDINGS, version=99)),
        load_id(contract_modes={"unknown": "freeze"}),
        load_id(filters={"queueId": "q"}),
        load_id(handle={**HANDLE, "window_end": "2026-11-24T00:00:00Z"}),
        load_id(contract=HASHING, pii_key="variable:old"),
        load_id(contract=HASHING, pii_key="variable:new"),
    ]
    assert len(set(different)) == len(different)


@pytest.mark.parametrize("value", [None, "", " ", "None", " None\n"])
def test_what_a_template_makes_of_nothing_is_absent_to_every_reader(genesys: FakeGenesys, value: Any) -> None:
    assert limit(value, "max_dead_letters", int) is None
    assert shard_of(value, RECORDINGS) == WHOLE
    assert contract_of(value, None, kind="recordings", folder=".") == RECORDINGS
    with pytest.raises(ConfigurationError, match="table is empty"):
        required(value, "table")
    with pytest.raises(ConfigurationError, match="Did the task before this one push it"):
        read_handle(value, "recordings", GenesysCloudHook())
    with pytest.raises(AirflowFailException, match="got no export_id"):
        GenesysExportSensor(task_id="wait", export_id=value).execute(context())  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["unknown", "type", "missing"])
def test_a_contract_that_evolves_is_not_loaded_in_shards(name: str) -> None:
    shard = {"number": 1, "count": 2, "start": 0, "end": 9, "planned_at": "2026-11-23T01:00:00+00:00"}
    steady = replace(RECORDINGS, modes=Modes("freeze", "quarantine", "quarantine"))
    assert shard_of(shard, steady).end == 9
    with pytest.raises(ConfigurationError, match="cannot be loaded in shards"):
        shard_of(shard, replace(steady, modes=replace(steady.modes, **{name: "evolve"})))  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["the-key-itself-as-text", "x:the-key-itself", "the-key-itself:x"])
def test_a_key_in_place_of_its_name_is_not_shown(key: str) -> None:
    with pytest.raises(ConfigurationError, match=r"remove it from the DAG") as caught:
        read_pii_key(key)
    assert "the-key-itself" not in str(caught.value)
