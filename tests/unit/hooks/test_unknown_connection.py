"""What a connection that does not exist, and a connection test under a throw-away id, say."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from airflow_provider_genesys.commands.app import main
from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.hooks.checkpoint_store import open_store
from airflow_provider_genesys.hooks.clients import azure_container, client, connect
from airflow_provider_genesys.hooks.gcs import gcs_bucket
from airflow_provider_genesys.hooks.genesys import GenesysCloudHook


def test_an_unknown_connection_is_named_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigurationError, match=r"no connection 'typo'.*airflow connections add"):
        _ = GenesysCloudHook("typo").config
    assert main(["plan", "2026-11-01", "2026-11-02", "--conn-id", "typo"]) == 1
    shown = capsys.readouterr().err
    assert "There is no connection 'typo'" in shown
    assert "Traceback" not in shown


def test_the_test_of_a_connection_does_not_name_the_id_it_runs_under(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_XQZVW", json.dumps({"conn_type": "genesys_cloud", "password": "secret"}))
    worked, told = GenesysCloudHook("xqzvw").test_connection()
    assert not worked
    assert "xqzvw" not in told


def gcs(conn_id: str) -> object:
    return gcs_bucket(conn_id, "bucket")


def azure(conn_id: str) -> object:
    return azure_container(conn_id, "container")


def sqs(conn_id: str) -> object:
    return client("sqs", conn_id)


@pytest.mark.parametrize("opened", [connect, azure, gcs, open_store, sqs])
def test_no_client_is_made_of_a_connection_that_is_not_there(opened: Callable[[str], object]) -> None:
    with pytest.raises(ConfigurationError, match=r"no connection 'typo'.*with the type"):
        opened("typo")


@pytest.mark.parametrize("opened", [connect, azure, gcs, open_store, sqs])
def test_an_address_in_place_of_an_id_is_named_without_its_password(opened: Callable[[str], object]) -> None:
    with pytest.raises(ConfigurationError, match=r"no connection 'postgresql://\*\*\*@host/db'"):
        opened("postgresql://user:secret-of-mine@host/db")


@pytest.mark.parametrize(
    ("opened", "fields"),
    [
        (sqs, {"conn_type": "aws", "login": "a", "password": "secret-of-mine"}),
        (sqs, {"conn_type": "aws", "login": "a", "extra": {"region_name": "x", "endpoint_url": "no url"}}),
        (azure, {"conn_type": "wasb", "extra": {"connection_string": "secret-of-mine"}}),
        (gcs, {"conn_type": "google_cloud_platform", "extra": {"keyfile_dict": "secret-of-mine"}}),
        (gcs, {"conn_type": "google_cloud_platform", "extra": {"keyfile_dict": {"type": "secret-of-mine"}}}),
        (gcs, {"conn_type": "google_cloud_platform", "extra": {"key_path": "/no/such/key.json"}}),
        (gcs, {"conn_type": "google_cloud_platform", "extra": {"key_path": [1], "endpoint_url": "https://a.example"}}),
        (sqs, {"conn_type": "aws", "login": "a", "extra": {"region_name": "x", "config_kwargs": 5}}),
        (sqs, {"conn_type": "aws", "login": "a", "extra": {"region_name": "x", "service_config": "text"}}),
        (azure, {"conn_type": "wasb", "login": "a", "extra": {"connection_string": 5}}),
        (connect, {"conn_type": "postgres", "host": "127.0.0.1", "port": 9, "extra": {"cursor": 5}}),
    ],
)
def test_a_connection_of_which_no_client_can_be_made_is_named(
    opened: Callable[[str], object], fields: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AIRFLOW_CONN_BROKEN", json.dumps(fields))
    with pytest.raises(ConfigurationError, match="'broken'") as caught:
        opened("broken")
    assert "secret-of-mine" not in str(caught.value)


def genesys(conn_id: str) -> object:
    return GenesysCloudHook(conn_id).config


ALL = {
    connect: "postgres",
    azure: "wasb",
    gcs: "google_cloud_platform",
    open_store: "redis",
    sqs: "aws",
    genesys: "genesys_cloud",
}


@pytest.mark.parametrize("opened", ALL)
def test_a_connection_for_something_else_is_named_and_nothing_of_it_is_used(
    opened: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = "postgres" if ALL[opened] != "postgres" else "aws"
    fields = {"conn_type": other, "login": "a", "password": "secret-of-mine", "host": "127.0.0.1", "port": 9}
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps(fields))
    with pytest.raises(ConfigurationError, match=rf"'other' has the type {other}, and .*{ALL[opened]}.* is needed"):
        opened("other")


@pytest.mark.parametrize("extra", ["[1, 2]", '{"cut', "5", '"text"', "true"])
@pytest.mark.parametrize("opened", ALL)
def test_an_extra_that_is_no_object_is_said(
    opened: Callable[[str], object], extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = {"conn_type": ALL[opened], "login": "a", "password": "secret-of-mine", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_ODD", json.dumps(fields))
    with pytest.raises(ConfigurationError, match="extra of connection 'odd' is no JSON object"):
        opened("odd")


def test_an_extra_that_postgresql_does_not_know_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {"conn_type": "postgres", "host": "127.0.0.1", "port": 9, "extra": {"endpoint_url": "x"}}
    monkeypatch.setenv("AIRFLOW_CONN_ODD", json.dumps(fields))
    with pytest.raises(ConfigurationError, match=r"'odd': .*endpoint_url.*Correct the connection"):
        connect("odd")


def test_the_default_connection_to_aws_may_be_missing_but_not_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DEFAULT_REGION", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "of-the-machine")
    assert client("sqs", "aws_default")
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps({"conn_type": "aws", "extra": "[1]"}))
    with pytest.raises(ConfigurationError, match="extra of connection 'aws_default' is no JSON object"):
        client("sqs", "aws_default")
