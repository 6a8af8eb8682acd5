"""A checkpoint store of each kind on a real server, with a way to look at and to spoil what it holds."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import boto3
import redis
from botocore.config import Config
from redis.backoff import NoBackoff
from redis.retry import Retry

from airflow_provider_genesys.checkpoints.base import Key
from airflow_provider_genesys.checkpoints.conditional import ConditionalStore
from airflow_provider_genesys.checkpoints.dynamodb import DynamoDBCheckpointStore
from airflow_provider_genesys.checkpoints.entry import NUMBERS
from airflow_provider_genesys.checkpoints.redis import RedisCheckpointStore
from airflow_provider_genesys.testing.services import RedisServer, S3Server
from tests.checkpoints.losing import LosingProxy, losing_proxy


class Place(Protocol):
    proxy: LosingProxy
    """In front of the server; it knows a request that writes."""

    def make_store(self, *, through_proxy: bool = False, **settings: Any) -> ConditionalStore:
        """A new store, as another process would make it."""

    def fields(self, key: Key) -> dict[str, str]:
        """What the server holds."""

    def spoil(self, key: Key, **fields: str) -> None:
        """Overwrite fields."""

    def forget(self, key: Key) -> None:
        """Delete the entry."""


class RedisPlace:
    def __init__(self, server: RedisServer, proxy: LosingProxy) -> None:
        self.server = server
        self.proxy = proxy
        self.prefix = f"test:{uuid.uuid4().hex}:"
        self.client = redis_client(server, decode_responses=True)

    def make_store(self, *, through_proxy: bool = False, **settings: Any) -> RedisCheckpointStore:
        port = self.proxy.port if through_proxy else self.server.port
        chosen = {"prefix": self.prefix, "retry_wait": 0.01, **settings}
        return RedisCheckpointStore(lambda: self.connect(port), **chosen)

    def connect(self, port: int) -> redis.Redis:
        return redis_client(self.server, port=port)

    def fields(self, key: Key) -> dict[str, str]:
        return self.client.hgetall(f"{self.prefix}{key}")

    def spoil(self, key: Key, **fields: str) -> None:
        self.client.hset(f"{self.prefix}{key}", mapping=fields)

    def forget(self, key: Key) -> None:
        self.client.delete(f"{self.prefix}{key}")


class DynamoDBPlace:
    def __init__(self, server: S3Server, proxy: LosingProxy) -> None:
        self.server = server
        self.proxy = proxy
        self.table = f"test_{uuid.uuid4().hex}"
        self.client = server.client("dynamodb")
        self.make_store(create_table=True).prepare()

    def make_store(self, *, through_proxy: bool = False, **settings: Any) -> DynamoDBCheckpointStore:
        port = self.proxy.port if through_proxy else self.server.port
        chosen = {"table": self.table, "retry_wait": 0.01, **settings}
        return DynamoDBCheckpointStore(lambda: dynamodb_client(port), **chosen)

    def fields(self, key: Key) -> dict[str, str]:
        item = self.client.get_item(TableName=self.table, Key={"id": {"S": str(key)}}, ConsistentRead=True)
        return {name: next(iter(value.values())) for name, value in item["Item"].items() if name != "id"}

    def spoil(self, key: Key, **fields: str) -> None:
        item = {
            name: {"N" if name in NUMBERS else "S": value} for name, value in {**self.fields(key), **fields}.items()
        }
        self.client.put_item(TableName=self.table, Item={**item, "id": {"S": str(key)}})

    def forget(self, key: Key) -> None:
        self.client.delete_item(TableName=self.table, Key={"id": {"S": str(key)}})


def redis_client(server: RedisServer, **settings: Any) -> redis.Redis:
    """A client without retries of its own."""
    return redis.Redis(**{"port": server.port, "password": server.password, "retry": Retry(NoBackoff(), 0), **settings})


def dynamodb_client(port: int, **settings: Any) -> Any:
    """A client without retries of its own."""
    chosen = {"aws_access_key_id": "test", "aws_secret_access_key": "testtest", "region_name": "us-east-1", **settings}
    once = Config(retries={"total_max_attempts": 1, "mode": "standard"})
    return boto3.client("dynamodb", endpoint_url=f"http://127.0.0.1:{port}", config=once, **chosen)


@contextmanager
def redis_place(server: RedisServer) -> Iterator[RedisPlace]:
    with losing_proxy(server.host, server.port, b"EVALSHA") as proxy:
        place = RedisPlace(server, proxy)
        # The script is known to the server from here on, so that what the proxy loses is its execution.
        place.make_store().claim(Key("warm-up", "queue"), "export", restart=False)
        yield place
        place.client.close()


@contextmanager
def dynamodb_place(server: S3Server) -> Iterator[DynamoDBPlace]:
    with losing_proxy(server.host, server.port, b"DynamoDB_20120810.PutItem") as proxy:
        yield DynamoDBPlace(server, proxy)
