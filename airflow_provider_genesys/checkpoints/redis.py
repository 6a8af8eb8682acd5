"""Checkpoints in Redis or Valkey: one hash to a load. See ``docs/checkpoints.md`` for what the server has to keep."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

from airflow_provider_genesys.checkpoints.base import Key
from airflow_provider_genesys.checkpoints.conditional import ConditionalStore
from airflow_provider_genesys.exceptions import (
    ConfigurationError,
    MissingExtraError,
    SinkRefusedError,
    SinkUnavailableError,
)

try:
    import redis
except ImportError as missing:
    raise MissingExtraError(
        "Keeping checkpoints in Redis needs its client. Run: pip install 'airflow-provider-genesys[redis]'"
    ) from missing

# All fields at once, and none is deleted: where the server is out of memory, the former entry stays whole.
_PUT = """
if (redis.call('HGET', KEYS[1], 'revision') or '0') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
if ARGV[2] == '0' then redis.call('PERSIST', KEYS[1]) else redis.call('EXPIRE', KEYS[1], ARGV[2]) end
return 1
"""
_LASTING = (redis.AuthenticationError, redis.exceptions.AuthorizationError)
"""These are ConnectionErrors to the client, because it logs in while it connects."""
_PASSING = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.ReadOnlyError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.TryAgainError,
)
# Codes for which the client has no class, and those that Redis before 7 wraps when a script meets them.
_PASSING_CODE = re.compile(r"(^|[ -])(BUSY|MISCONF|NOREPLICAS|OOM|READONLY|UNBLOCKED)\b")
_NO_PERMISSION = re.compile(r"NOPERM|ACL failure|can't run this command|has no permissions")


class RedisCheckpointStore(ConditionalStore):
    """Implements :class:`.base.CheckpointStore`.

    :param client: makes a ``redis.Redis``; called once, when the store is first used.
    :param prefix: what every key begins with.
    :param ttl: how long an entry stays after it was last written; None for ever. It has to outlive every retry: a load
        whose entry is gone starts again.
    :param retries: how often a request is tried again after connection loss, failover and the like.
    :param retry_wait: seconds before the first retry; doubled, with jitter, for each one more.
    """

    def __init__(
        self,
        client: Callable[[], redis.Redis],
        *,
        prefix: str = "genesys:checkpoint:",
        ttl: timedelta | None = None,
        retries: int = 3,
        retry_wait: float = 0.5,
    ) -> None:
        super().__init__(retries=retries, retry_wait=retry_wait)
        if ttl is not None and ttl < timedelta(seconds=1):
            raise ConfigurationError(f"ttl is {ttl}; it has to be a second or more, or None.")
        self._make_client = client
        self._made: Any = None
        self._prefix = prefix
        self._ttl = int(ttl.total_seconds()) if ttl else 0

    def where(self, name: Key | str) -> str:
        """Name the key."""
        return f"Redis, key {self._prefix}{name}"

    def prepare(self) -> None:
        """Refuse a server that is set up as a cache and throws entries away when its memory is full."""
        try:
            with _explained():
                memory = self._client.info("memory")
        except SinkRefusedError:
            return  # may not ask: docs/checkpoints.md tells what to look at
        policy = str(memory.get("maxmemory_policy", "noeviction"))
        evicts = policy.startswith("allkeys") or (policy.startswith("volatile") and self._ttl)
        if memory.get("maxmemory") and evicts:
            raise SinkRefusedError(
                f"the server evicts keys when its memory is full (maxmemory-policy {policy}), and with them "
                "checkpoints. Set maxmemory-policy to noeviction, or use another server than the cache."
            )

    def get(self, name: Key | str) -> dict[str, str] | None:
        """Read the hash."""
        with _explained():
            fields = self._client.hgetall(self._prefix + str(name))
        return {_text(name): _text(value) for name, value in fields.items()} or None

    def put(self, name: Key | str, fields: dict[str, str], *, replacing: int) -> bool:
        """Write the hash in a script, which nothing comes between."""
        values = [part for field in fields.items() for part in field]
        with _explained():
            write = self._client.register_script(_PUT)
            return bool(write(keys=[self._prefix + str(name)], args=[replacing, self._ttl, *values]))

    def close(self) -> None:
        """Close the client's connections. Never raises."""
        made, self._made = self._made, None
        with suppress(Exception):
            made.close()

    @property
    def _client(self) -> Any:
        if self._made is None:
            self._made = self._make_client()
        return self._made


def _text(value: bytes | str) -> str:
    """Return what a client gives, whether it decodes answers or not; bytes that are no text show as such."""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value


@contextmanager
def _explained() -> Iterator[None]:
    """Turn errors of the client into those of this package."""
    try:
        yield
    except redis.RedisError as error:
        reported = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        if _passes(error, reported):
            raise SinkUnavailableError(reported) from error
        raise SinkRefusedError(f"{reported}. {_advice(error, reported)}") from error


def _passes(error: redis.RedisError, reported: str) -> bool:
    """Return whether the same request may succeed a moment later."""
    if isinstance(error, _LASTING):
        return False
    return isinstance(error, _PASSING) or _PASSING_CODE.search(reported) is not None


def _advice(error: redis.RedisError, reported: str) -> str:
    if isinstance(error, redis.exceptions.NoPermissionError) or _NO_PERMISSION.search(reported):
        return "Give the user the rights that docs/checkpoints.md lists."
    if reported.startswith("WRONGTYPE"):
        return "Something else keeps a value under this key: choose another prefix."
    return "Correct the connection to Redis or the server."
