"""What of publish_to_iceberg reaches the catalog and the tables."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_genesys.hooks.iceberg import Access, s3_access
from airflow_provider_genesys.lake.tables import IcebergTarget
from airflow_provider_genesys.tasks import iceberg as module
from airflow_provider_genesys.tasks.iceberg import publisher_of

ACCESS = Access("s3://lake", {"s3.region": "eu-west-1", "s3.endpoint": "theirs"})
GIVEN: dict[str, Any] = {"namespace": "a.b", "table": "t"}


def opened(given: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    """Return which catalog is opened, with what, and the target."""
    monkeypatch.setattr(module, "open_catalog", lambda *asked: asked)
    made: Any = publisher_of(given, lambda: ACCESS)
    assert made._root() == "s3://lake"
    return (*made._connect(), made._target)


def test_each_setting_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    target = IcebergTarget("a.b", "t")
    assert opened(GIVEN, monkeypatch) == ("iceberg_default", ACCESS.properties, target)
    more = {"conn_id": "mine", "create": True, "location": "s3://lake/tables"}
    wanted = IcebergTarget("a.b", "t", create=True, location="s3://lake/tables")
    assert opened({**GIVEN, **more}, monkeypatch) == ("mine", ACCESS.properties, wanted)


def test_properties_win_over_those_of_the_bucket_and_need_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"s3.endpoint": "ours", "type": "glue", "max": 3}
    whole = {"s3.region": "eu-west-1", "s3.endpoint": "ours", "type": "glue", "max": "3"}
    assert opened({**GIVEN, "properties": own}, monkeypatch)[:2] == (None, whole)
    assert opened({**GIVEN, "properties": own, "conn_id": "mine"}, monkeypatch)[:2] == ("mine", whole)


@pytest.mark.parametrize("given", [None, "", "None"])
def test_nothing_is_published_where_nothing_is_given(given: Any) -> None:
    assert publisher_of(given, lambda: pytest.fail("the bucket is asked")) is None


@pytest.mark.parametrize(("style", "virtual"), [("virtual", "true"), ("path", "false"), ("auto", None)])
def test_readers_of_s3_address_buckets_as_the_connection_says(
    style: str, virtual: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = {"endpoint_url": "http://127.0.0.1:9", "config_kwargs": {"s3": {"addressing_style": style}}}
    monkeypatch.setenv(
        "AIRFLOW_CONN_MINE", json.dumps({"conn_type": "aws", "login": "k", "password": "s", "extra": extra})
    )
    assert s3_access("lake", "mine").properties.get("s3.force-virtual-addressing") == virtual


def test_readers_of_s3_get_all_of_its_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"aws_session_token": "session", "region_name": "eu-west-1", "endpoint_url": "http://127.0.0.1:9"}
    fields = {"conn_type": "aws", "login": "key", "password": "secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_MINE", json.dumps(fields))
    found = s3_access("lake", "mine")
    assert (found.root, found.properties) == (
        "s3://lake",
        {
            "s3.endpoint": "http://127.0.0.1:9",
            "s3.region": "eu-west-1",
            "s3.access-key-id": "key",
            "s3.secret-access-key": "secret",
            "s3.session-token": "session",
        },
    )
