"""Opens the checkpoint store of an Airflow connection: Redis (or Valkey) or DynamoDB, by the connection's type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_genesys.exceptions import ConfigurationError
from airflow_provider_genesys.hooks.clients import ANSWER_SECONDS, CONNECT_SECONDS, client
from airflow_provider_genesys.hooks.connections import read_connection

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from airflow_provider_genesys.checkpoints.conditional import ConditionalStore

TABLE = "genesys_checkpoints"
"""The DynamoDB table, unless another is named."""

REDIS_EXTRAS = ("ssl_cert_reqs", "ssl_ca_certs", "ssl_keyfile", "ssl_certfile", "ssl_check_hostname")


def open_store(conn_id: str, *, table: str = TABLE) -> ConditionalStore:
    """Return the checkpoint store of a connection. It connects when it is first used. The caller closes it.

    :param conn_id: a connection of the type ``redis`` (as the redis provider reads it) or ``aws``.
    :param table: the DynamoDB table; not used with Redis.
    :raises ConfigurationError: the connection is of another type, or a setting in it cannot be read.
    :raises MissingExtraError: the Redis client is not installed.
    """
    connection = read_connection(conn_id, "redis", "aws")
    if connection.conn_type == "redis":
        return _redis(connection)
    if connection.conn_type == "aws":
        return _dynamodb(conn_id, table)
    raise ConfigurationError(
        f"Connection {conn_id!r} is of the type {connection.conn_type!r}; checkpoints can be kept in Redis (type "
        "'redis') and in DynamoDB (type 'aws')."
    )


def _redis(connection: Connection) -> ConditionalStore:
    from airflow_provider_genesys.checkpoints.redis import RedisCheckpointStore

    settings = _redis_settings(connection)
    return RedisCheckpointStore(lambda: _redis_client(settings))


def _redis_settings(connection: Connection) -> dict[str, Any]:
    """Read the connection as RedisHook does; its password and extras go nowhere else."""
    extra = connection.extra_dejson
    database = extra.get("db") or connection.schema or 0
    if not str(database).isdecimal():
        raise ConfigurationError(f"Connection {connection.conn_id!r}: the database {database!r} is no number.")
    return {
        "host": connection.host or "localhost",
        "port": connection.port or 6379,
        "username": connection.login or None,
        "password": connection.password or None,
        "db": int(database),
        "ssl": str(extra.get("ssl", False)).lower() == "true",
        **{name: extra[name] for name in REDIS_EXTRAS if name in extra},
    }


def _redis_client(settings: dict[str, Any]) -> Any:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    # The store retries, so the client must not retry as well.
    once = Retry(NoBackoff(), 0)
    return redis.Redis(**settings, retry=once, socket_connect_timeout=CONNECT_SECONDS, socket_timeout=ANSWER_SECONDS)


def _dynamodb(conn_id: str, table: str) -> ConditionalStore:
    from airflow_provider_genesys.checkpoints.dynamodb import DynamoDBCheckpointStore

    return DynamoDBCheckpointStore(lambda: client("dynamodb", conn_id), table=table)
