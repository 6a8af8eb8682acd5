"""What the clients of AWS, Azure and Iceberg say of settings, in sentences of ours that name the connection."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from botocore.exceptions import EndpointConnectionError, NoCredentialsError, NoRegionError

from airflow_provider_genesys.exceptions import ConfigurationError, SinkRefusedError, SinkUnavailableError
from airflow_provider_genesys.hooks.checkpoint_store import open_store
from airflow_provider_genesys.hooks.clients import client, connect
from airflow_provider_genesys.hooks.iceberg import open_catalog, s3_access
from airflow_provider_genesys.hooks.object_store import open_bucket
from airflow_provider_genesys.lake import catalog
from airflow_provider_genesys.stores import azure_errors

ROLE = {"region_name": "x-1", "role_arn": "arn:aws:iam::123456789012:role/r"}
NOWHERE = "http://127.0.0.1:9"
KEYS = {"login": "a", "password": "b"}


@pytest.fixture(autouse=True)
def _machine_without_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))


def s3(conn_id: str) -> object:
    return client("s3", conn_id)


def sqs(conn_id: str) -> object:
    return client("sqs", conn_id)


def dynamodb(conn_id: str) -> object:
    return open_store(conn_id).recall("a")


def iceberg_parts(conn_id: str) -> object:
    return s3_access("lake", conn_id)


def iam(conn_id: str) -> object:
    os.environ["AIRFLOW_CONN_DATABASE"] = json.dumps(
        {"conn_type": "postgres", "host": "h", "login": "a", "extra": {"iam": True, "aws_conn_id": conn_id}}
    )
    try:
        return connect("database")
    finally:
        del os.environ["AIRFLOW_CONN_DATABASE"]


def given(monkeypatch: pytest.MonkeyPatch, conn_type: str, extra: dict[str, Any], **fields: str) -> str:
    monkeypatch.setenv("AIRFLOW_CONN_MINE", json.dumps({"conn_type": conn_type, "extra": extra, **fields}))
    return "mine"


@pytest.mark.parametrize("opened", [s3, sqs, dynamodb, iceberg_parts, iam])
@pytest.mark.parametrize(
    ("fields", "extra", "says"),
    [
        ({}, {"region_name": "x-1"}, "'mine'.*none.*login and password, role_arn"),
        ({"login": "half"}, {"region_name": "x-1"}, "'mine'.*none"),
        ({}, {"region_name": "x-1", "profile_name": "none"}, "'mine'.*extra profile_name"),
        (KEYS, {**ROLE, "assume_role_method": "odd"}, "'mine'.*assume_role_method='odd'"),
        (
            {},
            {
                **ROLE,
                "assume_role_method": "assume_role_with_web_identity",
                "assume_role_with_web_identity_federation": "file",
                "assume_role_with_web_identity_token_file": "/no/such/token",
            },
            "'mine'.*/no/such/token",
        ),
    ],
)
def test_credentials_that_are_not_there_are_said_with_the_connection(
    opened: Callable[[str], object],
    fields: dict[str, str],
    extra: dict[str, Any],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ConfigurationError, match=says):
        opened(given(monkeypatch, "aws", extra, **fields))


@pytest.mark.parametrize("opened", [sqs, dynamodb, iam])
def test_a_region_that_is_missing_is_said_with_connection_and_extra(
    opened: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match=r"'mine'.*extra region_name"):
        opened(given(monkeypatch, "aws", {}, **KEYS))


@pytest.mark.parametrize("opened", [s3, iam])
def test_a_service_of_credentials_that_does_not_answer_may_answer_later(
    opened: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    role = {**ROLE, "service_config": {"sts": {"endpoint_url": NOWHERE}}}
    with pytest.raises(SinkUnavailableError, match=r"'mine'.*endpoint_url"):
        opened(given(monkeypatch, "aws", role, **KEYS))


def test_buckets_for_everybody_need_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    unsigned = {"region_name": "x-1", "config_kwargs": {"signature_version": "unsigned"}}
    assert s3(given(monkeypatch, "aws", unsigned))


@pytest.mark.parametrize("extra", [{"iam": True, "aws_conn_id": "typo"}, {"iam": True, "azure_conn_id": "typo"}])
def test_the_connection_that_gives_the_password_has_to_be_there(
    extra: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match="no connection 'typo'"):
        connect(given(monkeypatch, "postgres", extra, host="h", login="a"))


def test_an_endpoint_that_is_not_there_is_said_with_the_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    conn_id = given(monkeypatch, "aws", {"region_name": "x-1", "endpoint_url": NOWHERE}, **KEYS)
    with pytest.raises(SinkUnavailableError, match=r"127\.0\.0\.1:9.*endpoint_url and region_name"):
        next(iter(open_bucket("s3", "lake", conn_id, retries=0).list_objects("p")))


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ({"type": "glue"}, "client.region in the extra"),
        ({"type": "dynamodb"}, "client.region in the extra"),
        ({"uri": NOWHERE, "rest.sigv4-enabled": "true", "rest.signing-name": "x"}, "no AWS credentials"),
        ({"type": "sql", "uri": "nonsense"}, "uri of its connection"),
    ],
)
def test_a_catalog_that_cannot_be_opened_is_named(
    extra: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match=rf"catalog 'mine'.*{says}"):
        open_catalog(given(monkeypatch, "iceberg", extra), {})


def test_errors_of_aws_in_a_catalog_are_of_ours() -> None:
    for error, ours in ((NoRegionError(), ConfigurationError), (NoCredentialsError(), ConfigurationError)):
        with pytest.raises(ours, match=r"table a\.b: .*extra of the Iceberg connection"), catalog.explained("a.b"):
            raise error
    with pytest.raises(SinkUnavailableError, match=NOWHERE), catalog.explained("a.b"):
        raise EndpointConnectionError(endpoint_url=NOWHERE)


def test_an_azure_connection_without_credentials_is_no_matter_of_a_proxy() -> None:
    said = azure_errors.explained(ClientAuthenticationError(message="no token"), "list az://lake/p")
    assert isinstance(said, SinkRefusedError)
    assert "give the Azure connection an account key" in str(said)
    assert "proxy" not in str(said)
    lost = ClientAuthenticationError(message="Authentication failed")
    lost.__cause__ = ServiceRequestError("no such host")
    assert isinstance(azure_errors.explained(lost, "list az://lake/p"), SinkUnavailableError)
