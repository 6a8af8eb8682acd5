"""A connection leads to the store that its type names, and that store works."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_genesys import retries
from airflow_provider_genesys.checkpoints.base import Key
from airflow_provider_genesys.checkpoints.conditional import ConditionalStore
from airflow_provider_genesys.exceptions import ConfigurationError, SinkRefusedError
from airflow_provider_genesys.hooks.checkpoint_store import _redis_settings, open_store
from airflow_provider_genesys.tasks import checkpoint_mirror as mirror_module
from airflow_provider_genesys.tasks.checkpoint_mirror import CheckpointMirror
from airflow_provider_genesys.testing.services import RedisServer, S3Server, free_port
from airflow_provider_genesys.testing.sink_conformance.source import LENGTH, make_checkpoint, make_load
from tests.support.task_context import context, pushed

LOAD = make_load()
KEY = Key(LOAD.load_id, "queue")


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture
def define(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the connection ``store`` have these fields."""
    return lambda **fields: monkeypatch.setenv("AIRFLOW_CONN_STORE", json.dumps(fields))


def assert_it_remembers(make_store: Callable[[], ConditionalStore]) -> None:
    writer, reader = make_store(), make_store()
    committed = writer.commit(writer.claim(KEY, LOAD.export_id, restart=True), make_checkpoint(LOAD, 5))
    assert reader.claim(KEY, LOAD.export_id, restart=False).checkpoint.position == committed.position
    writer.close()
    reader.close()


def test_a_redis_connection_leads_to_redis(define: Callable[..., None], redis: RedisServer) -> None:
    define(**redis.connection(), extra={"db": 3})
    assert_it_remembers(lambda: open_store("store"))
    assert redis.client().info("keyspace")["db3"]["keys"] == 1


def test_an_aws_connection_leads_to_a_table(define: Callable[..., None], s3: S3Server) -> None:
    define(**s3.connection())
    with pytest.raises(SinkRefusedError, match="Create the table"):
        open_store("store", table="of_this_test").claim(KEY, LOAD.export_id, restart=False)
    s3.client("dynamodb").create_table(
        TableName="of_this_test",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    assert_it_remembers(lambda: open_store("store", table="of_this_test"))


def shown(*positions: int) -> dict[str, Any]:
    """Let a load commit checkpoints at these records; return its XCom."""
    given = context(dag_id="day", run_id="run", task_id="load")
    with CheckpointMirror(given, "store") as mirror:
        for records in positions:
            mirror.committed(make_checkpoint(LOAD, records))
    return dict(pushed(given))


def test_a_mirror_shows_the_checkpoint_in_the_store_as_xcom_does(
    define: Callable[..., None], redis: RedisServer
) -> None:
    define(**redis.connection(), extra={"db": 4})
    xcom = shown(5, 6, 7)
    text = open_store("store").recall("task/day/run/load/-1/checkpoint")
    assert text is not None
    shared = {"file_uri", "expires_at"}
    assert json.loads(text) == {key: value for key, value in xcom.items() if key not in shared}
    assert xcom["byte_offset"] == 7 * LENGTH


def test_a_load_goes_on_where_its_mirror_is_out_of_reach(
    define: Callable[..., None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    define(conn_type="redis", host="127.0.0.1", port=free_port())
    monkeypatch.setattr(mirror_module, "EVERY", 0.0)
    monkeypatch.setattr(retries, "LONGEST_WAIT", 0.1)
    xcom = shown(5, 6, 7)
    assert xcom["byte_offset"] == 7 * LENGTH
    assert [record.message[:24] for record in caplog.records if record.name == mirror_module.__name__] == [
        "This attempt no longer c"
    ]


def test_a_mirror_of_another_type_is_refused_before_anything_is_loaded(define: Callable[..., None]) -> None:
    define(conn_type="postgres", host="example.com")
    with pytest.raises(ConfigurationError, match="the type postgres"):
        shown(5)


def test_another_type_is_refused_with_those_that_there_are(define: Callable[..., None]) -> None:
    define(conn_type="postgres", host="example.com")
    with pytest.raises(ConfigurationError, match="type postgres, and redis or aws is needed"):
        open_store("store")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {"host": "localhost", "port": 6379, "db": 0, "ssl": False, "username": None}),
        ({"login": "loader", "schema": "2"}, {"username": "loader", "db": 2}),
        ({"extra": {"ssl": True, "ssl_ca_certs": "/ca.pem"}}, {"ssl": True, "ssl_ca_certs": "/ca.pem"}),
        ({"extra": {"ssl": "false"}}, {"ssl": False}),
    ],
)
def test_a_redis_connection_is_read_as_the_redis_provider_reads_it(
    fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    from airflow.sdk import Connection

    settings = _redis_settings(Connection(conn_id="store", conn_type="redis", **_extra_as_text(fields)))
    assert {name: settings[name] for name in expected} == expected


def test_a_database_that_is_no_number_is_refused() -> None:
    from airflow.sdk import Connection

    with pytest.raises(ConfigurationError, match="'cache' is no number"):
        _redis_settings(Connection(conn_id="store", conn_type="redis", schema="cache"))


def _extra_as_text(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: json.dumps(value) if name == "extra" else value for name, value in fields.items()}
